"""Delivery-opportunity traces."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.links.errors import LinkError
from vehicle_sim.links.mahimahi import OPPORTUNITY_BYTES, Opportunities, parse, read

if TYPE_CHECKING:
    from pathlib import Path

times = st.lists(st.integers(0, 3000), min_size=1, max_size=60).map(sorted).filter(lambda ms: ms[-1] > 0)


def parsed(ms: list[int]) -> Opportunities:
    return parse("t", [b"%d" % number for number in ms])


def bytes_between(trace: Opportunities, begin: float, end: float) -> float:
    """The integral of the rate."""
    t, total = begin, 0.0
    while t < end:
        rate, until = trace.rate(t)
        assert until > t
        total += rate * (min(until, end) - t)
        t = until
    return total


@given(times, st.integers(0, 3))
def test_each_period_carries_each_line_once(ms: list[int], turn: int) -> None:
    trace = parsed(ms)
    period = ms[-1] / 1000
    carried = bytes_between(trace, turn * period, (turn + 1) * period)
    assert carried == pytest.approx(len(ms) * OPPORTUNITY_BYTES, rel=1e-6)
    assert trace.mean_rate == pytest.approx(carried / period, rel=1e-6)


@given(times, st.integers(0, 9000))
def test_the_rate_of_a_millisecond_is_that_of_its_lines(ms: list[int], at: int) -> None:
    trace = parsed(ms)
    place = at % ms[-1]
    lines = sum(1 for number in ms if number % ms[-1] == place)
    rate, until = trace.rate(at / 1000)
    assert rate == lines * OPPORTUNITY_BYTES * 1000
    if lines:
        assert until == pytest.approx((at + 1) / 1000)
    else:  # the next line, here or in the next turn
        following = min((number - place) % ms[-1] or ms[-1] for number in ms)
        assert until == pytest.approx((at + following) / 1000)


@given(times)
def test_plain_and_gzipped_files_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, ms: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("trace")
    text = "".join(f"{number}\n" for number in ms).encode()
    (folder / "a.up").write_bytes(text)
    (folder / "b.up").write_bytes(gzip.compress(text))
    assert read(folder / "a.up") == read(folder / "b.up") == parsed(ms)


def test_one_line_of_one_millisecond_is_12_mbit_s_for_ever() -> None:
    trace = parsed([1])
    assert trace.mean_rate * 8 == 12e6
    assert [trace.rate(t)[0] * 8 for t in (0.0, 0.5, 77.3)] == [12e6] * 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"1\n2\nx\n", r"t\.up:3: 'x' is no whole number of milliseconds"),
        (b"1\n\n2\n", r"t\.up:2: '' is no whole number"),
        (b"5\n-1\n", r"t\.up:2: '-1' is no whole number"),
        (b"1.5\n", r"t\.up:1: '1.5' is no whole number"),
        (b"99999999999999999999\n", r"t\.up:1: "),
        (b"\xff\xfe\n", r"t\.up:1: "),
        (b"7\n3\n", r"t\.up:2: 3 ms comes after 7 ms"),
        (b"", "no delivery opportunity after 0 ms"),
        (b"0\n0\n", "no delivery opportunity after 0 ms"),
        (gzip.compress(b"1\n" * 4000, mtime=0)[:-9], "cut off or damaged"),
        (b"\x1f\x8b\x08nonsense", "cut off or damaged"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "t.up").write_bytes(content)
    with pytest.raises(LinkError, match=said):
        read(tmp_path / "t.up")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"none\.up: cannot be read: No such file"):
        read(tmp_path / "none.up")
