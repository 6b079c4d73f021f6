"""Cells: where they are, what is heard, which rates that allows."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vehicle_sim.links.cells import (
    LOAD_SLOT_S,
    RURAL_MACRO,
    TILE_M,
    URBAN_MACRO,
    CellLayer,
    Cells,
    Plane,
)
from vehicle_sim.links.profiles import PROFILES

_lte = PROFILES["lte"].cells
assert _lte is not None
LTE: CellLayer = _lte
metres = st.floats(-50_000, 50_000)


def test_path_losses_are_those_of_tr_38_901() -> None:
    """The formulas of table 7.4.1-1 (NLOS, 1.5 m) written out."""
    assert URBAN_MACRO.db(500, 2.0) == pytest.approx(13.54 + 39.08 * 2.69897 + 20 * 0.30103)
    w, h, mast, terminal = 20.0, 5.0, 35.0, 1.5
    distance, ghz = 2500.0, 0.8
    rural = (
        161.04
        - 7.1 * math.log10(w)
        + 7.5 * math.log10(h)
        - (24.37 - 3.7 * (h / mast) ** 2) * math.log10(mast)
        + (43.42 - 3.1 * math.log10(mast)) * (math.log10(distance) - 3)
        + 20 * math.log10(ghz)
        - (3.2 * math.log10(11.75 * terminal) ** 2 - 4.97)
    )
    assert RURAL_MACRO.db(distance, ghz) == pytest.approx(rural, abs=0.05)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000), metres, metres)
def test_a_place_hears_the_same_cells_each_time_the_loudest_first(seed: int, x: float, y: float) -> None:
    heard, again = Cells(LTE, seed).heard(x, y), Cells(LTE, seed).heard(x, y)
    assert heard == again
    assert 1 <= len(heard) <= 7
    strengths = [cell.rsrp_dbm for cell in heard]
    assert strengths == sorted(strengths, reverse=True)
    assert len({cell.site.name for cell in heard}) == len(heard)
    bandwidth = (LTE.up_hz * 2.0 / 8, LTE.down_hz * 4.4 / 8)
    assert all(0 <= cell.up <= bandwidth[0] and 0 <= cell.down <= bandwidth[1] for cell in heard)


def test_sites_are_as_far_apart_as_the_layer_says() -> None:
    cells = Cells(LTE, 3)
    sites = [cells._site(i, j) for i in range(-6, 7) for j in range(-6, 7)]
    nearest = [
        min(math.hypot(a.x - b.x, a.y - b.y) for b in sites if b is not a)
        for a in sites
        if max(abs(a.i), abs(a.j)) < 6
    ]
    assert statistics.mean(nearest) == pytest.approx(LTE.inter_site_m, rel=0.25)
    assert min(nearest) > LTE.inter_site_m / 2


def test_the_shadowing_has_its_deviation_and_is_alike_at_near_places() -> None:
    cells = Cells(replace(LTE, min_rsrp_dbm=-math.inf), 5)

    def shadows(x: float, y: float) -> dict[str, float]:
        """What the loss of each site has beyond that of its distance from the centre of the tile."""
        x, y = (math.floor(x / TILE_M) + 0.5) * TILE_M, (math.floor(y / TILE_M) + 0.5) * TILE_M
        return {
            site.name: loss - URBAN_MACRO.db(max(math.hypot(x - site.x, y - site.y), 35.0), LTE.ghz)
            for site, _, loss, _, _ in cells.heard(x, y)
        }

    far = [shadows(137.0 * i, 91.0 * i) for i in range(1000)]
    assert all(len(sites) == 7 for sites in far)
    found = [shadow for sites in far for shadow in sites.values()]
    assert statistics.mean(found) == pytest.approx(0.0, abs=0.3)
    assert statistics.pstdev(found) == pytest.approx(URBAN_MACRO.shadow_db, rel=0.06)
    near = [shadows(137.0 * i + TILE_M, 91.0 * i) for i in range(1000)]
    pairs = [(a[name], b[name]) for a, b in zip(far, near, strict=True) for name in a.keys() & b.keys()]
    assert len(pairs) > 5000
    assert statistics.correlation(*zip(*pairs, strict=True)) > 0.9


def test_a_cell_is_faster_near_its_site_than_at_its_edge() -> None:
    quiet = replace(LTE, path_loss=replace(URBAN_MACRO, shadow_db=0.0))
    cells = Cells(quiet, 5)
    site = cells._site(0, 0)
    rates = []
    for away in (40.0, 120.0, 240.0):
        (here,) = [cell for cell in cells.heard(site.x + away, site.y) if cell.site == site]
        rates.append((here.rsrp_dbm, here.down))
    assert rates == sorted(rates, reverse=True)
    assert rates[0][1] > 2 * rates[-1][1]


def test_others_leave_what_the_layer_says_and_little_in_a_congested_cell() -> None:
    layer = replace(LTE, load=(0.2, 0.6), congested=0.25)
    cells = Cells(layer, 9)
    site = cells._site(1, 2)
    free = [cells.free(site, slot) for slot in range(40_000)]
    congested = [share for share in free if share < 0.1]
    assert len(congested) / len(free) == pytest.approx(0.25, abs=0.03)
    usual = [share for share in free if share >= 0.1]
    assert min(usual) >= 0.4
    assert max(usual) <= 0.8
    assert statistics.mean(usual) == pytest.approx(0.6, abs=0.01)
    lengths = [slot for slot in range(1, 40_000) if (free[slot] < 0.1) != (free[slot - 1] < 0.1)]
    assert all(slot * LOAD_SLOT_S % 120 == 0 for slot in lengths)


def test_holes_are_as_many_as_the_layer_says_and_nothing_is_heard_in_them() -> None:
    layer = replace(LTE, holes=0.5, hole_m=400.0)
    cells = Cells(layer, 2)
    with_hole = [
        any(cells.in_hole(400.0 * i + 10.0 * a, 400.0 * j + 10.0 * b) for a in range(40) for b in range(40))
        for i in range(8)
        for j in range(8)
    ]
    assert 0.3 < sum(with_hole) / 64 < 0.7
    places = [(10.0 * i + 5.0, 5.0) for i in range(3000)]
    assert any(cells.in_hole(*place) for place in places)
    assert all(bool(cells.heard(*place)) != cells.in_hole(*place) for place in places)
    assert not any(Cells(LTE, 2).in_hole(*place) for place in places)


def test_the_plane_of_a_city_is_right_to_a_few_metres() -> None:
    plane = Plane.at(60.17)
    assert plane == Plane.at(59.9)
    x1, y1 = plane.xy(24.94, 60.17)
    x2, y2 = plane.xy(24.95, 60.18)
    assert math.hypot(x2 - x1, y2 - y1) == pytest.approx(1244.0, rel=0.005)
