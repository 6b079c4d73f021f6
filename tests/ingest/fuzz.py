"""Poison: damaged and hostile payloads through all that ingest does before the database.

    python -m tests.ingest.fuzz [--payloads 1000000] [--seed N]

Fails when anything raises, or when a payload or one of its samples is not accounted for. The seed that is
printed gives the same payloads again.
"""

from __future__ import annotations

import argparse
import random
import re
import secrets
import sys
import time
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import asdict
from rich.progress import Progress

from fleetcell.contract.errors import PayloadError
from fleetcell.contract.ledger import MAX_SEQ, from_multirange, to_multirange
from fleetcell.contract.messages import Event, Sample, Telemetry, encode, encode_msgpack
from fleetcell.contract.topics import Channel
from ingest.batch import Batch
from ingest.clock import MOST_UP_MS
from ingest.dead_letters import dead_letters, event_json, revive, sample_json
from ingest.decode import Upload
from ingest.settle import LedgerRow, Settlement, settle
from ingest.shapes import Shapes
from ingest.store import prepare
from tests.ingest.units import NOW_US, arrival

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingest.inbox import Arrival

BATCH: Final = 100  # payloads in one transaction
VEHICLES: Final = {f"car-{n}": n for n in range(1, 8)}
BOOTS: Final = ("0" * 32, "ab" * 16, "f" * 32)
CHANNELS: Final = (Channel.TELEMETRY, Channel.TELEMETRY_MP, Channel.EVENT)
NOW_MS: Final = NOW_US // 1000
USUAL: Final[dict[str, Any]] = {
    "lat": 60.17, "lon": 24.94, "speed": 51.5, "heading": 359.0, "ignition": True, "rat": "NR", "gear": -1,
}  # fmt: skip
ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**62, 2**62 + 1, 2**63, 2**64 - 1, -(2**63), 0.0, -0.0, 0.1,
    1e308, 5e-324, "", "\0", "\ud7ff", "x" * 300, "1970-01-01T00:00:00Z", "2016-12-31T23:59:60Z",
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:60-23:59", [], {}, [[]], [[1, 2]], [[2, 1]], [[0, 2**62]],
    {"": 0}, {"\0": "\0"}, {"a": {"b": [1, None, {"c": "\0"}]}}, NOW_MS, NOW_MS + 10**9,
    NOW_MS - 1024 * 604_800_000,
)  # fmt: skip
ODD_TEXT: Final = (
    b"NaN", b"Infinity", b"-0", b"1e999", b"1" * 400, b'"\\ud800"', b'"\\u0000"', b"[" * 600, b"{", b"}",
    b",", b"\xff\xfe", b"\xed\xa0\x80", b"\x00", b'"', b"\\", b" " * 50, b'{"seq":1}', b'"s":{"lat":91}',
)  # fmt: skip
_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?")


def corpus() -> list[tuple[Channel, Any]]:
    """Messages as units send them."""
    extra = {"dtc": ["P0301"], "my.key": {"deep": [1, None, "x"]}, "note": "\N{SNOWMAN}"}
    found: list[tuple[Channel, Any]] = []
    for boot in BOOTS:
        few = [Sample(n, NOW_MS - 1000 * n, USUAL | (extra if n % 2 else {}), 5000 * n) for n in range(1, 4)]
        alike = [Sample(n, NOW_MS - 1000 * n, USUAL) for n in range(21, 24)]
        found += [
            (Channel.TELEMETRY, Telemetry(boot, 1, alike, None, 20_000)),
            (Channel.TELEMETRY_MP, Telemetry(boot, 1, alike)),
            (Channel.TELEMETRY, Telemetry(boot, 1, few, [(7, 9)], 20_000)),
            (Channel.TELEMETRY_MP, Telemetry(boot, 1, few, None, 20_000)),
            (
                Channel.TELEMETRY,
                Telemetry(boot, 2, [Sample(n, "2026-11-20T10:00:00Z", {}) for n in (4, 4, 5)]),
            ),
            (Channel.TELEMETRY, Telemetry(boot, 3, [], [(1, 2**62)])),
            (
                Channel.EVENT,
                Event(boot, 1, 11, NOW_MS, "dtc", {"code": "P0301", "lat": 60.1, "lon": 24.9}, 7, 9),
            ),
        ]
    return found


