"""The link does what its profile or trace says: throughput, delay, outages. In virtual time, so exact."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import TYPE_CHECKING

import pytest

from tests.vehicle_sim.links.virtual import SteadyAir, bulk, quiet_link, run_out, size
from vehicle_sim.links import PROFILES, Links, load
from vehicle_sim.links.air import Direction
from vehicle_sim.links.line import HEADER_BYTES
from vehicle_sim.links.link import Link
from vehicle_sim.links.mahimahi import read

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 60.0
CELLULAR = [name for name, profile in PROFILES.items() if profile.cells is not None]


def outage_trace(path: Path, begins_s: int = 8, ends_s: int = 86, period_s: int = 100) -> Path:
    """A trace like that of a drive: a packet every 4 to 12 ms, and an outage of 78 s."""
    ms, lines = 0, []
    for step in itertools.cycle((4, 7, 12, 5)):
        ms += step
        if begins_s * 1000 <= ms < ends_s * 1000:
            ms = ends_s * 1000
        if ms >= period_s * 1000:
            break
        lines.append(ms)
    path.write_text("".join(f"{line}\n" for line in [*lines, period_s * 1000]))
    return path


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("rate", [20e3, 1.5e6])
def test_a_bulk_transfer_gets_the_rate(direction: Direction, rate: float) -> None:
    link = quiet_link(SteadyAir(rate, rate))
    assert size(bulk(link, direction, 0.0, 20.0)) == pytest.approx(rate * 20, rel=0.005, abs=1500)


def test_the_directions_have_rates_of_their_own_and_do_not_disturb_each_other() -> None:
    link = quiet_link(SteadyAir(1e5, 9e5))
    flow = link.open(0.0)
    for direction in Direction:
        for _ in range(2000):
            link.send(direction, flow, bytes(1460), 0.0)
    arrived = link.advance(1.0)
    up, down = (size(d for d in arrived if d.direction is direction) for direction in Direction)
    assert up == pytest.approx(1e5, abs=1500)
    assert down == pytest.approx(9e5, abs=1500)


def test_an_outage_in_the_air_is_an_outage_of_the_transfer_and_nothing_is_lost() -> None:
    link = quiet_link(SteadyAir(1e5, 1e5, gap=(10.0, 88.0)), up_s=0.05)
    arrived = bulk(link, Direction.UP, 0.0, 120.0)
    times = [d.at for d in arrived]
    gap, begin = max((b - a, a) for a, b in itertools.pairwise(times))
    assert gap == pytest.approx(78.0, abs=0.03)
    assert begin == pytest.approx(10.05, abs=0.03)
    assert size(arrived) == pytest.approx(1e5 * (120 - 78), rel=0.002)
    assert link.vanished_bytes == 0


def test_a_trace_drives_a_bulk_transfer_as_it_says(tmp_path: Path) -> None:
    path = outage_trace(tmp_path / "drive.up")
    outage_trace(tmp_path / "drive.down", begins_s=40, ends_s=41)
    says = read(path)
    start, seconds = 3.0, 120.0  # over the end of the trace
    link = load(f"trace:{path}@{start:g}", seed=1).make("car")
    arrived = bulk(link, Direction.UP, 0.0, seconds)
    expected, t = 0.0, start
    while t < start + seconds:
        rate, until = says.rate(t)
        expected += rate * (until - t)
        t = until
    assert size(arrived) == pytest.approx(expected, rel=0.01)
    gap, begin = max((b.at - a.at, a.at) for a, b in itertools.pairwise(arrived))
    assert gap == pytest.approx(78.0, abs=0.1)
    assert begin + start == pytest.approx(8.0, abs=0.1)


def test_what_is_sent_in_an_outage_arrives_after_it_in_its_order(tmp_path: Path) -> None:
    path = outage_trace(tmp_path / "drive.up")
    outage_trace(tmp_path / "drive.down")
    link = load(f"trace:{path}", seed=1).make("car")
    flow = link.open(0.0)
    for second in range(95):
        link.send(Direction.UP, flow, b"%03d" % second, float(second))
    arrived = run_out(link, until=99.0)
    assert [d.data for d in arrived] == [b"%03d" % second for second in range(95)]
    late = [d for d in arrived if 8.01 < d.sent_at < 85.99]
    assert len(late) == 77
    assert all(86.0 <= d.at < 86.5 for d in late)


def test_the_delay_has_the_distribution_of_the_profile() -> None:
    """Least delay plus an exponential rest: the quantiles are known."""
    fixed, mean = 0.030, 0.008
    link = quiet_link(up_s=fixed, jitter_s=mean)
    flow = link.open(0.0)
    delays = []
    for probe in range(6000):
        link.send(Direction.UP, flow, b"probe", probe * 0.5)
        delays += [d.at - d.sent_at for d in run_out(link)]
    assert len(delays) == 6000
    assert min(delays) >= fixed
    assert statistics.mean(delays) == pytest.approx(fixed + mean, rel=0.02)
    quantiles = statistics.quantiles(delays, n=100)
    for percent in (25, 50, 75, 90, 99):
        says = fixed - mean * math.log(1 - percent / 100)
        assert quantiles[percent - 1] == pytest.approx(says, rel=0.05)


def test_losses_are_stalls_of_the_share_and_length_that_the_profile_says() -> None:
    """Lost once: 200 ms and a round trip more; each further loss doubles the wait."""
    link = quiet_link(up_s=0.02, down_s=0.03, loss=0.1)
    flow = link.open(0.0)
    for probe in range(5000):
        link.send(Direction.UP, flow, b"probe", probe * 60.0)
    waits = [d.at - d.sent_at - 0.02 for d in run_out(link)]
    lost = [wait for wait in waits if wait > 1e-3]
    assert len(waits) == 5000
    assert link.stalled == len(lost)
    assert len(lost) / len(waits) == pytest.approx(0.1, abs=0.015)
    steps = {round(wait / 0.25) for wait in lost}  # 1, 1 + 2, 1 + 2 + 4, ... times 250 ms
    assert steps <= {2**n - 1 for n in range(1, 7)}
    assert sum(wait > 0.3 for wait in lost) / len(lost) == pytest.approx(0.1, abs=0.04)


def test_a_stall_holds_what_is_behind_and_a_bulk_transfer_keeps_its_rate() -> None:
    link = quiet_link(SteadyAir(2e5, 2e5), loss=0.03)
    arrived = bulk(link, Direction.UP, 0.0, SECONDS)
    assert [d.at for d in arrived] == sorted(d.at for d in arrived)
    assert size(arrived) == pytest.approx(2e5 * SECONDS, rel=0.02)
    assert max(b.at - a.at for a, b in itertools.pairwise(arrived)) > 0.15


def test_idle_radio_takes_its_time_to_wake_and_goes_back_to_sleep() -> None:
    link = quiet_link(promotion_s=0.26, paging_s=0.64, inactivity_s=10.0, up_s=0.03, down_s=0.02)
    flow = link.open(0.0)
    sent = [
        (0.0, Direction.UP, 0.29),  # promoted
        (5.0, Direction.UP, 0.03),  # connected
        (14.9, Direction.DOWN, 0.02),  # still
        (25.5, Direction.DOWN, 0.92),  # idle again: paged, promoted
        (26.0, Direction.UP, 0.43),  # waits for the promotion under way
        (45.0, Direction.UP, 0.29),
    ]
    arrived = []
    for at, direction, _ in sent:
        arrived += link.advance(at)
        link.send(direction, flow, b"x", at)
    arrived = sorted([*arrived, *run_out(link)], key=lambda d: d.sent_at)
    assert [d.at - d.sent_at for d in arrived] == [pytest.approx(delay, abs=0.001) for *_, delay in sent]


@pytest.mark.parametrize("name", CELLULAR)
@pytest.mark.parametrize("direction", list(Direction))
def test_each_profile_carries_what_its_cells_say(name: str, direction: Direction) -> None:
    """A bulk transfer along a track, against the integral of the rates of an equal air."""
    links, profile = Links(PROFILES[name], seed=11), PROFILES[name]
    end = 10.0 if name == "5g" else 40.0
    arrived = bulk(links.make("car"), direction, 0.0, end)
    begin = profile.promotion_s + (profile.paging_s if direction is Direction.DOWN else 0.0)
    air, says, t = links.make("car")._air, 0.0, begin
    while t < end:
        air.advance(t)
        rate, until = air.rate(direction, t)
        until = min(until, air.next_change, end)
        says += rate * (until - t)
        t = until
    assert says > 0
    assert size(arrived) == pytest.approx(says, rel=0.03)


def test_a_perfect_link_is_as_if_there_were_none() -> None:
    link = load("perfect", seed=1).make("car")
    flow = link.open(0.0)
    link.send(Direction.UP, flow, bytes(1_000_000), 1.0)
    assert sum(len(d.data) for d in link.advance(1.0) if isinstance(d.data, bytes)) == 1_000_000


def test_data_is_cut_into_tcp_segments_with_headers() -> None:
    link: Link = quiet_link(SteadyAir(1e6, 1e6))
    flow = link.open(0.0)
    link.send(Direction.UP, flow, bytes(3000), 0.0)
    arrived = run_out(link)
    assert [len(d.data) for d in arrived if isinstance(d.data, bytes)] == [1460, 1460, 80]
    assert arrived[-1].at == pytest.approx((3000 + 3 * HEADER_BYTES) / 1e6)
    assert link.passed[Direction.UP].bytes == 3000 + 3 * HEADER_BYTES
