"""Networks of streets at right angles, made through the file format as real ones are."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from vehicle_sim.roads import RoadNetwork, load
from vehicle_sim.roads.format import ATTRIBUTION, Feature, LineString, RoadFile, RoadProperties, write
from vehicle_sim.roads.geodesy import metres_per_degree, segment

_WEST, _SOUTH = 25.0, 60.0
_CONTROLS: tuple[Literal["signal", "stop", "give_way"] | None, ...] = ("signal", "stop", "give_way", None)


def grid(
    size: int,
    block_m: float,
    *,
    no_turns: bool = False,
    no_paths: Sequence[tuple[int, ...]] = (),
    hill_m: float | None = None,
) -> RoadNetwork:
    """`size` times `size` junctions; every fifth street one-way, and controls of each sort.

    no_turns: forbid turns at some junctions, by streets that end there as they are drawn.
    no_paths: forbid these too, in the numbers of the file.
    hill_m: how high the middle lies above the corners, which are 100 m above the sea.
    """
    kx, ky = metres_per_degree(_SOUTH)
    places = [
        (round(_WEST + x * block_m / kx, 6), round(_SOUTH + y * block_m / ky, 6))
        for y in range(size)
        for x in range(size)
    ]
    pairs = [(n, n + 1) for n in range(size * size) if (n + 1) % size]
    pairs += [(n, n + size) for n in range(size * (size - 1))]
    features = []
    for number, (start, end) in enumerate(pairs):
        length = round(segment(*places[start], *places[end])[0], 2)
        signal = (end + end // size) % 2 == 0  # whole junctions have lights
        road = RoadProperties(
            ("residential", "primary", "tertiary")[number % 3],
            start,
            end,
            speed=(30, 50, 40)[number % 3],
            length=length,
            oneway=number % 5 == 4,
            control="signal" if signal else _CONTROLS[1 + number % 3],
            heights=None if hill_m is None else [_height(node, size, hill_m) for node in (start, end)],
        )
        features.append(Feature(LineString([places[start], places[end]]), road))
    turns: list[tuple[int, ...]] = [*no_paths]
    if no_turns:
        for number, (_, end) in enumerate(pairs):
            onward = [n for n, (start, _) in enumerate(pairs) if start == end]
            if len(onward) == 2:
                turns.append((number + 1, onward[number % 2] + 1))
    file = RoadFile(
        "fleetcell-roads",
        3,
        ATTRIBUTION,
        "grid",
        (*places[0], *places[-1]),
        features,
        heights=None if hill_m is None else "sea",
        no_turns=turns,
    )
    with tempfile.TemporaryDirectory() as folder:
        write(file, Path(folder) / "grid.gz")
        return load(Path(folder) / "grid.gz")


def _height(node: int, size: int, hill_m: float) -> float:
    middle = (size - 1) / 2
    away = max(abs(node % size - middle), abs(node // size - middle)) / middle
    return 100.0 + hill_m * (1.0 - away)
