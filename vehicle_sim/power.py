"""When the unit of a vehicle sleeps: some time after the ignition is off, until it is on again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class PowerPolicy:
    """How a parked unit saves power; seconds. 3GPP's power saving mode has the same two timers.

    active_s: how long it stays reachable after the ignition went off, or after a wake-up (T3324).
    sleep_s: how long it sleeps before it looks for commands again (T3412).
    reading_s: between two readings while it sleeps.
    """

    active_s: float = 10.0
    sleep_s: float = 180.0
    reading_s: float = 60.0


class Wish(Enum):
    """What the vehicle wants of its unit."""

    SLEEP = auto()
    WAKE = auto()


class Power:
    """The power saving of one unit.

    Args:
        policy: None: the unit never sleeps of its own accord; when a command made it sleep, the ignition
            wakes it all the same.
        not_before: no sleep of its own before this time.
    """

    def __init__(self, policy: PowerPolicy | None, not_before: float = 0.0) -> None:
        self._policy = policy
        self._not_before = not_before
        self._was_parked = False
        self._awake_since = float("-inf")

    def look(self, *, parked: bool, asleep: bool, now: float) -> Wish | None:
        """To be called with each step of the drive; `parked`: the ignition is off."""
        turned_off, turned_on = parked and not self._was_parked, self._was_parked and not parked
        self._was_parked = parked
        if asleep or turned_off:
            self._awake_since = now
        if turned_on:
            return Wish.WAKE
        if self._policy is None or not parked or asleep or now < self._not_before:
            return None
        if now - self._awake_since < self._policy.active_s:
            return None
        self._awake_since = now  # asked; if it does not come to that, again after as long
        return Wish.SLEEP
