"""Which gateway a unit should be at."""

from __future__ import annotations

import random

import h3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.messages import RegionEntry
from vehicle_sim.roaming import Roaming, RoamingPolicy

POLICY = RoamingPolicy(silent_s=8, try_s=10, retry_first_s=15, retry_cap_s=300)
WEST, MIDDLE, EAST = (60.17, 24.60), (60.17, 24.90), (60.17, 25.20)
NOWHERE = (10.0, 10.0)


def entry(*places: tuple[float, float], storing: bool | None = True) -> RegionEntry:
    cells = [h3.latlng_to_cell(*place, 5) for place in places]
    return RegionEntry(f"ws://{cells[0]}/mqtt", cells, storing=storing)


ENTRIES = {"west": entry(WEST), "middle": entry(MIDDLE), "east": entry(EAST)}


def roaming(served: str = "west", *, connected: bool = True) -> Roaming:
    made = Roaming(served, ENTRIES, POLICY, random.Random(1), now=0.0)
    if connected:
        made.connected()
    return made


def test_the_first_gateway_is_that_of_the_position() -> None:
    unit = roaming(connected=False)
    assert unit.start() == "west", "no position yet"
    unit.moved(*EAST)
    assert unit.start() == "east"
    unit.moved(*NOWHERE)
    assert unit.start() == "east", "no region there: it stays"


def test_a_unit_that_crosses_a_border_is_handed_over_and_stays() -> None:
    unit = roaming()
    unit.moved(*WEST)
    assert unit.target(1) is None
    unit.moved(*MIDDLE)
    assert unit.target(2) == "middle"
    unit.arrived("middle", 3)
    assert unit.target(3) is None
    assert unit.due(3) == float("inf")


def test_on_a_border_a_unit_stays_with_the_gateway_that_serves_it() -> None:
    here = h3.latlng_to_cell(*MIDDLE, 7)
    there = next(cell for cell in h3.grid_disk(here, 1) if cell != here)
    (lat, lon), (to_lat, to_lon) = h3.cell_to_latlng(here), h3.cell_to_latlng(there)
    way = [(lat + (to_lat - lat) * i / 1000, lon + (to_lon - lon) * i / 1000) for i in range(1001)]
    cells = [h3.cell_to_parent(h3.latlng_to_cell(*place, 11), 7) for place in way]
    beyond = cells.index(there)
    entries = {name: RegionEntry(f"ws://{name}/mqtt", [cell]) for name, cell in (("a", here), ("b", there))}
    unit = Roaming("a", entries, POLICY, random.Random(1), now=0.0)
    unit.connected()
    for place in (way[beyond], way[beyond - 1], way[beyond]):
        unit.moved(*place)
        assert unit.target(1) is None, "a position that jumps over the border moves nobody"
    unit.moved(*way[-1])
    assert unit.target(2) == "b"
    unit.arrived("b", 3)
    for place in (way[beyond - 1], way[beyond], way[beyond - 1]):
        unit.moved(*place)
        assert unit.target(4) is None
    unit.moved(*way[0])
    assert unit.target(5) == "a"
    new = Roaming("a", entries, POLICY, random.Random(1), now=0.0)
    new.moved(*way[beyond])
    assert new.start() == "b"
    new.connected()
    assert new.target(1) is None, "it has begun there"


def test_what_failed_once_is_forgotten_when_the_gateway_has_taken_the_unit() -> None:
    unit = roaming()
    for _ in range(5):
        unit.failed("east", 0)
    unit.arrived("east", 1000)
    unit.arrived("west", 2000)
    unit.moved(*EAST)
    unit.failed("east", 3000)
    assert unit.target(3000 + POLICY.retry_first_s * 1.25) == "east"


def test_a_gateway_that_does_not_take_it_in_is_tried_again_later_and_later() -> None:
    unit = roaming()
    unit.moved(*MIDDLE)
    now, pauses = 0.0, []
    for _ in range(8):
        assert unit.target(now) == "middle"
        unit.failed("middle", now)
        assert unit.target(now) is None
        pauses.append(unit.due(now) - now)
        now = unit.due(now)
    assert 15 * 0.75 <= pauses[0] <= 15 * 1.25
    assert pauses[2] > pauses[0]
    assert max(pauses) <= 300 * 1.25
    unit.arrived("middle", now)
    assert unit.due(now) == float("inf")


