"""Which roads a turn restriction means: from OpenStreetMap's ids to paths that must not be driven. Pure.

A way is in pieces here, cut at the junctions, and each piece has two directions: 2 i along piece i, 2 i + 1
against it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vehicle_sim.roads.graph import Piece
    from vehicle_sim.roads.restrictions import Restriction
    from vehicle_sim.roads.turning import Path

_MOST_STEPS: Final = 10_000  # of a search over the ways of one restriction: they are a handful of pieces


class _Ambiguous(Exception):  # noqa: N818 - not an error: the reason why a restriction is left out
    """It is not clear from where or to where the restriction means."""


def forbidden_paths(
    pieces: Sequence[Piece], restrictions: Iterable[Restriction]
) -> tuple[set[Path], Counter[str]]:
    """What the restrictions forbid: pairs of directed pieces (turns), and longer paths where it is over ways.

    Who comes from the first way over ways with `only` has to go on to the last one; who leaves them before
    their end is not meant.

    The counter says how many restrictions were left out: `ambiguous`, where a way goes on beyond the node, so
    that it is not clear from where or to where the restriction means.
    """
    directed = _Directed(pieces)
    paths: set[Path] = set()
    left_out: Counter[str] = Counter()
    for one in restrictions:
        try:
            paths |= directed.over_node(one) if isinstance(one.via, int) else directed.over_ways(one, one.via)
        except _Ambiguous:
            left_out["ambiguous"] += 1
    return paths, left_out


class _Directed:
    """The directed pieces that are open to cars, by where they lead."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._ways: dict[int, int] = {}  # directed piece -> OpenStreetMap's way
        self._ends: dict[int, int] = {}  # directed piece -> node
        self._of_way: dict[int, list[int]] = {}
        self._leaving: dict[int, list[int]] = {}  # node -> directed pieces
        for i, piece in enumerate(pieces):
            ways = ((2 * i, piece.start, piece.end, piece.tags.forward),
                    (2 * i + 1, piece.end, piece.start, piece.tags.backward))  # fmt: skip
            for number, start, end, is_open in ways:
                if is_open:
                    self._ways[number], self._ends[number] = piece.way, end
                    self._of_way.setdefault(piece.way, []).append(number)
                    self._leaving.setdefault(start, []).append(number)

    def over_node(self, one: Restriction) -> set[Path]:
        """The turns that a restriction over a node forbids."""
        arriving = [[a for a in self._of_way.get(way, ()) if self._ends[a] == one.via] for way in one.origins]
        if one.back and set(one.origins) == set(one.targets):  # back along the very road
            return {(a, a ^ 1) for found in arriving for a in found}
        onward = self._leaving.get(one.via, []) if isinstance(one.via, int) else []
        leaving = [[b for b in onward if self._ways[b] == way] for way in one.targets]
        if any(len(found) > 1 for found in (*arriving, *leaving)):
            raise _Ambiguous
        targets = {b for found in leaving for b in found}
        closed = [b for b in onward if (b not in targets) is one.only]
        return {(a, b) for found in arriving for a in found for b in closed}

    def over_ways(self, one: Restriction, via: tuple[int, ...]) -> set[Path]:
        """The paths that a restriction over ways forbids; none where one cannot drive so anyway."""
        found = {path for way in one.origins for path in self._paths(way, via, one.targets)}
        for at, ways in ((0, one.origins), (-1, one.targets)):
            pieces = {path[at] for path in found}
            if any(sum(self._ways[number] == way for number in pieces) > 1 for way in ways):
                raise _Ambiguous
        if not one.only:
            return found
        return {
            (*path[:-1], b)
            for path in found
            for b in self._leaving.get(self._ends[path[-2]], ())
            if (*path[:-1], b) not in found
        }

    def _paths(self, origin: int, via: tuple[int, ...], targets: tuple[int, ...]) -> Iterable[Path]:
        """All paths from a way over pieces of all ways between, none of them twice, to one of the targets."""
        between = set(via)
        waiting: list[Path] = [(number,) for number in self._of_way.get(origin, ())]
        for steps, path in enumerate(waiting):  # it grows meanwhile
            if steps > _MOST_STEPS:
                raise _Ambiguous
            driven = {number // 2 for number in path[1:]}
            is_over = between <= {self._ways[number] for number in path[1:]}
            for after in self._leaving.get(self._ends[path[-1]], ()):
                if is_over and self._ways[after] in targets and after != path[-1] ^ 1:
                    yield (*path, after)
                elif self._ways[after] in between and after // 2 not in driven and after != path[-1] ^ 1:
                    waiting.append((*path, after))
