"""The latest values: by the time of measurement, in any order of arrival."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from fleetcell.contract.topics import Channel, VehicleTopic
from ingest.clock import Dated
from ingest.decode import Upload
from ingest.latest import (
    MAX_SIGNALS,
    Latest,
    Signals,
    decode,
    encode,
    merge,
    merged,
    newest,
    position,
    row_of,
    value,
)
from ingest.readings import gather
from ingest.settle import Fresh

signals = st.dictionaries(st.sampled_from("abc"), st.builds(Latest, st.integers(0, 3), st.integers(0, 50)))


TOPIC = VehicleTopic("helsinki", "car", Channel.TELEMETRY)
BOOT = "0123456789abcdef0123456789abcdef"
speeds = st.floats(0, 100).map(lambda speed: {"speed": speed, "soc": speed / 2})
some = st.dictionaries(st.sampled_from(["speed", "soc", "rpm"]), st.none() | st.floats(0, 100))


def by_time(found: Signals) -> dict[str, int]:
    return {key: latest.t for key, latest in found.items()}


@given(st.lists(signals, max_size=5), st.randoms(use_true_random=False))
def test_merging_in_any_order_ends_with_the_newest(parts: list[Signals], rng: object) -> None:
    shuffled = list(parts)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    one: Signals = {}
    other: Signals = {}
    for part in parts:
        one = merge(one, part)
    for part in shuffled:
        other = merge(other, part)
    assert by_time(one) == by_time(other)
    assert by_time(one) == {
        key: max(part[key].t for part in parts if key in part) for key in {k for p in parts for k in p}
    }


@given(
    readings=st.lists(speeds, min_size=1, max_size=8) | st.lists(some, min_size=1, max_size=8),
    data=st.data(),
)
def test_the_newest_of_each_signal_whatever_the_readings_hold(
    readings: list[dict[str, float | None]], data: st.DataObject
) -> None:
    """All alike or not: the last by (time, number) of each vehicle and signal, wrong clocks left out."""
    rows = range(len(readings))
    times = data.draw(st.permutations([1000 * row for row in rows]))
    vehicles = data.draw(st.lists(st.integers(1, 3), min_size=len(rows), max_size=len(rows)))
    wrong = data.draw(st.sets(st.sampled_from(rows)))
    uploads = [Upload(TOPIC, BOOT, 1, 10**6, [row + 1], [times[row]], [dict(readings[row])]) for row in rows]
    found = newest(
        gather(
            (vehicles[row], Fresh(uploads[row], None, Dated([times[row]], [0] if row in wrong else [])))
            for row in rows
        )
    )
    expected: dict[int, Signals] = {}
    for row in sorted(set(rows) - wrong, key=times.__getitem__):
        held = expected.setdefault(vehicles[row], {})
        held |= {k: Latest(v, times[row] // 1000) for k, v in readings[row].items() if v is not None}
    expected = {vehicle: held for vehicle, held in expected.items() if held}
    assert found.keys() == expected.keys()
    for vehicle, held in expected.items():
        assert decode(found[vehicle].document) == held
        assert structs.replace(found[vehicle], document="") == structs.replace(row_of(held), document="")


@given(signals.filter(bool), signals.filter(bool))
def test_rows_merge_as_their_signals_do(held: Signals, found: Signals) -> None:
    assert merged(row_of(held), row_of(found)) == row_of(merge(held, found))


@given(signals)
def test_the_column_reads_back(found: Signals) -> None:
    assert decode(encode(found)) == found


def test_made_up_signals_do_not_pile_up() -> None:
    known = {"speed": Latest(1.0, 0)}
    held = merge(known, {f"x{n}": Latest(n, n) for n in range(1, MAX_SIGNALS + 1)})
    assert len(held) == MAX_SIGNALS
    assert "speed" in held
    assert "x1" not in held


def test_a_position_needs_both_coordinates() -> None:
    assert position({"lat": Latest(1.0, 5)}) is None
    here = position({"lat": Latest(1.0, 5), "lon": Latest(2.0, 5), "speed": Latest(3.0, 1)})
    assert here is not None
    assert (here.time_ms, here.lat, here.lon, here.heading, here.speed) == (5, 1.0, 2.0, None, 3.0)
    assert value({}, "lat") is None
