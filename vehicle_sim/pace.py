"""When the readings of one vehicle are due, also after the program was held up. Pure; time is passed in."""

from __future__ import annotations

from typing import Final

BEHIND_S: Final = 2.0
MOST_S: Final = 60.0


class Pace:
    """Each reading is of the moment when it was due, however late it is made.

    When the program is held up by up to `BEHIND_S`, the readings of that time are made up for. After longer
    than that (the machine was asleep) they are missing, as those of a unit that hung: the vehicle has driven
    on, but for at most `MOST_S`, so that a night is not driven in one go.

    Attributes:
        due: the moment of the next reading, in seconds of a monotonic clock.
    """

    def __init__(self, now: float) -> None:
        self.due = now
        self._before = now

    def next(self, period_s: float, now: float) -> float:
        """Go on to the next reading, a period later; gives how far the vehicle drives until then, s."""
        self._before = self.due
        self.due += period_s
        late = now - self.due
        if late <= BEHIND_S:
            return period_s
        missed = late // period_s * period_s
        self.due += missed
        return period_s + min(missed, MOST_S)

    def earlier(self, now: float) -> float:
        """The next reading is due already now; gives how far the vehicle drives until then, s."""
        self.due = min(self.due, max(now, self._before))
        return self.due - self._before
