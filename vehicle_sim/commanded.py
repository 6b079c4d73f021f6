"""The vehicle as its commands see it: instruments to read, and a unit to put to sleep or to restart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fleetcell.contract.commands import ConfigResult
from vehicle_sim.command_book import Config
from vehicle_sim.instruments import Instruments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fleetcell.contract.commands import LocateResult, Measured, PingResult
    from fleetcell.contract.messages import PresenceState, Response
    from vehicle_sim.actions import Action
    from vehicle_sim.spool import Spool
    from vehicle_sim.unit import Unit


class CommandedVehicle:
    """Implements `commands.Vehicle` with the parts of one unit; `do` carries out what the unit decides.

    Attributes:
        kept_awake: a command called off the sleep: none of the unit's own until it is woken or drives.
    """

    def __init__(
        self, unit: Unit, spool: Spool, rate_hz: float | None, *, do: Callable[[list[Action]], None]
    ) -> None:
        self.instruments = Instruments()
        self.kept_awake = False
        self._unit = unit
        self._spool = spool
        self._config = Config()
        self._came_with = (rate_hz, unit.update_interval_s)
        self._do = do

    def power_up(self) -> None:
        """A new boot begins."""
        self.kept_awake = False
        self.instruments.power_up(time.monotonic())

    @property
    def rate_hz(self) -> float | None:
        """How often readings are made; None: they are a recording."""
        return self._config.rate_hz or self._came_with[0]

    # -- what is asked ----------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        return self._unit.epoch

    @property
    def shown(self) -> PresenceState | None:
        return self._unit.shown

    @property
    def will_sleep(self) -> bool:
        return self._unit.will_sleep

    def measured(self) -> Mapping[str, Measured]:
        return self.instruments.measured(time.monotonic())

    def about(self) -> PingResult:
        current = self._spool.current
        return self.instruments.about(current.boot, current.last_seq + 1, time.monotonic())

    def position(self) -> LocateResult | None:
        return self.instruments.position()

    def in_force(self, config: Config) -> ConfigResult | None:
        rate_hz, interval_s = self._came_with
        if rate_hz is None:  # a recording has a rate of its own
            return None
        return ConfigResult(config.rate_hz or rate_hz, config.update_interval_s or interval_s)

    # -- what is done -----------------------------------------------------------------------------

    def answer(self, response: Response) -> None:
        self._do(self._unit.answer(response))

    def configure(self, config: Config) -> None:
        self._config = config
        self.instruments.locked = config.locked
        interval_s = config.update_interval_s or self._came_with[1]
        self._do(self._unit.set_interval(interval_s, time.monotonic()))

    def sleep(self, seconds: float) -> None:
        self.kept_awake = False
        self._do(self._unit.sleep(seconds, time.monotonic()))

    def stay_awake(self) -> None:
        self.kept_awake = True
        self._do(self._unit.wake(time.monotonic(), "a command wants the vehicle awake"))

    def reboot(self) -> None:
        self._do(self._unit.restart(time.monotonic()))
