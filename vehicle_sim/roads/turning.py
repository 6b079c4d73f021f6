"""Which road may follow on which: one rule for the build and for those who drive. Pure.

What signs forbid are paths: roads that must not be driven one after the other. A path of two is a turn over
a junction, a longer one leads over a way ("from here over the bridge and back: no"). Turns are simply left
out of what may follow. For a longer path it matters where one comes from: of two on the same bridge one may
go on where the other may not. `with_memory` makes a state of each such case (the automaton of Aho and
Corasick, Comm. ACM 18, 333 (1975)), so that any search over states instead of roads keeps the signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Path = tuple[int, ...]
"""Numbers of directed roads, each of which leaves the node where the one before ends; at least two."""


def ways_on(
    ends: Mapping[int, tuple[int, int]],
    reverses: Mapping[int, int],
    forbidden: Collection[Path],
) -> dict[int, tuple[int, ...]]:
    """For each directed road, those that may follow. Turning back is among them only where nothing else is.

    Args:
        ends: the node where a directed road starts and the one where it ends, by the road's number.
        reverses: the number of the other direction, for roads that have one.
        forbidden: what signs forbid; only the turns among them count here. Turning back may be one.
    """
    leaving: dict[int, list[int]] = {}
    for road, (start, _) in ends.items():
        leaving.setdefault(start, []).append(road)
    following = {}
    for road, (_, end) in ends.items():
        allowed: Sequence[int] = [after for after in leaving.get(end, ()) if (road, after) not in forbidden]
        others = tuple(after for after in allowed if after != reverses.get(road))
        following[road] = others or tuple(allowed)
    return following


@dataclass(frozen=True, slots=True)
class States:
    """Being on a road, having come there in a way that matters for where one may go on.

    A state's number is that of the road where nothing matters, as for who begins a trip there; the others
    have numbers above those of all roads.

    Attributes:
        paths: for each state the end of the way there that matters, its own road last.
        following: for each state those that may follow; none where signs forbid every way on.
    """

    paths: Mapping[int, Path]
    following: Mapping[int, tuple[int, ...]]

    def road(self, state: int) -> int:
        """The road that one is on."""
        return self.paths[state][-1]


def with_memory(following: Mapping[int, Sequence[int]], forbidden: Collection[Path]) -> States:
    """The states of a network, in which `forbidden` paths of three roads or more cannot be driven either.

    `following` is what `ways_on` gives. Only states that one can come into are among them.
    """
    closed = {path for path in forbidden if len(path) > 2}
    begun = {path[:length] for path in closed for length in range(2, len(path))}
    first = max(following, default=-1) + 1
    paths: dict[int, Path] = {road: (road,) for road in following}
    numbers = {path: state for state, path in paths.items()}
    states: dict[int, tuple[int, ...]] = {}
    waiting = list(following)
    for state in waiting:  # it grows meanwhile
        onward = []
        for road in following[paths[state][-1]]:
            path = _remembered((*paths[state], road), closed, begun)
            if path is None:
                continue
            if path not in numbers:
                number = first + len(numbers) - len(following)
                numbers[path], paths[number] = number, path
                waiting.append(number)
            onward.append(numbers[path])
        states[state] = tuple(onward)
    return States(paths, states)


def _remembered(path: Path, closed: Collection[Path], begun: Collection[Path]) -> Path | None:
    """The longest end of `path` that a forbidden one begins with, at least its last road; None: forbidden."""
    ends = [path[i:] for i in range(len(path) - 1)]
    if any(end in closed for end in ends):
        return None
    return next((end for end in ends if end in begun), path[-1:])
