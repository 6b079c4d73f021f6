"""Ground heights from SRTM tiles (`.hgt`), as NASA and others give them away.

A tile is a square of 1° by 1°, named after its south-west corner (`N60E024.hgt`): rows from north to south of
big-endian 16-bit metres above sea level (EGM96), 1201 (3") or 3601 (1") a side; the samples of the edges are
those of the next tile too. -32768 is a void. Tiles may be gzipped. SRTM itself ends at 60° north; others
publish the same format beyond.
"""

from __future__ import annotations

import gzip
import math
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

from vehicle_sim.roads.errors import RoadsError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from vehicle_sim.roads.format import Position

    Samples = npt.NDArray[np.int16]

_SIDES: Final = {2 * side * side: side for side in (1201, 3601)}
_VOID: Final = -32768


class Tiles:
    """The tiles of a folder; each is read when it is asked for first.

    Raises:
        RoadsError: no such folder, or no tile in it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise RoadsError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
        suffixes = (".hgt", ".hgt.gz")
        self._paths = {path.name.split(".")[0].upper(): path for path in sorted(folder.iterdir())
                       if path.name.lower().endswith(suffixes)}  # fmt: skip
        if not self._paths:
            raise RoadsError(f"{folder}: no .hgt tile in it")
        self._read: dict[str, Samples | None] = {}

    def height(self, position: Position) -> float | None:
        """Metres above the sea, between the four samples around; None where there is no tile or a void.

        Raises:
            RoadsError: a tile cannot be read, or has another size.
        """
        lon, lat = position
        west, south = math.floor(lon), math.floor(lat)
        samples = self._tile(south, west)
        if samples is None:
            return None
        last = len(samples) - 1
        x, y = (lon - west) * last, (south + 1 - lat) * last
        column, row = min(int(x), last - 1), min(int(y), last - 1)
        corners = samples[row : row + 2, column : column + 2]
        if (corners == _VOID).any():
            return None
        right, below = x - column, y - row
        (a, b), (c, d) = corners.tolist()
        return float((a * (1 - right) + b * right) * (1 - below) + (c * (1 - right) + d * right) * below)

    def _tile(self, south: int, west: int) -> Samples | None:
        name = f"{'S' if south < 0 else 'N'}{abs(south):02}{'W' if west < 0 else 'E'}{abs(west):03}"
        if name not in self._read:
            path = self._paths.get(name)
            self._read[name] = None if path is None else _samples(path)
        return self._read[name]


def _samples(path: Path) -> Samples:
    try:
        data = path.read_bytes()
        if path.suffix.lower() == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise RoadsError(f"{path}: cannot be read: {error}") from error
    side = _SIDES.get(len(data))
    if side is None:
        raise RoadsError(f"{path}: {len(data)} bytes are no tile of 1201 or 3601 samples a side")
    return np.frombuffer(data, dtype=">i2").reshape(side, side).astype(np.int16)
