"""Keeps a client from filling the log: what it does is counted each time, but told now and then."""

from __future__ import annotations

from typing import Final

_QUIET_S: Final = 10.0
_KEYS: Final = 10_000  # remembered at a time; all are forgotten when there are more


class Throttle:
    """Lets one line a key pass each ten seconds."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}

    def passes(self, what: str, who: str, now: float) -> bool:
        """Whether to log this of that client (or address) at monotonic second `now`."""
        key = what, who
        until = self._until.get(key)
        if until is not None and now < until:
            return False
        if len(self._until) >= _KEYS:
            self._until.clear()
        self._until[key] = now + _QUIET_S
        return True
