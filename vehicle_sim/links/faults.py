"""Faults on a link at set times, as `sim link --fault` names them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vehicle_sim.links.errors import LinkError


class Fault(StrEnum):
    """What may be done to links."""

    BLACK_HOLE = "black-hole"  # packets vanish, without FIN or RST
    RESET = "reset"  # a middlebox ends all connections with RST
    SIM = "sim"  # the SIM is suspended, and after it there is another address


_FORM: Final = re.compile(r"(?P<kind>[a-z-]+)@(?P<at>\d+(\.\d+)?)(\+(?P<lasts>\d+(\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault `at_s` seconds after the beginning, for `lasts_s` seconds (0 for a reset)."""

    kind: Fault
    at_s: float
    lasts_s: float


def parse_fault(text: str) -> PlannedFault:
    """`black-hole@60+30` (from the 60th second for 30 s), `reset@90`, `sim@120+10`.

    Raises:
        LinkError: it is none of these.
    """
    found = _FORM.fullmatch(text)
    if found is None or found["kind"] not in tuple(Fault):
        raise LinkError(f"--fault {text}: use black-hole@T+SECONDS, sim@T+SECONDS or reset@T (T in seconds)")
    kind, lasts = Fault(found["kind"]), found["lasts"]
    if (kind is Fault.RESET) != (lasts is None):
        needs = "happens at once: leave the duration out" if lasts else f"needs a duration, as in {text}+30"
        raise LinkError(f"--fault {text}: {kind.value} {needs}")
    return PlannedFault(kind, float(found["at"]), float(lasts or 0.0))
