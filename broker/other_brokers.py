"""Who may connect and what he may do, in the words in which RabbitMQ, EMQX and ejabberd ask it.

The credentials and rules are those of the embedded broker: `CredentialStore` and `fleetcell.contract.topics`.
Pure but for the files that the store reads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from fleetcell.contract.topics import Principal, Role, may_publish, may_subscribe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.credentials import CredentialStore

# RabbitMQ keeps a client's subscriptions in queues of these names.
_QUEUE: Final = re.compile(r"mqtt-subscription-(.+)qos[01]")
_EXCHANGE: Final = "amq.topic"
_TO_MQTT: Final = str.maketrans({".": "/", "*": "+"})


class EmqxQuestion(msgspec.Struct, frozen=True):
    """The body of EMQX's HTTP requests as deploy/brokers/emqx has it."""

    username: str | None = None
    password: str | None = None
    clientid: str | None = None
    action: str | None = None
    topic: str | None = None


class Judge:
    """Answers; what is not known or not asked rightly is a no."""

    def __init__(self, store: CredentialStore) -> None:
        self._store = store

    def lets_in(self, name: str, secret: str, client_id: str | None = None) -> bool:
        """Whether the secret is this account's, and the client id (where it is told) may be used by it."""
        self._store.refresh()
        found = self._store.check(name, secret)
        return found is not None and (client_id is None or self._may_be(found[0], client_id))

    def knows(self, name: str) -> bool:
        """Whether there is such an account."""
        return self._principal(name) is not None

    def may(self, name: str, action: str, topic: str) -> bool:
        """Whether the account may `publish` to a topic or `subscribe` to a filter."""
        principal = self._principal(name)
        if principal is None:
            return False
        match action:
            case "publish":
                return may_publish(principal, topic)
            case "subscribe":
                return may_subscribe(principal, topic)
            case _:
                return False

    # -- RabbitMQ: rabbitmq_auth_backend_http; forms in, a word out -----------------------------------

    def rabbitmq(self, path: str, form: Mapping[str, str]) -> str:
        """The answer to one of its four questions: user, vhost, resource, topic."""
        name = form.get("username", "")
        match path:
            case "user":
                good = self.lets_in(name, form.get("password", ""), form.get("client_id"))
            case "vhost":
                good = self.knows(name)
            case "resource":
                good = self._may_use(name, form)
            case "topic":
                action = {"write": "publish", "read": "subscribe"}.get(form.get("permission", ""), "")
                topic = form.get("routing_key", "").translate(_TO_MQTT)
                good = form.get("name") == _EXCHANGE and self.may(name, action, topic)
            case _:
                good = False
        return "allow" if good else "deny"

    def _may_use(self, name: str, form: Mapping[str, str]) -> bool:
        """The exchange of MQTT, and the queues of one's own client id."""
        principal = self._principal(name)
        if principal is None:
            return False
        match form.get("resource"):
            case "exchange":
                return form.get("name") == _EXCHANGE and form.get("permission") in ("write", "read")
            case "queue":
                queue = _QUEUE.fullmatch(form.get("name", ""))
                return queue is not None and self._may_be(principal, queue[1])
            case _:
                return False

    # -- EMQX: JSON in, JSON out ----------------------------------------------------------------------

    def emqx(self, path: str, body: bytes) -> bytes:
        """The answer to `authn` or `authz`."""
        try:
            asked = msgspec.json.decode(body, type=EmqxQuestion)
        except msgspec.MsgspecError:
            return _result(good=False)
        name = asked.username or ""
        if path == "authn":
            return _result(good=self.lets_in(name, asked.password or "", asked.clientid or ""))
        return _result(good=path == "authz" and self.may(name, asked.action or "", asked.topic or ""))

    # -- ejabberd: external authentication ------------------------------------------------------------

    def ejabberd(self, question: bytes) -> bool:
        """The answer to `auth:USER:HOST:SECRET` and `isuser:USER:HOST`; it may change nothing here."""
        match question.decode(errors="replace").split(":", maxsplit=3):
            case ["auth", user, _, secret]:
                return self.lets_in(user, secret)
            case ["isuser", user, _]:
                return self.knows(user)
            case _:
                return False

    def _may_be(self, principal: Principal, client_id: str) -> bool:
        """As in the embedded broker: a unit's client id is its own name, a service's is no unit's."""
        if principal.role is Role.UNIT:
            return client_id == principal.name
        return not self._store.is_unit(client_id)

    def _principal(self, name: str) -> Principal | None:
        self._store.refresh()
        found = self._store.find(name)
        return None if found is None else found[0]


def _result(*, good: bool) -> bytes:
    return b'{"result":"allow"}' if good else b'{"result":"deny"}'
