"""Whether packets pass a link, and why not: what the truth about a unit's reachability rests on."""

from __future__ import annotations

import pytest

from tests.vehicle_sim.links.virtual import quiet_link
from vehicle_sim.links import PROFILES, Links
from vehicle_sim.links.air import Direction
from vehicle_sim.links.link import Link
from vehicle_sim.links.mahimahi import parse
from vehicle_sim.links.profiles import TRACE
from vehicle_sim.links.recorded import OpportunityAir
from vehicle_sim.links.transport import Modem


def test_a_black_hole_is_an_outage_until_it_is_over() -> None:
    link = quiet_link()
    assert link.outage(9.0) is None
    link.black_hole(10.0, 30.0)
    assert [link.outage(at) for at in (10.0, 39.9, 40.0)] == ["black hole", "black hole", None]


def test_a_suspended_sim_is_an_outage_until_it_is_resumed() -> None:
    link = quiet_link()
    link.suspend_sim(1.0)
    assert link.outage(100.0) == "SIM suspended"
    link.resume_sim(101.0)
    assert link.outage(101.0) is None


def test_a_second_without_capacity_is_an_outage_a_short_gap_is_none() -> None:
    dense = [b"%d" % at for at in (*range(1, 1000, 20), *range(4000, 6000, 20))]
    recorded = parse("dense", dense)
    link = Link(TRACE, OpportunityAir(recorded, recorded, 0.0), 1)
    assert [link.outage(at) for at in (0.5, 1.5, 2.9, 3.5, 4.5)] == [
        None, "no capacity", "no capacity", None, None
    ]  # fmt: skip


def test_one_direction_without_capacity_is_enough() -> None:
    always = parse("always", [b"%d" % at for at in range(1, 6000, 20)])
    seldom = parse("seldom", [b"1", b"6000"])
    link = Link(TRACE, OpportunityAir(always, seldom, 0.0), 1)
    assert link.outage(2.0) == "no capacity"


def test_where_no_cell_is_heard_there_is_no_coverage() -> None:
    link = Links(PROFILES["rural"], 5).make("car")
    seen = set()
    for second in range(600):
        link.move(24.0 + second * 1e-3, 60.17, float(second))
        outage = link.outage(second + 0.5)
        assert (outage == "no coverage") == (not link.covered)
        seen.add(outage)
    assert {None, "no coverage"} <= seen


@pytest.mark.parametrize("fault", ["black hole", "new address"])
async def test_connections_that_are_all_half_open_pass_nothing(fault: str) -> None:
    modem = Modem(quiet_link())
    assert modem.outage is None, "without a connection nothing is half open"
    before = modem.pump.open()
    assert modem.outage is None
    if fault == "black hole":
        modem.pump.black_hole(0.0)
    else:
        modem.pump.suspend_sim()
        modem.pump.resume_sim()
    assert modem.outage == "half open"
    modem.pump.open()
    assert modem.outage is None, "one of them passes"
    assert not modem.link.alive(before.number)
    modem.drop()


def test_looking_changes_nothing() -> None:
    def arrivals(*, look: bool) -> list[float]:
        link = Links(PROFILES["storm"], 5).make("car")
        link.move(24.94, 60.17, 0.0)
        flow, found = link.open(0.0), []
        for step in range(400):
            at = step * 0.25
            if look:
                link.outage(at - 0.1 if step else 0.0)
                link.outage(at)
            link.send(Direction.UP, flow, bytes(300), at)
            found += [delivery.at for delivery in link.advance(at + 0.2)]
        return found

    assert arrivals(look=True) == arrivals(look=False)
