"""Which road may follow on which: one rule for the build and for those who drive. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Turn = tuple[int, int]
"""Numbers of two directed roads, the second of which leaves the node where the first ends."""


def ways_on(
    ends: Mapping[int, tuple[int, int]],
    reverses: Mapping[int, int],
    forbidden: Collection[Turn],
) -> dict[int, tuple[int, ...]]:
    """For each directed road, those that may follow. Turning back is among them only where nothing else is.

    Args:
        ends: the node where a directed road starts and the one where it ends, by the road's number.
        reverses: the number of the other direction, for roads that have one.
        forbidden: turns that a sign forbids; turning back may be one.
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
