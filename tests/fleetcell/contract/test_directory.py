"""Which region serves a position: mixed resolutions, compaction, ties, hysteresis, neighbours; cell files."""

from __future__ import annotations

import json

import h3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.directory import (
    FINEST,
    Regions,
    cell_of,
    check_cell,
    compact,
    read_cells,
    split_box,
)
from fleetcell.contract.errors import ConfigError

HELSINKI = (24.935247, 60.164158, 24.953405, 60.179015)
PLACES = st.tuples(st.floats(60.0, 60.3), st.floats(24.6, 25.2))
ANYWHERE = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
STEP_M = 15.0


@st.composite
def some_cells(draw: st.DrawFn, finest: int = FINEST) -> list[str]:
    """Cells of several resolutions around Helsinki, some of them inside of others, some whole families."""
    cells: list[str] = []
    for _ in range(draw(st.integers(1, 5))):
        lat, lon = draw(PLACES)
        cell = h3.latlng_to_cell(lat, lon, draw(st.integers(4, finest)))
        whole = draw(st.booleans()) and h3.get_resolution(cell) < finest
        cells += h3.cell_to_children(cell) if whole else [cell]
    return cells


@st.composite
def two_regions(draw: st.DrawFn) -> Regions:
    return Regions({"east": draw(some_cells()), "west": draw(some_cells())})


@given(some_cells(), PLACES)
def test_compaction_moves_no_border(cells: list[str], place: tuple[float, float]) -> None:
    fewer = compact(cells)
    assert len(fewer) <= len(set(cells))
    assert compact(fewer) == fewer
    assert Regions({"a": cells}).at(*place) == Regions({"a": fewer}).at(*place)
    inside = h3.cell_to_latlng(h3.cell_to_center_child(cells[0], FINEST))
    assert Regions({"a": fewer}).at(*inside) == "a"


def test_a_pentagon_has_six_children_and_is_compacted_too() -> None:
    pentagon = h3.get_pentagons(3)[0]
    children = h3.cell_to_children(pentagon)
    assert len(children) == 6
    assert compact(children) == [pentagon]
    assert len(compact(children[1:])) == 5


@given(PLACES, st.integers(4, 8))
def test_the_smallest_cell_around_a_position_decides(place: tuple[float, float], resolution: int) -> None:
    wide, narrow = cell_of(*place, resolution), cell_of(*place, resolution + 2)
    assert wide is not None
    assert narrow is not None
    regions = Regions({"a-wide": [wide], "narrow": [narrow]})
    assert regions.at(*place) == "narrow"
    beside = next(child for child in h3.cell_to_children(wide, resolution + 2) if child != narrow)
    assert regions.at(*h3.cell_to_latlng(h3.cell_to_center_child(beside, FINEST))) == "a-wide"


@given(PLACES)
def test_two_regions_with_the_same_cell_the_first_by_name_has_it(place: tuple[float, float]) -> None:
    cell = cell_of(*place)
    assert cell is not None
    regions = Regions({"b": [cell], "a": [cell]})
    assert regions.at(*place) == "a"
    assert regions.contested == {cell: {"a", "b"}}


@given(two_regions(), ANYWHERE)
def test_who_is_served_is_served_by_a_region_of_his_neighbourhood(
    regions: Regions, place: tuple[float, float]
) -> None:
    here = regions.at(*place)
    for held in (None, "east", "west", "gone"):
        assert regions.serving(*place, held) in (here, held if here is not None else None)
    assert regions.serving(*place, None) == here
    assert regions.serving(*place, "gone") == here


@given(two_regions(), PLACES, st.sampled_from(["east", "west"]), st.data())
def test_an_error_of_the_receiver_never_takes_a_unit_back(
    regions: Regions, place: tuple[float, float], held: str, data: st.DataObject
) -> None:
    taken = regions.serving(*place, held)
    if taken in (None, held):
        return
    own = h3.latlng_to_cell(*place, FINEST)
    near = data.draw(st.sampled_from(sorted(h3.grid_disk(own, 1))))
    lat, lon = h3.cell_to_latlng(near)
    assert regions.serving(lat, lon, taken) in (taken, None)


