"""How long the registrar waits before it tries the database or the broker again.

What vehicles say meanwhile waits as long, and has to be in the register within one update interval after all
is whole again. So a pause is a share of the interval, however long the outage was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleetcell.mqtt import Backoff

if TYPE_CHECKING:
    from fleetcell.contract.registration import Timers

SHARE: Final = 0.1  # of an update interval
FIRST_S: Final = 0.1
CAP_S: Final = 2.0  # however long the interval is


def retries(timers: Timers) -> Backoff:
    """The pauses of a registrar with these timers."""
    return Backoff(first=FIRST_S, cap=min(CAP_S, SHARE * timers.interval(None).total_seconds()))
