"""The latest values: by the time of measurement, in any order of arrival."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.latest import MAX_SIGNALS, Latest, Signals, decode, encode, merge, position, value

signals = st.dictionaries(st.sampled_from("abc"), st.builds(Latest, st.integers(0, 3), st.integers(0, 50)))


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
