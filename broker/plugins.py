"""fleetcell's two plugins for amqtt: who may connect, and who may publish and subscribe what.

They follow amqtt's plugin interface and work in a stock amqtt broker too; the three methods that amqtt
does not know (`refresh`, `still_valid`, `retain_filtering`) are asked by this broker only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin

from broker.credentials import CredentialStore
from fleetcell.contract.topics import Principal, Role, may_publish, may_receive, may_retain, may_subscribe

if TYPE_CHECKING:
    from amqtt.contexts import BaseContext
    from amqtt.session import Session

_PRINCIPAL: Final = "fleetcell.principal"
_KIND: Final = "fleetcell.kind"
_MAC: Final = "fleetcell.mac"
_REFUSED: Final = "fleetcell.refused"


class CredentialsPlugin(BaseAuthPlugin):
    """User name and secret from the credentials file; the client id is bound to the credential."""

    @dataclass
    class Config:
        """Where the credentials are."""

        credentials_file: str
        credentials_key_file: str
        min_secret: int = 0  # characters; shorter ones are refused whether they are right or not

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self.store = CredentialStore(
            Path(self.config.credentials_file), Path(self.config.credentials_key_file)
        )
        self._changed = False  # read for a client that connected; the sessions are still to be checked

    def refresh(self) -> bool:
        """Read the file again if it was replaced; True when sessions must be checked anew."""
        changed = self.store.refresh() or self._changed
        self._changed = False
        return changed

    async def authenticate(self, *, session: Session) -> bool | None:
        """Whether the credential is good and may use this client id; the reason goes to the log only."""
        self._changed |= self.store.refresh()  # a vehicle that was provisioned a moment ago
        found = self._find(session)
        if isinstance(found, str):
            session.attributes[_REFUSED] = found
            return False
        principal, mac = found
        session.username = principal.name
        client_id = session.client_id or ""
        if principal.role is Role.UNIT and client_id != principal.name:
            session.attributes[_REFUSED] = "a vehicle's client id is its vehicle id"
            return False
        if principal.role is not Role.UNIT and self.store.is_unit(client_id):
            session.attributes[_REFUSED] = "the client id is that of a vehicle"
            return False
        session.attributes[_PRINCIPAL] = principal
        session.attributes[_KIND] = principal.role.value
        session.attributes[_MAC] = mac
        return True

    def _find(self, session: Session) -> tuple[Principal, str] | str:
        """Who this is, by certificate or by secret; or why nobody.

        The listener has verified the certificate, if there is one. It stands in for the secret, never beside
        another name.
        """
        name = common_name(session)
        if name is not None and session.username not in (None, name):
            return "the certificate is of another name"
        if name is not None and session.password is None:
            found = self.store.find(name)
            if found is None or found[0].role is not Role.UNIT:
                return "the certificate names no vehicle"
            return found
        secret = session.password or ""
        if len(secret) < self.config.min_secret:
            return f"a secret of fewer than {self.config.min_secret} characters"
        return self.store.check(session.username or "", secret) or "unknown user name or wrong secret"

    async def still_valid(self, *, session: Session) -> bool:
        """Whether the credential that let this session in is still the same."""
        principal = session.attributes.get(_PRINCIPAL)
        found = self.store.find(session.username or "")
        return principal is not None and found == (principal, session.attributes.get(_MAC))


class ContractPlugin(BaseTopicPlugin):
    """The access rules of `fleetcell.contract.topics`; who has no principal may nothing."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        """Whether the session may do this with the topic (or filter)."""
        principal = _principal(session)
        if principal is None or topic is None:
            return False
        match action:
            case Action.PUBLISH:
                return may_publish(principal, topic)
            case Action.SUBSCRIBE:
                return may_subscribe(principal, topic)
            case Action.RECEIVE:
                return may_receive(principal, topic)
            case _:
                return False

    async def retain_filtering(self, *, session: Session | None = None, topic: str | None = None) -> bool:
        """Whether what the session publishes to the topic may be retained."""
        principal = _principal(session)
        return principal is not None and topic is not None and may_retain(principal, topic)


def common_name(session: Session) -> str | None:
    """The common name of the client's verified certificate; empty when it has not exactly one; None: none."""
    tls = session.ssl_object
    certificate: dict[str, Any] | None = tls.getpeercert() if tls is not None else None
    if not certificate:
        return None
    names = [value for part in certificate["subject"] for key, value in part if key == "commonName"]
    return str(names[0]) if len(names) == 1 else ""


def _principal(session: Session | None) -> Principal | None:
    return session.attributes.get(_PRINCIPAL) if session is not None else None
