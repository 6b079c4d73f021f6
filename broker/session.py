"""What the broker keeps of one client: subscriptions, what was sent and not acknowledged, what waits.

Pure: a session writes packets into its link's list of outgoing bytes; a shell carries them.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from broker.packets import (
    DUP,
    PUBCOMP,
    PUBREC,
    PUBREL,
    Decoder,
    acknowledgement,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from broker.identity import Identity
    from broker.limits import Limits
    from broker.packets import Packet, Will
    from broker.stock import Stock
    from broker.topics import Message, Topic


class Link:
    """One connection, whatever carries it: bytes in by its decoder, bytes out by `out`.

    Args:
        limit: Largest packet, bytes.
        address: The client's address and port as the listener saw them.
        mark: Called with the link when `out` is no longer empty, or the link has ended.
        now: Monotonic seconds; `accepted_at` is the same moment as a date.
    """

    __slots__ = (
        "abort", "accepted_at", "address", "backlog", "charged", "credit", "decoder", "end", "heard", "held",
        "held_for", "keep_alive_s", "mark", "opened", "out", "paused", "port", "session", "tls", "wait_s",
    )  # fmt: skip

    def __init__(
        self,
        limit: int,
        address: tuple[str, int],
        mark: Callable[[Link], None],
        now: float,
        accepted_at: datetime,
    ) -> None:
        self.decoder = Decoder(limit)
        self.address, self.port = address
        self.mark = mark
        self.opened = now
        self.heard = now
        self.accepted_at = accepted_at
        self.keep_alive_s = 0.0
        self.out: list[bytes] = []
        self.paused = False  # the socket takes no more for now
        self.backlog: Iterator[Packet] | None = None  # packets that wait for the client's next turn
        self.held = bytearray()  # bytes that came behind them
        self.wait_s = 0.0  # how long until that turn
        self.held_for: Session | None = None  # the subscriber that the client waits for
        self.credit = math.inf  # packets that it may send before it waits
        self.charged = now  # when the credit was last reckoned
        self.tls: ssl.SSLObject | None = None
        self.session: Session | None = None
        self.end: str | None = None  # why it ended
        self.abort = False  # ended, and what is in the socket's buffer need not be sent

    def send(self, data: bytes) -> None:
        """Queue bytes for the client."""
        if not self.out:
            self.mark(self)
        self.out.append(data)


class _Waiting(NamedTuple):
    message: Message
    qos: int
    flags: int


_make: Final = tuple.__new__  # quicker than the class's own call

UNIT: Final = "unit"  # classes of sessions: the publishers that wait for a gateway
GATEWAY: Final = "gateway"
READY: Final = 3  # the readiness of one who is sent a message at once
_RELEASED: Final = None  # a QoS 2 message whose PUBREC came: its PUBREL is what to repeat


class Session:
    """A client's session; it outlives its link when it is not clean.

    `deliver` answers False when a QoS 1 or 2 message has no room (`full`): the core then ends the session,
    so that the client learns of it instead of missing a message silently. It answers False too while a
    gateway's queue is over its high-water mark (`over`), so that publishers can be made to wait.
    """

    __slots__ = (
        "_bytes", "_inflight", "_last_id", "_limits", "_skippable", "_stock", "_waiting", "clean",
        "client_id", "dropped", "expires", "full", "identity", "kind", "link", "over", "over_at",
        "received", "skippable_bytes", "subscriptions", "topics", "will",
    )  # fmt: skip

    def __init__(
        self, client_id: str, identity: Identity, limits: Limits, stock: Stock, *, clean: bool
    ) -> None:
        self.client_id = client_id
        self.identity = identity
        self.kind = "other"  # its class in metrics and limits: unit, gateway, dashboard
        self.clean = clean
        self.link: Link | None = None
        self.will: Will | None = None
        self.expires: float | None = None  # monotonic seconds, once the link of a session to keep is gone
        self.subscriptions: dict[str, int] = {}
        self.topics: dict[bytes, tuple[Topic, bool] | None] = {}  # may publish, and retain; None: may not
        self.received: set[int] = set()  # packet ids of QoS 2 messages from the client, until PUBREL
        self.dropped = 0  # QoS 0 messages, because the client was too slow
        self.full = False  # a QoS 1 or 2 message found no room
        self.over = (
            False  # a gateway's queue has passed its high-water mark, and not come down to the low one
        )
        self.over_at = 0.0  # since when; set by the core, which knows the time
        self._limits = limits
        self._stock = stock
        self._inflight: dict[int, _Waiting | None] = {}
        self._last_id = 0
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._skippable: deque[_Waiting] = deque()
        self.skippable_bytes = 0  # of the QoS 0 messages that wait

    @property
    def waiting(self) -> int:
        """Messages that wait for the client: queued, or sent and not acknowledged."""
        return len(self._waiting) + len(self._skippable) + len(self._inflight)

    @property
    def readiness(self) -> int:
        """How soon the client gets a message: 0 is gone, 1 nears its limit, 2 has to wait, READY at once."""
        link = self.link
        if link is None:
            return 0
        if self.full or self._level() >= self._limits.high_water:
            return 1
        return 2 if link.paused or self._waiting else READY

    @property
    def inflight(self) -> int:
        """QoS 1 and 2 messages sent to the client and not acknowledged."""
        return len(self._inflight)

    @property
    def bytes(self) -> int:
        """Bytes of the messages that wait for the client."""
        return self._bytes + self.skippable_bytes

    @property
    def fill(self) -> float:
        """How full the fuller of its queues is: 1.0 is where a message is dropped, or the session ends."""
        limits = self._limits
        return max(
            len(self._waiting) / max(limits.queue_messages, 1),
            self._bytes / max(limits.queue_bytes, 1),
            len(self._skippable) / max(limits.drop_messages, 1),
            self.skippable_bytes / max(limits.drop_bytes, 1),
        )

    @property
    def oldest(self) -> float | None:
        """When the oldest message that waits for the client came, monotonic seconds; None: none waits."""
        sent = next((waiting.message.at for waiting in self._inflight.values() if waiting is not None), None)
        heads = [queue[0].message.at for queue in (self._waiting, self._skippable) if queue]
        return min([sent, *heads] if sent is not None else heads, default=None)

    def deliver(self, message: Message, qos: int, flags: int = 0) -> bool:
        """Send a message at a QoS now, or keep it for later; False when the client is far behind."""
        link = self.link
        if qos:
            if (
                link is None
                or link.paused
                or self._waiting
                or len(self._inflight) >= self._limits.window
                or self._bytes > self._limits.queue_bytes
            ):
                return self._keep(_make(_Waiting, (message, qos, flags)))
            self._bytes += message.size
            self._stock.add(message)
            self._send(link, _make(_Waiting, (message, qos, flags)))
        elif link is not None:  # at QoS 0 nothing is kept for one who is away
            if link.paused:
                self._keep_skippable(_make(_Waiting, (message, 0, flags)))
            elif flags:
                link.send(message.head(0, flags) + message.payload)
            else:
                if not link.out:
                    link.mark(link)
                link.out.append(message.packet())
        return True

    def acknowledged(self, kind: int, packet_id: int) -> None:
        """The client's PUBACK, PUBREC or PUBCOMP; one that fits nothing is passed over."""
        sent = self._inflight.get(packet_id)
        known = sent is not None or packet_id in self._inflight
        if kind == PUBREC:
            if known and sent is not None and sent.qos == 2:
                self._inflight[packet_id] = _RELEASED
                self._release(sent.message)
            if self.link is not None:
                self.link.send(acknowledgement(PUBREL, packet_id))
            return
        if known and (sent is _RELEASED if kind == PUBCOMP else sent is not None and sent.qos == 1):
            del self._inflight[packet_id]
            if sent is not None:
                self._release(sent.message)
            if self._waiting or self.over:
                self.pump()

    def pump(self) -> None:
        """Send what waits, as far as the socket and the window take it."""
        link = self.link
        if link is None or link.paused:
            return
        while self._waiting and len(self._inflight) < self._limits.window:
            self._send(link, self._waiting.popleft())
        if self.over and self._level() <= self._limits.high_water / 2:
            self.over, self.over_at = False, 0.0
        while self._skippable:
            message, _, flags = self._skippable.popleft()
            self._stock.remove(message)
            link.send(message.head(0, flags) + message.payload)
        self.skippable_bytes = 0

    def forget(self, keep: Callable[[str], bool]) -> int:
        """Drop the messages that wait for the client on topics it may not receive any more; their number."""
        sent = [waiting for waiting in self._inflight.values() if waiting is not None]
        gone = [
            waiting
            for waiting in chain(self._waiting, self._skippable, sent)
            if not keep(waiting.message.topic.name)
        ]
        if not gone:
            return 0
        for message, qos, _ in gone:
            self._stock.remove(message)
            if qos:
                self._bytes -= message.size
            else:
                self.skippable_bytes -= message.size
        lost = set(map(id, gone))
        self._waiting = deque(waiting for waiting in self._waiting if id(waiting) not in lost)
        self._skippable = deque(waiting for waiting in self._skippable if id(waiting) not in lost)
        self._inflight = {
            packet_id: waiting for packet_id, waiting in self._inflight.items() if id(waiting) not in lost
        }
        return len(gone)

    def skip(self) -> None:
        """Drop the oldest QoS 0 messages that wait, until there is room in the stock."""
        while self._skippable and self._stock.excess > 0:
            self._drop_oldest()

    def clear(self) -> None:
        """Forget all that waits: the session is over."""
        self.forget(lambda _topic: False)
        self._inflight.clear()
        self.over = False

    def resume(self, link: Link) -> None:
        """A new link for a kept session: repeat what was not acknowledged, in its order (4.4)."""
        self.link = link
        self.expires = None
        for packet_id, sent in self._inflight.items():
            if sent is None:
                link.send(acknowledgement(PUBREL, packet_id))
            else:
                self._write(link, packet_id, sent, DUP)
        self.pump()

    def _send(self, link: Link, waiting: _Waiting) -> None:
        inflight = self._inflight
        packet_id = self._last_id % 65535 + 1
        while packet_id in inflight:  # the window is far smaller than the ids
            packet_id = packet_id % 65535 + 1
        self._last_id = packet_id
        inflight[packet_id] = waiting
        self._write(link, packet_id, waiting, 0)

    def _release(self, message: Message) -> None:
        self._bytes -= message.size
        self._stock.remove(message)

    def _write(self, link: Link, packet_id: int, waiting: _Waiting, dup: int) -> None:
        message, qos, flags = waiting
        out = link.out
        if not out:
            link.mark(link)
        out += (message.head(qos, flags | dup), packet_id.to_bytes(2, "big"), message.payload)

    def _keep(self, waiting: _Waiting) -> bool:
        size = self._bytes + waiting.message.size
        if len(self._waiting) >= self._limits.queue_messages or size > self._limits.queue_bytes:
            self.full = True
            return False
        self._bytes = size
        self._stock.add(waiting.message)
        self._waiting.append(waiting)
        if self.kind == GATEWAY and not self.over:
            self.over = self._level() >= self._limits.high_water
        return not self.over

    def _level(self) -> float:
        limits = self._limits
        return max(len(self._waiting) / limits.queue_messages, self._bytes / limits.queue_bytes)

    def _keep_skippable(self, waiting: _Waiting) -> None:
        self._skippable.append(waiting)
        self.skippable_bytes += waiting.message.size
        self._stock.add(waiting.message)
        limits = self._limits
        while len(self._skippable) > limits.drop_messages or self.skippable_bytes > limits.drop_bytes:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        message = self._skippable.popleft().message
        self.skippable_bytes -= message.size
        self._stock.remove(message)
        self.dropped += 1