class Poison:
    """Payloads of a seed, one after the other."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._corpus = [
            (channel, msgspec.to_builtins(message), self._bytes(channel, message))
            for channel, message in corpus()
        ]
        damage = (self._bits, self._cut, self._noise, self._splice)
        self._kinds: tuple[Callable[[Channel, Any, bytes], bytes], ...] = (
            *damage, *([self._values] * 8), *([self._numbers] * 2), self._whole,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Arrival]:
        """For ever."""
        rng = self._rng
        while True:
            channel, message, payload = rng.choice(self._corpus)
            for _ in range(rng.choice((1, 1, 1, 2, 4))):
                payload = rng.choice(self._kinds)(channel, message, payload)
            payload = payload.replace(BOOTS[0].encode(), rng.randbytes(16).hex().encode())
            if rng.random() < 0.05:
                channel = rng.choice(CHANNELS)
            yield arrival(rng.choice(tuple(VEHICLES)), payload, channel)

    @staticmethod
    def _bytes(channel: Channel, message: Any) -> bytes:
        return encode_msgpack(message) if channel is Channel.TELEMETRY_MP else encode(message)

    @staticmethod
    def _whole(_channel: Channel, _message: Any, payload: bytes) -> bytes:
        return payload

    def _bits(self, _channel: Channel, _message: Any, payload: bytes) -> bytes:
        damaged = bytearray(payload)
        for _ in range(self._rng.randint(1, 4)):
            if damaged:
                damaged[self._rng.randrange(len(damaged))] = self._rng.randrange(256)
        return bytes(damaged)

    def _cut(self, _channel: Channel, _message: Any, payload: bytes) -> bytes:
        start = self._rng.randrange(len(payload) + 1)
        return payload[:start] if self._rng.random() < 0.7 else payload[start:]

    def _noise(self, _channel: Channel, _message: Any, payload: bytes) -> bytes:
        place = self._rng.randrange(len(payload) + 1)
        noise = self._rng.choice(ODD_TEXT) if self._rng.random() < 0.8 else self._rng.randbytes(8)
        return payload[:place] + noise + payload[place:]

    def _splice(self, _channel: Channel, _message: Any, payload: bytes) -> bytes:
        _, _, other = self._rng.choice(self._corpus)
        return payload[: self._rng.randrange(len(payload) + 1)] + other[self._rng.randrange(len(other)) :]

    def _numbers(self, _channel: Channel, _message: Any, payload: bytes) -> bytes:
        places = list(_NUMBER.finditer(payload))
        if not places:
            return payload
        place = self._rng.choice(places)
        value = self._rng.choice(
            (b"0", b"-1", b"1e999", b"4611686018427387905", b"null", b"1.5", b"9" * 30, b'"7"')
        )
        return payload[: place.start()] + value + payload[place.end() :]

    def _values(self, channel: Channel, message: Any, payload: bytes) -> bytes:
        """Another value somewhere in the message: well formed, and wrong."""
        changed = self._changed(message, self._rng.choice((1, 3, 4, 4, 5, 5, 6)))
        try:
            return self._bytes(channel, changed)
        except (OverflowError, UnicodeEncodeError, TypeError):  # no MessagePack for it
            return payload

    def _changed(self, value: Any, depth: int) -> Any:
        rng = self._rng
        if depth == 0 or not value or not isinstance(value, dict | list | tuple):
            return rng.choice(ODD)
        if isinstance(value, dict):
            inner = [name for name in ("samples", "s", "data") if name in value]
            key = inner[0] if inner and depth > 1 and rng.random() < 0.8 else rng.choice(list(value))
            rest = {name: one for name, one in value.items() if name != key or rng.random() < 0.9}
            return rest | {key: self._changed(value[key], depth - 1)} if key in rest else rest
        place = rng.randrange(len(value))
        return [*value[:place], self._changed(value[place], depth - 1), *value[place + 1 :]]


def account(arrivals: list[Arrival], held: dict[tuple[int, str], LedgerRow]) -> Counter[str]:
    """Take a batch in, twice, as far as the database; what became of it.

    Raises:
        AssertionError: something is not accounted for.
    """
    batch, by_shape, shapes = Batch(), Batch(), Shapes()
    rng = random.Random(len(held))
    for one in arrivals:
        shapes.learn(one.topic.vehicle, Telemetry(rng.choice(BOOTS[1:]), 1, [Sample(1, NOW_MS, USUAL)]))
        upload, same = batch.add(one), by_shape.add(one, shapes)
        assert _told(upload) == _told(same), "decoding by shape changes nothing"
    assert by_shape.rejections == batch.rejections
    assert len(batch.uploads) + len(batch.rejections) == len(arrivals), "each payload is taken or refused"
    count = Counter(payloads=len(arrivals), refused=len(batch.rejections))
    prepared = prepare(batch, VEHICLES)
    assert prepared.rows.copy.startswith(b"PGCOPY\n\xff\r\n\0")
    for key, uploads in prepared.groups.items():
        outcome = settle(held.get(key, LedgerRow()), uploads)
        again = settle(outcome.row, uploads)
        assert not again.fresh
        assert not again.events, "what is settled is not new again"
        held[key] = _fits(outcome)
        given = sum(len(upload.seqs) + len(upload.events) for upload in uploads)
        stored = sum(len(f.upload.seqs if f.positions is None else f.positions) for f in outcome.fresh)
        assert given == stored + len(outcome.events) + outcome.duplicates, "each reading is new or known"
        for fresh in again.repeated:
            for position in fresh.positions or ():
                sample_json(fresh.upload, position)
        for event in again.repeated_events:
            event_json(event.event)
        count.update(readings=stored, events=len(outcome.events), duplicates=outcome.duplicates)
    count["bad"] = sum(len(upload.bad) for upload in batch.uploads)
    letters = dead_letters(batch)
    assert len(letters) == count["bad"] + count["refused"], "what is not stored is a dead letter"
    for letter in letters:
        try:
            Batch().add(revive(letter, NOW_US))
        except PayloadError:
            count["not revived"] += 1
    return count


def _told(upload: Upload | None) -> str:
    """All that it says; as text, because a NaN is not equal to itself. In a column 1 is 1.0, and -0 is 0."""
    if upload is None:
        return ""
    signals = [sorted((key, _plain(value)) for key, value in one.items()) for one in upload.signals]
    return repr(asdict(upload) | {"signals": signals})


def _plain(value: Any) -> Any:
    return value + 0.0 if type(value) in {int, float} and abs(value) < 2**53 else value


def _fits(outcome: Settlement) -> LedgerRow:
    """The row, if the database can hold it; small, so that a run does not grow."""
    row = outcome.row
    for ranges in (row.received, row.evicted, row.quarantined, row.dead, row.corrected):
        assert from_multirange(to_multirange(ranges)) == ranges
    assert 0 <= outcome.claimed <= MAX_SEQ
    assert row.origin_us is None or NOW_US - MOST_UP_MS * 1000 <= row.origin_us <= NOW_US
    return row if len(row.received) < 50 else LedgerRow()


def run(payloads: int, seed: int, told: Callable[[int], None]) -> tuple[Counter[str], list[str]]:
    """Poison of a seed; what became of it, and the faults."""
    count: Counter[str] = Counter()
    faults: list[str] = []
    held: dict[tuple[int, str], LedgerRow] = {}
    source = iter(Poison(seed))
    while count["payloads"] < payloads and len(faults) < 5:
        arrivals = [next(source) for _ in range(min(BATCH, payloads - count["payloads"]))]
        try:
            count += account(arrivals, held)
        except Exception:  # noqa: BLE001 - that is what is looked for
            faults.append(f"{traceback.format_exc()}{_culprits(arrivals)}")
            count["payloads"] += len(arrivals)
        told(len(arrivals))
    return count, faults


def _culprits(arrivals: list[Arrival]) -> str:
    """Those of a batch that fail by themselves."""
    found = []
    for one in arrivals:
        try:
            account([one], {})
        except Exception:  # noqa: BLE001 - as above
            found.append(f"{one.topic.channel} {one.payload!r}")
    return "\n".join(found) or "no payload fails by itself"


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payloads", "--packets", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    began = time.monotonic()
    with Progress() as progress:
        task = progress.add_task("payloads", total=given.payloads)
        count, faults = run(given.payloads, given.seed, lambda done: progress.advance(task, done))
    print(f"{time.monotonic() - began:.0f} s: " + ", ".join(f"{n:,} {what}" for what, n in count.items()))
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(_main())