def test_without_the_own_gateway_the_neighbours_are_tried_the_nearest_first_and_it_comes_back() -> None:
    unit = roaming()
    unit.moved(*WEST)
    unit.lost(100)
    assert unit.target(107) is None, "a short break is no reason to leave"
    now = unit.due(107)
    assert 108 <= now <= 116
    assert unit.target(now) == "middle"
    unit.failed("middle", now)
    assert unit.target(now) == "east"
    unit.failed("east", now + 20)
    assert unit.target(now + 1) is None
    now = unit.due(now + 1)
    assert unit.target(now) == "middle"
    unit.arrived("middle", now)
    assert unit.target(now) is None, "it has just given the other up"
    assert unit.target(now + 19) == "west", "the position still says so: it goes back when that answers"
    unit.arrived("west", now + 19)
    assert unit.due(now + 19) > now + 20
    assert unit.target(now + 400) is None


def test_a_gateway_that_does_not_store_is_no_place_to_go_but_none_to_leave_either() -> None:
    unit = roaming()
    unit.moved(*MIDDLE)
    unit.directory(ENTRIES | {"middle": entry(MIDDLE, storing=False)})
    assert unit.target(1) is None
    unit.directory(ENTRIES | {"west": entry(WEST, storing=False)})
    unit.moved(*WEST)
    assert unit.target(2) is None, "its session is alive"
    unit.directory(ENTRIES | {"middle": entry(MIDDLE, storing=False)})
    unit.lost(2)
    assert unit.target(20) == "east", "farther, but it can register"
    unit.failed("east", 20)
    assert unit.target(21) == "middle"


def test_without_a_position_or_a_directory_it_stays_as_long_as_it_is_served() -> None:
    unit = roaming()
    assert unit.target(1) is None
    unit.directory({})
    unit.moved(*MIDDLE)
    assert unit.target(2) is None
    unit.lost(2)
    assert unit.target(60) is None
    unit.directory(ENTRIES)
    assert unit.target(61) == "middle"


def test_a_region_that_left_the_directory_is_left_for_one_that_is_there() -> None:
    unit = roaming()
    unit.moved(*WEST)
    unit.directory({"east": ENTRIES["east"], "middle": entry(MIDDLE, WEST)})
    assert unit.target(1) == "middle"


def test_two_regions_of_one_broker_are_one_place_to_be() -> None:
    unit = roaming()
    unit.moved(*MIDDLE)
    unit.directory(ENTRIES | {"middle": RegionEntry(ENTRIES["west"].url, ENTRIES["middle"].cells)})
    assert unit.target(1) is None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("moved"), st.sampled_from([WEST, MIDDLE, EAST, NOWHERE])),
        st.tuples(st.sampled_from(["lost", "connected", "try"]), st.none()),
        st.tuples(st.just("later"), st.floats(0, 400)),
        st.tuples(st.just("directory"), st.sets(st.sampled_from(sorted(ENTRIES)))),
    ),
    max_size=60,
)


@given(STEPS, st.sets(st.sampled_from(sorted(ENTRIES))), st.integers(0, 2**32))
@pytest.mark.parametrize("settles_at", [WEST, MIDDLE, EAST])
def test_it_never_goes_where_it_is_nor_where_it_just_failed_and_settles_at_home(
    settles_at: tuple[float, float],
    steps: list[tuple[str, object]],
    dead: set[str],
    seed: int,
) -> None:
    unit, now = Roaming("west", ENTRIES, POLICY, random.Random(seed), 0.0), 0.0
    failed_at: dict[str, float] = {}

    def attempt(dead: set[str]) -> None:
        target = unit.target(now)
        if target is None:
            return
        assert target != unit.served
        assert target in unit.entries
        assert now - failed_at.get(target, -1e9) >= 15 * 0.75
        if target in dead:
            failed_at[target] = now
            unit.failed(target, now)
        else:
            failed_at.pop(target, None)
            unit.arrived(target, now)

    for what, value in steps:
        match what, value:
            case "moved", (float() as lat, float() as lon):
                unit.moved(lat, lon)
            case "lost", _:
                unit.lost(now)
            case "connected", _:
                unit.connected()
            case "try", _:
                attempt(dead)
            case "later", float() as seconds:
                now += seconds
            case "directory", set() as names:
                unit.directory({name: ENTRIES[name] for name in ENTRIES if name in names})
    unit.directory(ENTRIES)
    unit.connected()
    unit.moved(*settles_at)
    for _ in range(3):
        now += 300 * 1.25
        attempt(set())
    assert ENTRIES[unit.served] == entry(settles_at)
    assert unit.target(now) is None
