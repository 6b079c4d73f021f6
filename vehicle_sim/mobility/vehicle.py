"""One vehicle as traffic moves it: where it is, what it does, and the trail it leaves for its instruments."""

from __future__ import annotations

import random
from bisect import bisect_right
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from vehicle_sim.mobility.driver import Driver, Plan
from vehicle_sim.mobility.powertrain import Combustion, Electric, Levels, Powertrain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vehicle_sim.mobility.kinds import Kind
    from vehicle_sim.roads import RoadNetwork

_TRAIL: Final = 240  # moments kept for instruments that are behind: two minutes of driving
_PLACES: Final = 100  # looked at for one to begin at


class Doing(Enum):
    """What a vehicle does. Only a driving one is on the lane; the others stand at the kerb."""

    DRIVING = auto()
    WAITING = auto()  # between trips, ignition on
    PARKED = auto()  # ignition off
    REFILLING = auto()  # at a charger or pump, ignition off


class Moment(NamedTuple):
    """A vehicle from `t_s` on, until the next moment: with constant acceleration, or standing.

    `road` is route[place] where there is a route; `odometer_m`: metres ever driven.
    """

    t_s: float
    doing: Doing
    road: int
    offset_m: float
    speed_ms: float
    acceleration: float
    odometer_m: float
    levels: Levels
    route: Sequence[int]
    place: int


class Vehicle:
    """What traffic knows of a vehicle. The same network and seed give the same one."""

    __slots__ = (
        "_decisions",
        "_first",
        "_seed",
        "acceleration",
        "ahead",
        "along_m",
        "behind",
        "cleared",
        "doing",
        "driver",
        "height_m",
        "held",
        "index",
        "kind",
        "knot",
        "levels",
        "odometer_m",
        "offset_m",
        "on_lane",
        "place",
        "plan",
        "powertrain",
        "road",
        "route",
        "served",
        "speed_ms",
        "startled_until_s",
        "still_s",
        "trail",
        "until_s",
    )  # fmt: skip

    def __init__(
        self,
        network: RoadNetwork,
        seed: int | str,
        kind: Kind,
        powertrain: Literal["electric", "combustion"] | None = None,
        may_begin: Callable[[float, float], bool] | None = None,
    ) -> None:
        """A vehicle at the kerb somewhere on the network, as `may_begin` (longitude, latitude) lets it."""
        self.index = -1
        self.kind = kind
        self._seed = seed
        self._decisions = 0
        rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
        self._first: random.Random | None = rng
        self.driver = Driver.random(rng, kind.manners)
        electric = rng.random() < kind.electric_share if powertrain is None else powertrain == "electric"
        self.powertrain: Powertrain = Electric(rng, kind) if electric else Combustion(rng, kind)
        self.levels = self.powertrain.begin(rng)
        self.odometer_m = rng.uniform(2e6, 150e6)
        for _ in range(_PLACES):
            place_m = rng.uniform(0.0, network.length_m)
            self.road = min(bisect_right(network.starts_m, place_m), len(network.roads) - 1)
            self.offset_m = network.roads[self.road].length_m * rng.uniform(0.1, 0.9)
            lon, lat, _ = network.roads[self.road].at(self.offset_m)
            if may_begin is None or may_begin(lon, lat):
                break
        self.height_m = network.roads[self.road].height_at(self.offset_m)
        self.speed_ms = 0.0
        self.acceleration = 0.0
        self.startled_until_s = -1.0  # the driver brakes hard
        self.doing = Doing.WAITING
        self.until_s = rng.uniform(0.0, 3.0)  # after it was added; then when it wants to set off
        if kind.habit.begins_parked:
            self.doing, self.until_s = Doing.PARKED, rng.uniform(0.0, kind.habit.parked_s[1])
        # While it drives:
        self.route: Sequence[int] = ()
        self.place = 0  # in the route
        self.plan = Plan()
        self.along_m = 0.0  # the plan
        self.knot = 0  # of the plan, the last one passed
        self.cleared = -1  # the last place at whose end it need not stop
        self.served = -1  # the last place at whose stop sign it stood
        self.held: list[tuple[int, float, int]] = []  # entries: road, until where along, place
        self.still_s = 0.0  # standing without a red light
        self.on_lane = False
        self.ahead: Vehicle | None = None  # on the same road
        self.behind: Vehicle | None = None
        self.trail: list[Moment] = []

    def decision(self) -> random.Random:
        """What is random about the next decision; a generator that is kept for the next one has 2.5 KiB."""
        first, self._first = self._first, None
        if first is not None:
            return first
        self._decisions += 1
        return random.Random(f"{self._seed}:decision:{self._decisions}")  # noqa: S311 - as above

    def note(self, t_s: float) -> None:
        """Leave the state of this moment to the instruments."""
        trail = self.trail
        if len(trail) == _TRAIL:
            del trail[0]
        trail.append(
            Moment(
                t_s,
                self.doing,
                self.road,
                self.offset_m,
                self.speed_ms,
                self.acceleration,
                self.odometer_m,
                self.levels,
                self.route,
                self.place,
            )
        )
