"""The units of the benchmark of the whole path: plain sockets, no MQTT library, a process of its own.

    python -m benchmarks._path_load

The first line on standard input is the `Fleet`, each further one an `Order`; each is answered by `Figures`.
Units connect over WebSocket, subscribe to their `ack`, attach, and publish readings at QoS 1. A message is
done when an `ack` of the ingest, which follows COMMIT, covers its readings; the broker's PUBACK is not
counted.
"""

from __future__ import annotations

import itertools
import math
import select
import sys
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks._clients import Account, Client, LoadError, Target, frame, open_all, publish_packet
from fleetcell.contract.messages import Claim, ClaimKind, encode
from fleetcell.contract.topics import Channel, vehicle_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOOT: Final = "0123456789abcdef0123456789abcdef"
EPOCH: Final = 1
DRAIN_S: Final = 30.0
_STEP_S: Final = 0.05  # the longest look at the sockets
_KINDS: Final = 64  # different sets of values, encoded beforehand
_PUBLISH: Final = 3
_SEQ: Final = b'"seq":'


class Fleet(msgspec.Struct, frozen=True):
    """The units, by name with their secrets."""

    port: int
    region: str
    secrets: dict[str, str]


class Order(msgspec.Struct, frozen=True):
    """What to send.

    samples: readings in a message. under_way: messages of a unit that are not done, at most. per_s: messages
    a second of all units; 0: as many as get done. warm_up_s: before it is measured.
    """

    samples: int
    seconds: float
    under_way: int
    per_s: float = 0.0
    warm_up_s: float = 2.0


class Figures(msgspec.Struct):
    """What was done in the measured time.

    delays_ms: from publishing to the ack, of each message, sorted. sent, cpu_s: all messages, and CPU time of
    this process, with warm-up and drain. unsettled: messages without an ack when the wait for them was over.
    used: the last number of each unit.
    """

    messages: int = 0
    sent: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    delays_ms: list[float] = []
    unsettled: int = 0
    used: dict[str, int] = {}

    def delay_ms(self, share: float) -> float:
        """A percentile.

        Raises:
            LoadError: nothing was acknowledged in the measured time.
        """
        if not self.delays_ms:
            raise LoadError("nothing was acknowledged in the measured time")
        return self.delays_ms[min(len(self.delays_ms) - 1, int(share * len(self.delays_ms)))]


class Unit(Client):
    """One vehicle: what it has sent and is not done, as (last number, when)."""

    def __init__(self, fleet: Fleet, name: str, secret: str) -> None:
        ack = vehicle_topic(fleet.region, name, Channel.ACK)
        super().__init__(Target(fleet.port, ws=True), Account(name, secret), ack)
        self._topic = vehicle_topic(fleet.region, name, Channel.TELEMETRY)
        self._presence = vehicle_topic(fleet.region, name, Channel.PRESENCE)
        self._packet_ids = itertools.cycle(range(1, 65_536))
        self.sent: deque[tuple[int, float]] = deque()
        self.last = 0  # of the numbers that were sent

    def attach(self) -> None:
        """Claim to be there."""
        claim = Claim(ClaimKind.ATTACH, EPOCH, datetime.now(UTC), n=1, boot=BOOT, next_seq=1)
        self._publish(self._presence, encode(claim))

    def upload(self, template: bytes, samples: int, at: float) -> None:
        """Publish the next readings; they are a second apart, the last one is of now."""
        first, self.last = self.last + 1, self.last + samples
        now_ms = time.time_ns() // 1_000_000
        numbers: list[int] = []
        for seq in range(first, self.last + 1):
            numbers += (seq, now_ms - (self.last - seq) * 1000)
        self.sent.append((self.last, at))
        self._publish(self._topic, template % tuple(numbers))

    def _publish(self, topic: str, payload: bytes) -> None:
        self.send(frame(publish_packet(topic, payload, 1, next(self._packet_ids))))

    def acknowledged(self) -> int:
        """Read what came: the last number that is settled, 0 where no ack came. Acks are acknowledged."""
        stream = self.stream + self.receive()
        at, size, settled = 0, len(stream), 0
        answers = []
        while size - at >= 4:
            length, body = stream[at + 1], at + 2
            if length & 0x80:
                length, body = length & 0x7F | stream[at + 2] << 7, at + 3
            end = body + length
            if end > size:
                break
            if stream[at] >> 4 == _PUBLISH:
                topic_end = body + 2 + (stream[body] << 8 | stream[body + 1])
                answers.append(b"\x40\x02" + stream[topic_end : topic_end + 2])
                settled = max(settled, settled_in(stream[topic_end + 2 : end]))
            at = end
        self.stream = stream[at:]
        if answers:
            self.send(frame(b"".join(answers)))
        return settled

    def done(self, settled: int) -> Iterator[float]:
        """When the messages were sent that these numbers cover."""
        while self.sent and self.sent[0][0] <= settled:
            yield self.sent.popleft()[1]


