"""Vehicle names as the contract allows them, from whatever a trace file calls its vehicles."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from fleetcell.contract.topics import RESERVED

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST: Final = 64
_FORBIDDEN: Final = re.compile(r"[^A-Za-z0-9_-]+")


def sanitise(name: str) -> str:
    """A name of 1 to 64 of `A-Za-z0-9_-` that is not reserved: accents are dropped, the rest becomes `_`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or "vehicle"
    allowed = _FORBIDDEN.sub("_", plain)[:_LONGEST]
    return f"{allowed}_" if allowed in RESERVED else allowed


def unique_names(names: Sequence[str]) -> list[str]:
    """Sanitised names, one for each, all different.

    The first that already is as the contract wants it keeps its name; later ones and those that had to
    be changed get `-2`, `-3`, ... when it is taken. The same input gives the same names.
    """
    result: list[str | None] = [None] * len(names)
    taken: set[str] = set()
    for i, name in enumerate(names):
        if sanitise(name) == name and name not in taken:
            result[i] = name
            taken.add(name)
    next_number: dict[str, int] = {}
    for i, name in enumerate(names):
        if result[i] is not None:
            continue
        wanted = candidate = sanitise(name)
        number = next_number.get(wanted, 2)
        while candidate in taken:
            suffix = f"-{number}"
            candidate = wanted[: _LONGEST - len(suffix)] + suffix
            number += 1
        next_number[wanted] = number
        result[i] = candidate
        taken.add(candidate)
    return [name for name in result if name is not None]
