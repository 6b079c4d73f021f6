"""The core on a bench: no socket, and a clock that the test turns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from broker.core import Core
from broker.counters import Counters
from broker.limits import Limits
from broker.router import Events
from broker.session import Link
from tests.broker import raw_client as raw

if TYPE_CHECKING:
    from amqtt.contexts import Action
    from amqtt.events import BrokerEvents

    from broker.identity import Identity


class OpenAccess:
    """Lets all in that say `good`, and everything pass but what is in `denied`.

    A client's class is its name up to the first hyphen: `unit-1`, `gateway-1`.
    """

    def __init__(self) -> None:
        self.denied: set[tuple[Action, str]] = set()
        self.asked: list[tuple[Action, str]] = []

    def authenticate(self, identity: Identity) -> bool:
        identity.attributes["fleetcell.kind"] = (identity.username or "").partition("-")[0]
        return identity.password == "good"

    def still_valid(self, identity: Identity) -> bool:
        return True

    def may(self, action: Action, identity: Identity, topic: str) -> bool:
        self.asked.append((action, topic))
        return (action, topic) not in self.denied

    def may_retain(self, identity: Identity, topic: str) -> bool:
        return True


class Bench:
    """A core, its links, and what it told."""

    def __init__(self, limits: Limits | None = None, watched: frozenset[str] = frozenset()) -> None:
        self.now = 1_000.0
        self.told: list[tuple[BrokerEvents, dict[str, Any]]] = []
        self.counters = Counters()
        events = Events(watched, lambda event, arguments: self.told.append((event, arguments)))
        self.access = OpenAccess()
        self.core = Core(self.access, limits or Limits(), self.counters, events)
        self.marked: list[Link] = []

    def open(self) -> Link:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        link = Link(self.core.limits.max_packet, ("10.0.0.1", 1), self.marked.append, self.now, at)
        self.core.opened(link)
        return link

    def login(self, name: str, **options: Any) -> Link:
        link = self.open()
        self.send(link, raw.connect_packet(name, name, "good", **options))
        assert link.end is None
        return link

    def send(self, link: Link, data: bytes) -> None:
        self.core.received(link, data, self.now)

    def sweep(self, later: float) -> None:
        self.now += later
        self.core.sweep(self.now)

    @classmethod
    def messages(cls, link: Link) -> list[raw.Message]:
        """The messages that a link has to send; other packets are passed over."""
        return [raw.to_message(packet) for packet in raw.split(cls.taken(link)) if packet.kind == raw.PUBLISH]

    @staticmethod
    def taken(link: Link) -> bytes:
        data = b"".join(link.out)
        link.out.clear()
        return data