def settled_in(payload: bytes) -> int:
    """Of an ack, the number up to which everything is settled.

    Raises:
        LoadError: the readings were rejected.
    """
    _, found, rest = payload.partition(_SEQ)
    if not found:
        raise LoadError(f"not an ack: {payload[:200]!r}")
    return int(rest.partition(b",")[0].rstrip(b"}"))


def templates(samples: int) -> list[bytes]:
    """Messages with places for the number and the time of each reading."""
    return [_template(kind, samples) for kind in range(_KINDS)]


def _template(kind: int, samples: int) -> bytes:
    readings = b",".join(
        b'{"seq":%d,"ts":%d,"s":' + msgspec.json.encode(_signals(kind + number)) + b"}"
        for number in range(samples)
    )
    return b'{"boot":"%s","epoch":%d,"samples":[' % (BOOT.encode(), EPOCH) + readings + b"]}"


def _signals(number: int) -> dict[str, object]:
    angle = number / 100
    return {
        "lat": round(60.17 + math.sin(angle) / 50, 6),
        "lon": round(24.94 + math.cos(angle) / 50, 6),
        "speed": round(40 + 30 * math.sin(angle * 7), 1),
        "heading": round(math.degrees(angle) % 360, 1),
        "soc": round(80 - number / 1000, 2),
        "odo": round(1000 + number / 100, 2),
        "ignition": True,
        "rat": "LTE",
    }


class Load:
    """The units, connected and attached."""

    def __init__(self, fleet: Fleet) -> None:
        self._units = {}
        units = [Unit(fleet, name, secret) for name, secret in fleet.secrets.items()]
        open_all(units)
        self._poll = select.epoll()
        for unit in units:
            unit.attach()
            self._units[unit.socket.fileno()] = unit
            self._poll.register(unit.socket.fileno(), select.EPOLLIN)

    def run(self, order: Order) -> Figures:
        """Send as ordered, then wait until everything is done."""
        kinds = itertools.cycle(templates(order.samples))
        figures = Figures()
        starts = time.perf_counter() + order.warm_up_s
        ends = starts + order.seconds
        cpu = time.process_time()
        measuring = False
        ready = deque(self._units.values())
        due = time.perf_counter()
        gap = 1 / order.per_s if order.per_s else 0.0

        def took(begun: float, now: float) -> None:
            if measuring and now < ends:
                figures.messages += 1
                figures.delays_ms.append((now - begun) * 1000)

        while (now := time.perf_counter()) < ends:
            if not measuring and now >= starts:
                measuring, starts = True, now
            burst = 0
            while ready and due <= now and burst < 100:
                unit = ready.popleft()
                unit.upload(next(kinds), order.samples, due if gap else now)
                figures.sent += 1
                due += gap
                burst += 1
                if gap or len(unit.sent) < order.under_way:
                    ready.append(unit)
            pause = max(0.0, due - now) if gap else _STEP_S
            self._look(0.0 if burst == 100 else min(pause, _STEP_S), took, ready, order.under_way)
        figures.seconds = now - starts
        figures.delays_ms.sort()
        figures.unsettled = self._drain()
        figures.cpu_s = time.process_time() - cpu
        figures.used = {unit.account.name: unit.last for unit in self._units.values()}
        return figures

    def _look(
        self, timeout_s: float, took: Callable[[float, float], None], ready: deque[Unit], under_way: int
    ) -> None:
        for number, _ in self._poll.poll(timeout_s):
            unit = self._units[number]
            settled = unit.acknowledged()
            if settled:
                waited = len(unit.sent) >= under_way
                now = time.perf_counter()
                for begun in unit.done(settled):
                    took(begun, now)
                if waited and len(unit.sent) < under_way and unit not in ready:
                    ready.append(unit)

    def _drain(self) -> int:
        until = time.perf_counter() + DRAIN_S
        while (left := self._unsettled()) and time.perf_counter() < until:
            self._look(_STEP_S, lambda _begun, _now: None, deque(), 0)
        return left

    def _unsettled(self) -> int:
        return sum(len(unit.sent) for unit in self._units.values())


def main() -> None:
    load: Load | None = None
    for line in sys.stdin.buffer:
        if load is None:
            load = Load(msgspec.json.decode(line, type=Fleet))
            answer = Figures()
        else:
            answer = load.run(msgspec.json.decode(line, type=Order))
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
