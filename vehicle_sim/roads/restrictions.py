"""Turn restrictions: what OpenStreetMap's relations of type `restriction` forbid a car. Pure.

Read as the OpenStreetMap wiki has it (Relation:restriction): `no_*` forbids to go on from one way to
another, over a node or over ways; `only_*` every other way on from there. Those that hold at some hours are
counted and left out. `vehicle_sim.roads.forbidden` finds the roads that are meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The most specific key decides.
KEYS: Final = ("restriction:motorcar", "restriction:motor_vehicle", "restriction:vehicle", "restriction")
CONDITIONAL: Final = tuple(f"{key}:conditional" for key in KEYS)
_CARS: Final = frozenset({"motorcar", "motor_vehicle", "vehicle"})

Member = tuple[str, int, str]
"""Of a relation: n, w or r; OpenStreetMap's id; role."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """From ways over a node, or over ways, to ways: not allowed, or (`only`) nothing else allowed.

    All numbers are OpenStreetMap's ids; `via` is a node, or a tuple of ways.
    """

    origins: tuple[int, ...]
    via: int | tuple[int, ...]
    targets: tuple[int, ...]
    only: bool = False
    back: bool = False  # it is about turning round


class Unread(Exception):  # noqa: N818 - not an error: the reason why a restriction is left out
    """A restriction that cannot be kept; the text is the reason it is counted under."""


def read_restriction(tags: Mapping[str, str], members: Iterable[Member]) -> Restriction | None:
    """The restriction of a relation, or None when there is none for cars.

    Raises:
        Unread: `conditional`, `unknown` or `incomplete`.
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
    nodes, ways, origins, targets = (
        tuple(by_role.get(key, ())) for key in (("n", "via"), ("w", "via"), ("w", "from"), ("w", "to"))
    )
    over_one = (len(nodes) == 1 and not ways) or (ways and not nodes)  # node, or ways
    if not (origins and targets and over_one):
        raise Unread("incomplete")
    return Restriction(
        origins,
        ways or nodes[0],
        targets,
        only=value.startswith("only_"),
        back=value == "no_u_turn",
    )