def test_a_border_is_crossed_once_each_way_and_not_at_the_same_place() -> None:
    regions = Regions(split_box(HELSINKI, ["west", "east"]))
    lat, west, east = 60.1715, HELSINKI[0], HELSINKI[2]
    steps = 400
    held: str | None = "west"
    crossed = []
    for step in [*range(steps), *range(steps, 0, -1)]:
        lon = west + (east - west) * step / steps
        taken = regions.serving(lat, lon, held)
        if taken != held:
            crossed.append(lon)
            held = taken
    there, back = crossed
    metres = h3.great_circle_distance((lat, there), (lat, back), unit="m")
    assert there > back
    assert 60 < metres < 250


@given(two_regions(), PLACES)
def test_the_nearest_region_comes_first_and_none_is_left_out(
    regions: Regions, place: tuple[float, float]
) -> None:
    order = regions.nearest(*place)
    assert sorted(order) == ["east", "west"]
    here = regions.at(*place)
    assert here in (None, order[0])


def test_a_region_without_cells_is_the_last_resort() -> None:
    cell = cell_of(60.17, 24.94)
    assert cell is not None
    regions = Regions({"all": [], "centre": [cell]})
    assert regions.nearest(10.0, 10.0) == ["centre", "all"]
    assert regions.at(10.0, 10.0) is None


@pytest.mark.parametrize("place", [(float("nan"), 24.9), (91.0, 24.9), (60.0, 181.0), (60.0, float("inf"))])
def test_no_position_is_no_region(place: tuple[float, float]) -> None:
    regions = Regions({"world": [h3.latlng_to_cell(60, 24, 0)]})
    assert regions.at(*place) is None
    assert regions.serving(*place, "world") is None
    assert cell_of(*place) is None


@pytest.mark.parametrize(
    "text",
    ["", "zz", "8928308280fffffff", "8001fffffffffff0", "ffffffffffffffffff", h3.latlng_to_cell(1, 1, 12)],
)
def test_what_is_no_cell_of_a_region_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        check_cell(text)


# -- files ----------------------------------------------------------------------------------------


def test_a_list_of_cells_is_read_with_comments() -> None:
    cell = h3.latlng_to_cell(60.17, 24.94, 7)
    assert read_cells(f"# the centre\n{cell.upper()}  # all of it\n\n") == [cell]
    for text in ("", "# nothing\n", "not a cell\n", "[]"):
        with pytest.raises(ConfigError):
            read_cells(text)


def box(west: float, south: float, east: float, north: float) -> dict[str, object]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_areas_that_touch_share_no_cell_and_leave_none_out() -> None:
    left, right = box(24.8, 60.1, 24.95, 60.25), box(24.95, 60.1, 25.1, 60.25)
    collection = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": {}, "geometry": left}],
    }
    west, east = read_cells(json.dumps(collection)), read_cells(json.dumps(right))
    regions = Regions({"west": west, "east": east})
    assert not regions.contested
    for step in range(200):
        assert regions.at(60.17, 24.81 + 0.28 * step / 200) is not None


def test_a_large_area_gets_large_cells() -> None:
    assert 100 < len(read_cells(json.dumps(box(20, 60, 30, 68)))) < 20_000


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"type": "Point", "coordinates": [1, 2]}',
        '{"type": "Polygon", "coordinates": [[1]]}',
        '{"type": "FeatureCollection", "features": []}',
        json.dumps(box(24.9, 60.1, 24.90001, 60.10001)),
    ],
)
def test_a_file_without_an_area_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ConfigError, match=r"GeoJSON|areas"):
        read_cells(text)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_box_is_cut_into_parts_that_cover_it(count: int) -> None:
    names = [f"r{number}" for number in range(count)]
    regions = Regions(split_box(HELSINKI, names))
    west, south, east, north = HELSINKI
    found = [
        regions.at(south + (north - south) * row / 20, west + (east - west) * column / 40)
        for row in range(21)
        for column in range(41)
    ]
    assert None not in found
    assert {name: found.count(name) >= len(found) / count / 3 for name in names} == dict.fromkeys(names, True)
    assert not regions.contested
