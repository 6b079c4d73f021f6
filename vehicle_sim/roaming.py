"""Which gateway a unit should be at: by its position, with fallback to neighbours. Pure; time is passed in.

A unit stays where it is served as long as that gateway answers and the position does not say otherwise. It
never leaves a gateway before another has registered it (`handover`), so trying costs nothing but the try: a
gateway that did not take the unit in is left alone for a while, doubled with each failure in a row.

When the own gateway does not answer, the neighbours are tried, the nearest first. A gateway that says it
does not store cannot register anybody, so nobody is handed over to it while there is another. But a unit
does not leave its own gateway for that: its session is alive, and the spool keeps the readings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from fleetcell.contract.directory import Regions

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from fleetcell.contract.messages import RegionEntry

_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class RoamingPolicy:
    """When a unit gives a gateway up; seconds.

    silent_s: without a session at the own gateway for so long to twice as long, the neighbours are tried.
    try_s: how long another gateway may take to register the unit.
    retry_first_s, retry_cap_s: until a gateway that did not is tried again, doubled with each failure.
    """

    silent_s: float = 8.0
    try_s: float = 10.0
    retry_first_s: float = 15.0
    retry_cap_s: float = 300.0


@lru_cache(maxsize=16)
def _regions(cells: tuple[tuple[str, tuple[str, ...]], ...]) -> Regions:
    """One map for all units of a process."""
    return Regions(dict(cells))


@dataclass(slots=True)
class _Avoided:
    """A gateway that did not take the unit in."""

    failures: int
    until: float


class Roaming:
    """The choice of one unit.

    Args:
        served: the region where it is, or begins.
        entries: the directory, as far as it is known.
        policy: when a gateway is given up.
        rng: for jitter: a fleet that lost its gateway shall not come back at once.
        now: seconds of a monotonic clock.
    """

    def __init__(
        self,
        served: str,
        entries: Mapping[str, RegionEntry],
        policy: RoamingPolicy,
        rng: random.Random,
        now: float,
    ) -> None:
        self.served = served
        self.entries: Mapping[str, RegionEntry] = {}
        self._policy = policy
        self._rng = rng
        self._regions = _regions(())
        self._place: tuple[float, float] | None = None
        self._wanted: str | None = None  # by the position
        self._given_up_at = _NEVER  # never while there is a session
        self._avoided: dict[str, _Avoided] = {}
        self.lost(now)
        self.directory(entries)

    # -- what happened --------------------------------------------------------------------------

    def directory(self, entries: Mapping[str, RegionEntry]) -> None:
        """The directory says this.

        Raises:
            ConfigError: a cell is none.
        """
        if entries is not self.entries:
            self._regions = _regions(tuple((name, tuple(entry.cells)) for name, entry in entries.items()))
        self.entries = entries
        self._choose()

    def moved(self, lat: float, lon: float) -> None:
        """The unit is here, in degrees."""
        self._place = lat, lon
        self._choose()

    def connected(self) -> None:
        """There is a session at the serving gateway."""
        self._given_up_at = _NEVER

    def lost(self, now: float) -> None:
        """There is none. Not all units of a gateway that died turn to its neighbour in the same second."""
        if self._given_up_at == _NEVER:
            self._given_up_at = now + self._policy.silent_s * self._rng.uniform(1.0, 2.0)

    def arrived(self, region: str, now: float) -> None:
        """Another gateway has registered the unit, and serves it from now on."""
        if now >= self._given_up_at:
            self.failed(self.served, now)  # not to be tried again at once
        self.served = region
        self.connected()
        self._avoided.pop(region, None)
        self._choose()

    def failed(self, region: str, now: float) -> None:
        """A gateway did not register the unit in time, or refused it."""
        failures = self._avoided[region].failures + 1 if region in self._avoided else 1
        pause = min(self._policy.retry_first_s * 2.0 ** min(failures - 1, 16), self._policy.retry_cap_s)
        self._avoided[region] = _Avoided(failures, now + pause * self._rng.uniform(0.75, 1.25))

    # -- what to do -----------------------------------------------------------------------------

    def start(self) -> str:
        """Where to connect first: by the position, if the directory knows."""
        here = None if self._place is None else self._regions.at(*self._place)
        if here is not None:
            self.served = here
            self._choose()
        return self.served

    def target(self, now: float) -> str | None:
        """The gateway to try now; None: stay."""
        if self._given_up_at == _NEVER:
            wanted = self._wanted
            good = wanted is not None and self.entries[wanted].storing is not False
            return wanted if good and self._may_try(wanted, now) else None
        if now < self._given_up_at:  # it is connecting: two new sessions at once would race for the epoch
            return None
        for region in self._candidates():
            if self._may_try(region, now):
                return region
        return None

    def due(self, now: float) -> float:
        """When `target` may say something else by the passing of time alone; infinity for never."""
        if self._given_up_at == _NEVER and not self._avoided:
            return _NEVER
        times = (self._given_up_at, *(avoided.until for avoided in self._avoided.values()))
        return min((time for time in times if time > now), default=_NEVER)

    # -- inside ---------------------------------------------------------------------------------

    def _may_try(self, region: str | None, now: float) -> bool:
        if region is None or region == self.served or self._shares_a_broker(region):
            return False
        avoided = self._avoided.get(region)
        return avoided is None or now >= avoided.until

    def _shares_a_broker(self, region: str) -> bool:
        """Whether a session there would end the one here: a broker has one of each client."""
        here = self.entries.get(self.served)
        return here is not None and here.url == self.entries[region].url

    def _candidates(self) -> list[str]:
        """Every gateway, the best first: by position, then by distance; those that do not store at last."""
        order = sorted(self.entries) if self._place is None else self._regions.nearest(*self._place)
        if self._wanted is not None:
            order = [self._wanted, *(region for region in order if region != self._wanted)]
        return sorted(order, key=lambda region: self.entries[region].storing is False)

    def _choose(self) -> None:
        if self._place is None:
            return
        held = self.served if self.served in self.entries else None
        self._wanted = self._regions.serving(*self._place, held)
