"""What of a drive is worth an event: trouble codes, harsh driving and, rarely, a collision. Pure, seeded."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fleetcell.contract.events import EventKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vehicle_sim.mobility.drive import Shown

_NONE: Final[frozenset[str]] = frozenset()  # one for all vehicles: each is 200 bytes
_COLLISION_SHARE: Final = 0.05  # of harsh braking: the one behind did not brake in time
_DELTA_V_KMH: Final = (3.0, 12.0)  # light ones, after which the vehicle drives on
_PULSE_S: Final = 0.1  # how long the change of speed takes
_HARSH: Final = {"braking": EventKind.HARSH_BRAKE, "acceleration": EventKind.HARSH_ACCELERATION}


class Incident(NamedTuple):
    """One event: its kind and its data, as `fleetcell.contract.events` says."""

    kind: EventKind
    data: dict[str, Any]


class Incidents:
    """The incidents of one vehicle; to be shown each reading of its drive, in order.

    Args:
        seed: of collisions.
        collision_share: how much of the harsh braking ends in one, 0 to 1.
    """

    def __init__(self, seed: int | str, *, collision_share: float = _COLLISION_SHARE) -> None:
        self._seed = seed
        self._braked = 0  # hard, times
        self._collision_share = collision_share
        self._codes = _NONE
        self._harsh: object = None

    def look(self, signals: Shown, harshest: tuple[float, float]) -> list[Incident]:
        """What happened since the reading before.

        Args:
            signals: a reading of `Drive.advance`.
            harshest: lowest and highest acceleration since the reading before, in m/s².
        """
        place: dict[str, Any] = {key: signals[key] for key in ("lat", "lon") if key in signals}
        found = [Incident(EventKind.DTC, data | place) for data in self._changed_codes(signals)]
        harsh, before = signals.get("harsh"), self._harsh
        self._harsh = harsh
        if harsh is None or harsh == before:  # one event for as long as it lasts
            return found
        kind = _HARSH[str(harsh)]
        acceleration = harshest[0 if kind is EventKind.HARSH_BRAKE else 1]
        moving: dict[str, Any] = {"speed": signals["speed"], **place}
        found.append(Incident(kind, {"acceleration": round(acceleration, 2), **moving}))
        if kind is not EventKind.HARSH_BRAKE:
            return found
        self._braked += 1
        # One each time: a generator that is kept for the next time has 2.5 KiB.
        rng = random.Random(f"{self._seed}:incident:{self._braked}")  # noqa: S311 - a simulation, not a secret
        if rng.random() < self._collision_share:
            delta_v = rng.uniform(*_DELTA_V_KMH)
            shock: dict[str, Any] = {
                "acceleration": round(delta_v / 3.6 / _PULSE_S, 1),
                "delta_v": round(delta_v, 1),
            }
            found.append(Incident(EventKind.CRASH, shock | moving))
        return found

    def _changed_codes(self, signals: Mapping[str, object]) -> list[dict[str, Any]]:
        shown = signals.get("dtc")
        if not isinstance(shown, list):  # not in every reading
            return []
        codes, before = frozenset(shown) or _NONE, self._codes
        self._codes = codes
        return [
            *({"code": code, "active": True} for code in sorted(codes - before)),
            *({"code": code, "active": False} for code in sorted(before - codes)),
        ]
