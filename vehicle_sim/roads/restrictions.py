"""Turn restrictions: what OpenStreetMap's relations of type `restriction` forbid a car. Pure.

Read as the OpenStreetMap wiki has it (Relation:restriction): `no_*` forbids the turn from one way to another
over a node, `only_*` every other turn there. Restrictions over a way (a U-turn over a short link) and those
that hold at some hours are counted and left out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vehicle_sim.roads.graph import Piece
    from vehicle_sim.roads.turning import Turn

# The most specific key decides.
KEYS: Final = ("restriction:motorcar", "restriction:motor_vehicle", "restriction:vehicle", "restriction")
CONDITIONAL: Final = tuple(f"{key}:conditional" for key in KEYS)
_CARS: Final = frozenset({"motorcar", "motor_vehicle", "vehicle"})

Member = tuple[str, int, str]
"""Of a relation: n, w or r; OpenStreetMap's id; role."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """From ways over a node to ways: not allowed, or (`only`) nothing else allowed. OpenStreetMap's ids."""

    origins: tuple[int, ...]
    via: int
    targets: tuple[int, ...]
    only: bool = False
    back: bool = False  # it is about turning round


class Unread(Exception):  # noqa: N818 - not an error: the reason why a restriction is left out
    """A restriction that cannot be kept; the text is the reason it is counted under."""


def read_restriction(tags: Mapping[str, str], members: Iterable[Member]) -> Restriction | None:
    """The restriction of a relation, or None when there is none for cars.

    Raises:
        Unread: `conditional`, `unknown`, `via way` or `incomplete`.
    """
    if tags.get("type", "restriction") != "restriction" or _CARS & set(tags.get("except", "").split(";")):
        return None
    value = next((tags[key] for key in KEYS if key in tags), None)
    if value is None:
        if any(key in tags for key in CONDITIONAL):
            raise Unread("conditional")
        return None
    if not value.startswith(("no_", "only_")):
        raise Unread("unknown")
    by_role: dict[tuple[str, str], list[int]] = {}
    for kind, ref, role in members:
        by_role.setdefault((kind, role), []).append(ref)
    if ("w", "via") in by_role:
        raise Unread("via way")
    via, origins, targets = (by_role.get(key, []) for key in (("n", "via"), ("w", "from"), ("w", "to")))
    if len(via) != 1 or not origins or not targets:
        raise Unread("incomplete")
    return Restriction(
        tuple(origins), via[0], tuple(targets), only=value.startswith("only_"), back=value == "no_u_turn"
    )


def forbidden_turns(
    pieces: Sequence[Piece], restrictions: Iterable[Restriction]
) -> tuple[set[Turn], Counter[str]]:
    """The turns that are forbidden, between directed pieces: 2 i along piece i, 2 i + 1 against it.

    The counter says how many restrictions were left out: `ambiguous`, where a way goes on beyond the node, so
    that it is not clear from where or to where the restriction means.
    """
    arriving: dict[tuple[int, int], list[int]] = {}  # node, way -> directed pieces
    leaving: dict[tuple[int, int], list[int]] = {}
    leaving_any: dict[int, list[int]] = {}
    for i, piece in enumerate(pieces):
        ways = ((2 * i, piece.start, piece.end, piece.tags.forward),
                (2 * i + 1, piece.end, piece.start, piece.tags.backward))  # fmt: skip
        for number, start, end, is_open in ways:
            if is_open:
                arriving.setdefault((end, piece.way), []).append(number)
                leaving.setdefault((start, piece.way), []).append(number)
                leaving_any.setdefault(start, []).append(number)
    turns: set[Turn] = set()
    left_out: Counter[str] = Counter()
    for one in restrictions:
        if one.back and set(one.origins) == set(one.targets):  # back along the very road
            turns |= {(a, a ^ 1) for way in one.origins for a in arriving.get((one.via, way), ())}
            continue
        from_ways = [arriving.get((one.via, way), []) for way in one.origins]
        to_ways = [leaving.get((one.via, way), []) for way in one.targets]
        if any(len(found) > 1 for found in (*from_ways, *to_ways)):
            left_out["ambiguous"] += 1
            continue
        origins, targets = ([number for found in ways for number in found] for ways in (from_ways, to_ways))
        closed = targets
        if one.only:
            closed = [number for number in leaving_any.get(one.via, ()) if number not in targets]
        turns |= {(a, b) for a in origins for b in closed}
    return turns, left_out
