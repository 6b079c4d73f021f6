"""From `--link` to links."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from tests.vehicle_sim.helsinki import HELSINKI
from tests.vehicle_sim.links.virtual import bulk, size
from vehicle_sim.links import PROFILES, check_profile, load
from vehicle_sim.links.air import Change, Direction
from vehicle_sim.links.errors import LinkError
from vehicle_sim.links.tunnels import BUILT_IN

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "Timestamp,Longitude,Latitude,RSRP,DL_bitrate,UL_bitrate\n"


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_taken_by_its_name(name: str) -> None:
    assert check_profile(name) == name
    assert load(name, seed=1).profile is PROFILES[name]


@pytest.mark.parametrize("name", ["", "LTE", "lte ", "trace", "trace.up"])
def test_another_name_is_refused_with_the_list(name: str) -> None:
    for take in (check_profile, lambda text: load(text, seed=1)):
        with pytest.raises(LinkError, match=r"no link profile .*; there is: ") as refused:
            take(name)
        assert all(f"{known} (" in str(refused.value) for known in PROFILES)


def rates(name: str) -> tuple[float, float]:
    """Bytes a second, up and down."""
    links = load(name, seed=1)
    return (
        size(bulk(links.make("a"), Direction.UP, 0.0, 4.0)) / 4,
        size(bulk(links.make("a"), Direction.DOWN, 0.0, 4.0)) / 4,
    )


def test_a_trace_has_a_file_for_each_direction(tmp_path: Path) -> None:
    (tmp_path / "a.up").write_text("10\n")  # 1500 bytes in 10 ms
    (tmp_path / "a.down.gz").write_bytes(gzip.compress(b"5\n"))
    for name in ("a.up", "a.down.gz"):
        assert rates(f"trace:{tmp_path}/{name}") == pytest.approx((150e3, 300e3), rel=0.02)


def test_a_trace_without_a_direction_in_its_name_is_for_both(tmp_path: Path) -> None:
    (tmp_path / "12Mbps").write_text("1\n")
    assert rates(f"trace:{tmp_path}/12Mbps") == pytest.approx((1.5e6, 1.5e6), rel=0.02)


def test_a_drive_log_has_both(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(HEADER + "2020.02.13_15.02.01,24.9,60.1,-90,4000,800\n")
    assert rates(f"trace:{tmp_path}/d.csv") == pytest.approx((1e5, 5e5), rel=0.03)


def test_a_trace_starts_where_it_is_told_to(tmp_path: Path) -> None:
    rows = [f"2020.02.13_15.02.{second:02},24.9,60.1,-90,4000,{80 + second}\n" for second in range(60)]
    (tmp_path / "d@5.csv").write_text(HEADER + "".join(rows))
    for start, kbit_s in (("", 80), ("@30", 110), ("@30.5", 110), ("@90", 110)):
        link = load(f"trace:{tmp_path}/d@5.csv{start}", seed=1).make("a")
        assert link._air.rate(Direction.UP, 0.0)[0] == kbit_s * 125


def test_a_trace_is_named_by_its_full_path_for_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "12Mbps").write_text("1\n")
    monkeypatch.chdir(tmp_path)
    assert check_profile("trace:12Mbps@2.5") == f"trace:{tmp_path}/12Mbps@2.5"
    assert check_profile("trace:12Mbps") == f"trace:{tmp_path}/12Mbps@0"


def test_a_trace_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.up").write_text("10\n")
    (tmp_path / "b.up").write_text("x\n")
    for name, said in (
        ("trace:", "name a file, as in"),
        (f"trace:{tmp_path}/a.up", "a.up: the other direction is missing: a.down or a.down.gz beside it"),
        (f"trace:{tmp_path}/b.up", "b.up:1: 'x' is no whole number"),
        (f"trace:{tmp_path}/c.csv@3", "c.csv: cannot be read"),
    ):
        with pytest.raises(LinkError, match=said):
            check_profile(name)


def test_the_profile_tunnel_has_the_tunnels_of_the_roads_and_the_built_in_one() -> None:
    corners = BUILT_IN[0].corners
    middle = (sum(lon for lon, _ in corners) / len(corners), sum(lat for _, lat in corners) / len(corners))
    (mapped,) = [road for road in HELSINKI.roads if road.tunnel][:1]
    for name, lost in (("tunnel", True), ("storm", True), ("lte", False)):
        for lon, lat in (middle, mapped.at(mapped.length_m / 2)[:2]):
            links = load(name, 1, HELSINKI.roads)
            link = links.make("car")
            link.move(24.9500, 60.1650, 0.0)
            link.move(lon, lat, 5.0)
            assert (link.reception.cell is None) == lost, name
            assert links.covers(lon, lat) != lost
            assert bool(link.changes[Change.COVERAGE_LOST]) == lost or not lost


@pytest.mark.parametrize("name", ["perfect", "rural", "storm"])
def test_a_place_is_covered_where_a_vehicle_has_service(name: str) -> None:
    """In holes there is none; without cells there is always."""
    links, found = load(name, 1), set()
    for step in range(200):
        lon, lat = 24.90 + step / 1000, 60.15 + (step * 37 % 200) / 2000
        link = links.make("car")
        link.move(lon, lat, 0.0)
        assert links.covers(lon, lat) == link.covered
        found.add(link.covered)
    assert found == ({True} if name == "perfect" else {True, False})
