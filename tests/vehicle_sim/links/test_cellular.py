"""A vehicle among cells: handovers, loss and return of coverage."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from vehicle_sim.links.air import Change, Direction, Event, Reception
from vehicle_sim.links.cells import URBAN_MACRO, CellLayer, Cells
from vehicle_sim.links.cellular import CellularAir
from vehicle_sim.links.profiles import PROFILES
from vehicle_sim.links.track import Track, Tunnels
from vehicle_sim.links.zones import Zone, zone

_lte = PROFILES["lte"].cells
assert _lte is not None
LTE: CellLayer = replace(_lte, path_loss=replace(URBAN_MACRO, shadow_db=0.0))
UP, DOWN = Direction.UP, Direction.DOWN

# A degree of latitude around 60 degrees is 111.4 km; positions here are metres along a meridian.
LON, LAT, DEGREE_M = 24.94, 60.0, 111_412.0


class Drive:
    """A vehicle that goes north from a place."""

    def __init__(self, layer: CellLayer = LTE, zones: tuple[Zone, ...] = ()) -> None:
        self.air = CellularAir(Cells(layer, 4), zones, Track.random(1, None))
        self.now = 0.0

    def to(self, metres: float, seconds: float = 1.0) -> list[Event]:
        """Be so far north, so much later."""
        self.now += seconds
        return self.air.move(LON, LAT + metres / DEGREE_M, self.now)

    @property
    def rates(self) -> tuple[float, float]:
        """Up and down, at the moment."""
        return self.air.rate(UP, self.now)[0], self.air.rate(DOWN, self.now)[0]


def north(metres: float, to_metres: float) -> Zone:
    """A tunnel of the way between."""
    a, b = LAT + metres / DEGREE_M, LAT + to_metres / DEGREE_M
    return zone("tunnel", [(LON - 0.001, a), (LON + 0.001, a), (LON + 0.001, b), (LON - 0.001, b)])


def test_the_first_position_ends_the_track_without_a_trace() -> None:
    drive = Drive()
    drive.air.advance(0.0)
    on_track = drive.air.reception
    assert on_track.rat == "LTE"
    assert drive.to(0.0) == []  # it was in the network before, and here
    assert min(drive.rates) > 0
    assert drive.air.reception.cell not in {None, on_track.cell}
    assert drive.air.next_change == 10.0  # no more steps on a track


def test_a_vehicle_that_begins_in_a_tunnel_has_no_service() -> None:
    drive = Drive(zones=(north(-50.0, 50.0),))
    drive.air.advance(0.0)
    assert drive.to(0.0) == []
    assert drive.rates == (0, 0)
    assert drive.air.reception == Reception(None, None, None)
    assert drive.to(60.0) == []
    assert min(drive.rates) > 0


def test_a_handover_comes_after_the_time_to_trigger_and_interrupts() -> None:
    drive = Drive()
    drive.to(0.0)
    first = drive.air.reception.cell
    handover, metres = None, 0.0
    while handover is None:
        metres += 10.0
        heard = drive.to(metres)
        handover = next((event for event in heard if event.change is Change.HANDOVER), None)
    started = drive.now - 1.0  # the measurement that began it
    assert handover.at == pytest.approx(started + LTE.time_to_trigger_s)
    assert drive.air.reception.cell != first
    assert handover.detail == f"to {drive.air.reception.cell}"


def test_user_data_stop_for_the_interruption_of_a_handover() -> None:
    drive = Drive()
    metres = 0.0
    while drive.air._handover_at == math.inf:
        metres += 10.0
        drive.to(metres)
    at = drive.air._handover_at
    (event,) = drive.air.advance(at)
    assert event.change is Change.HANDOVER
    assert drive.air.rate(UP, at) == (0.0, at + LTE.interruption_s)
    drive.air.advance(at + LTE.interruption_s)
    assert drive.air.rate(UP, at + LTE.interruption_s)[0] > 0


def test_a_cell_that_is_louder_only_for_a_moment_is_not_taken() -> None:
    drive = Drive()
    metres = 0.0
    while drive.air._handover_at == math.inf:
        metres += 10.0
        drive.to(metres)
    cell = drive.air.reception.cell
    assert drive.to(metres - 60.0, seconds=LTE.time_to_trigger_s / 2) == []  # it turns back in time
    assert drive.air._handover_at == math.inf
    assert drive.air.reception.cell == cell


def test_in_a_tunnel_nothing_passes_and_after_it_the_vehicle_finds_its_way_back() -> None:
    drive = Drive(zones=(north(100.0, 400.0),))
    drive.to(0.0)
    (lost,) = drive.to(150.0)
    assert (lost.at, lost.change) == (2.0, Change.COVERAGE_LOST)
    assert drive.rates == (0, 0)
    assert drive.air.reception.cell is None
    assert drive.to(300.0, seconds=60.0) == []
    (back,) = drive.to(450.0)
    assert (back.change, back.lasted) == (Change.COVERAGE_BACK, 61.0)
    assert drive.rates == (0, 0)
    assert drive.air.next_change == drive.now + LTE.reselect_s
    drive.air.advance(drive.now + LTE.reselect_s)
    drive.now += LTE.reselect_s
    assert min(drive.rates) > 0


def test_a_short_loss_of_coverage_costs_less_than_a_radio_link_failure() -> None:
    drive = Drive(zones=(north(100.0, 110.0),))
    drive.to(95.0)
    drive.to(105.0)
    (back,) = drive.to(115.0, seconds=LTE.radio_link_failure_s / 2)
    assert back.change is Change.COVERAGE_BACK
    assert drive.air.next_change == pytest.approx(drive.now + LTE.interruption_s)


def test_far_from_every_site_there_is_no_service() -> None:
    drive = Drive(replace(LTE, min_rsrp_dbm=-40.0))
    drive.to(0.0)
    assert drive.rates == (0, 0)


def test_the_rates_change_with_the_load_of_the_cell() -> None:
    drive = Drive()
    drive.to(0.0, seconds=3.0)
    assert drive.air.next_change == 10.0
    before = drive.rates
    assert drive.air.rate(UP, 3.0) == (before[0], 10.0)
    drive.air.advance(10.0)
    drive.now = 10.0
    after = drive.rates
    assert after != before
    assert after[0] / before[0] == pytest.approx(after[1] / before[1])


def test_a_track_goes_straight_on_and_through_tunnels() -> None:
    track = Track.random(7, Tunnels(every_m=1400.0, length_m=280.0))
    (x0, y0), (x1, y1) = track.at(0.0), track.at(100.0)
    assert math.hypot(x1 - x0, y1 - y0) == pytest.approx(1400.0)
    inside = [t for t in range(300) if track.in_tunnel(t + 0.5)]
    assert inside == [*range(50, 70), *range(150, 170), *range(250, 270)]
    assert not Track.random(7, None).in_tunnel(60.0)
    air = CellularAir(Cells(LTE, 4), (), track)
    lost = [event.at for event in air.advance(300.0) if event.change is Change.COVERAGE_LOST]
    assert lost == [50.0, 150.0, 250.0]
