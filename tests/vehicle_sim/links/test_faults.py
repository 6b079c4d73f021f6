"""Faults as the command line names them."""

from __future__ import annotations

import pytest

from vehicle_sim.links.errors import LinkError
from vehicle_sim.links.faults import Fault, PlannedFault, parse_fault


def test_faults_are_read() -> None:
    assert parse_fault("black-hole@60+30") == PlannedFault(Fault.BLACK_HOLE, 60, 30)
    assert parse_fault("sim@0.5+1.25") == PlannedFault(Fault.SIM, 0.5, 1.25)
    assert parse_fault("reset@90") == PlannedFault(Fault.RESET, 90, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flood@1", "use black-hole@T"),
        ("reset", "use black-hole@T"),
        ("reset@-1", "use black-hole@T"),
        ("sim@1+", "use black-hole@T"),
        ("reset@1+2", "reset happens at once: leave the duration out"),
        ("sim@1", r"sim needs a duration, as in sim@1\+30"),
    ],
)
def test_others_are_refused(text: str, said: str) -> None:
    with pytest.raises(LinkError, match=said):
        parse_fault(text)
