"""The brokers that are compared. Everybody may do everything there, save `refused`, who may not subscribe."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from amqtt.contexts import Action

from broker.limits import Limits
from tests.broker.conftest import Accounts, RunningBroker
from tests.broker_servers import OPEN_USER, PASSWORD, REFUSED_USER, Server
from tests.conformance.bench import Address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from broker.identity import Identity

OURS: Final = "fleetcell"


class OpenAccess:
    """Everything, save that `refused` may not subscribe."""

    def authenticate(self, identity: Identity) -> bool:
        return identity.password == PASSWORD

    def still_valid(self, identity: Identity) -> bool:
        return True

    def may(self, action: Action, identity: Identity, topic: str) -> bool:
        return not (action is Action.SUBSCRIBE and identity.username == REFUSED_USER)

    def may_retain(self, identity: Identity, topic: str) -> bool:
        return True


@contextmanager
def embedded(folder: Path) -> Iterator[Address]:
    """Fleetcell's own broker, with real sockets and open to all."""
    running = RunningBroker(Accounts(folder), Limits())
    running.start()

    def open_up() -> None:
        core = running.broker.core
        core.access = core.router._access = OpenAccess()

    running.do(open_up)
    try:
        yield Address(
            OURS, version("fleetcell"), running.mqtt_port, running.ws_port, OPEN_USER, REFUSED_USER, PASSWORD
        )
    finally:
        running.stop()


def address(server: Server) -> Address:
    """How to reach another broker."""
    user, refused = OPEN_USER + server.domain, REFUSED_USER + server.domain
    return Address(server.name, server.version, server.mqtt_port, server.ws_port, user, refused, PASSWORD)


def title(broker: Address) -> str:
    """Of its column."""
    return broker.name if broker.name == OURS else f"{broker.name} {broker.version}"
