"""The stations of a run: each is looked at every 100 ms, between the readings of its vehicle."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from vehicle_sim.mobility import kind_of
from vehicle_sim.tasks import end
from vehicle_sim.v2x.body import body_of
from vehicle_sim.v2x.generation import T_GEN_CAM_MAX_MS, T_GEN_CAM_MIN_MS
from vehicle_sim.v2x.radio import Radio, V2xTally
from vehicle_sim.v2x.station import Station, StationPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vehicle_sim.fleet import Fleet
    from vehicle_sim.mobility import Drive
    from vehicle_sim.mobility.motion import Motion
    from vehicle_sim.v2x.options import V2xOptions

_CHECK_S: Final = 0.1  # T_CheckCamGen
_SLOTS: Final = 10  # of a check: not every vehicle speaks in the same moment
_AHEAD_S: Final = 5.0  # longer after the last reading a vehicle's place is not guessed


class Stations:
    """The stations of all vehicles of a run.

    Args:
        fleet: whose units have the links.
        drives: of the same vehicles.
        options: what is said.
        seed: of pseudonyms.
    """

    def __init__(self, fleet: Fleet, drives: dict[str, Drive], options: V2xOptions, seed: int) -> None:
        self.tally = V2xTally()
        self._fleet = fleet
        self._views = {vehicle: _View(drive) for vehicle, drive in drives.items()}
        self._slots: list[list[str]] = [[] for _ in range(_SLOTS)]
        self._radios: dict[str, Radio] = {}
        dcc_ms = min(max(round(1000 / options.cam_hz), T_GEN_CAM_MIN_MS), T_GEN_CAM_MAX_MS)
        policy = StationPolicy(options.kinds, dcc_ms)
        for index, vehicle in enumerate(drives):
            self._slots[index % _SLOTS].append(vehicle)
            number = vehicle.rpartition("-")[2]
            kind = kind_of(vehicle)
            body = body_of(kind.name, kind.length_m, int(number) if number.isdecimal() else index)
            rng = random.Random(f"{seed}:{vehicle}:v2x")  # noqa: S311 - a simulation, not a secret
            self._radios[vehicle] = Radio(Station(body, policy, rng), options.kinds, options.form, self.tally)

    async def run(self) -> None:
        """Look at each station in turn until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            for vehicles in self._slots:
                for vehicle in vehicles:
                    self._look(vehicle, loop.time())
                due = max(
                    due + _CHECK_S / _SLOTS, loop.time() - _CHECK_S
                )  # what was missed is not made up for
                await asyncio.sleep(max(0.0, due - loop.time()))

    def _look(self, vehicle: str, now: float) -> None:
        unit, view = self._fleet.units[vehicle], self._views[vehicle]
        unit.radio = self._radios[vehicle]  # it may be another unit than before: one that lost its power
        unit.look_v2x(view.look(now), view.dated())


class _View:
    """A drive between its readings, on the clock of the event loop."""

    def __init__(self, drive: Drive) -> None:
        self._drive = drive
        self._read_s = drive.t_s
        self._read_at: float | None = None  # when the last reading was seen; None: not yet
        self._shown_s = drive.t_s
        self.last: Motion | None = None

    def look(self, now: float) -> Motion | None:
        """Where it is now; never before where it was."""
        if self._read_at is None or self._drive.t_s != self._read_s:
            self._read_at, self._read_s = now, self._drive.t_s
        ahead_s = min(now - self._read_at, _AHEAD_S)
        self._shown_s = max(self._shown_s, self._read_s + ahead_s)
        self.last = self._drive.moment(self._shown_s)
        return self.last

    def dated(self) -> int:
        """What the unit takes for the time, ms since 1970."""
        return self._drive.dated(int(time.time() * 1000))


@asynccontextmanager
async def speaking(
    fleet: Fleet, drives: dict[str, Drive], options: V2xOptions, seed: int
) -> AsyncIterator[V2xTally | None]:
    """Let the vehicles speak while the body runs; gives the counts, None where nothing is said."""
    if not options.kinds:
        yield None
        return
    stations = Stations(fleet, drives, options, seed)
    task = asyncio.create_task(stations.run())
    try:
        yield stations.tally
    finally:
        await end(task)
