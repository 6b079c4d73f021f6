"""SRTM tiles, made here: a plane, so that every height between samples is known."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.roads.elevation import Tiles
from vehicle_sim.roads.errors import RoadsError


def write_plane(path: Path, east_m: float, north_m: float, base_m: float = 0.0, side: int = 1201) -> None:
    """A tile that rises by so many metres from edge to edge; samples are whole metres."""
    east, south = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    data = np.round(base_m + east * east_m + (1 - south) * north_m).astype(">i2").tobytes()
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Tiles:
    folder = tmp_path_factory.mktemp("tiles")
    write_plane(folder / "N60E024.hgt", 1200, 2400)
    write_plane(folder / "N60E025.hgt.gz", 1200, 2400, base_m=1200)
    write_plane(folder / "S01W001.hgt", 0, 0, base_m=-20)
    return Tiles(folder)


@given(st.floats(24, 26, exclude_max=True), st.floats(60, 61, exclude_max=True))
def test_heights_lie_between_the_samples(tiles: Tiles, lon: float, lat: float) -> None:
    """Samples are a metre apart to the east and two to the north: the plane is whole there."""
    expected = (lon - 24) * 1200 + (lat - 60) * 2400
    assert tiles.height((lon, lat)) == pytest.approx(expected, abs=1e-6)


def test_tiles_are_named_after_their_south_western_corner(tiles: Tiles) -> None:
    assert tiles.height((-0.5, -0.5)) == -20
    assert tiles.height((0.5, -0.5)) is None
    assert tiles.height((24.5, 61.5)) is None


def test_voids_are_not_known(tmp_path: Path) -> None:
    side = 3601
    samples = np.full((side, side), 7, dtype=">i2")
    samples[1, 1] = -32768
    (tmp_path / "n10e010.HGT").write_bytes(samples.tobytes())
    tiles = Tiles(tmp_path)
    step = 1 / (side - 1)
    assert tiles.height((10 + 1.5 * step, 11 - 1.5 * step)) is None
    assert tiles.height((10 + 3.5 * step, 11 - 1.5 * step)) == 7


def test_what_is_no_tile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RoadsError, match="no such folder"):
        Tiles(tmp_path / "none")
    with pytest.raises(RoadsError, match=r"no \.hgt tile in it"):
        Tiles(tmp_path)
    (tmp_path / "N60E024.hgt").write_bytes(b"hello")
    (tmp_path / "N60E025.hgt.gz").write_bytes(b"hello")
    tiles = Tiles(tmp_path)
    with pytest.raises(RoadsError, match=r"N60E024\.hgt: 5 bytes are no tile"):
        tiles.height((24.5, 60.5))
    with pytest.raises(RoadsError, match=r"N60E025\.hgt\.gz: cannot be read"):
        tiles.height((25.5, 60.5))
    with pytest.raises(RoadsError, match="not a folder"):
        Tiles(tmp_path / "N60E024.hgt")
