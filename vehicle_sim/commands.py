"""What a unit does with a command: refuse it with the reason, or do it at most once and answer.

The order is what makes it safe. An id that was seen is answered with what was kept. A refusal is kept too,
so that the same id is not done later after all; only one for another session is not, for the gateway sends
that id again. A command that is done at once is noted together with its outcome, and then done. One that
takes time (sleep, reboot) is noted, answered `accepted`, done, and noted again with its outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import structlog

from fleetcell.contract import commands as contract
from fleetcell.contract.commands import Refusal
from fleetcell.contract.errors import PayloadError
from fleetcell.contract.messages import Response, ResponseState
from vehicle_sim.command_book import BookFullError, Config, Note

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from fleetcell.contract.messages import Command, PresenceState
    from vehicle_sim.command_book import CommandBook

log = structlog.get_logger()

MAX_RATE_HZ: Final = 100.0


class Vehicle(Protocol):
    """What commands need of the unit around them."""

    @property
    def epoch(self) -> int:
        """Of the session."""

    @property
    def shown(self) -> PresenceState | None:
        """The last `state` of the session."""

    def measured(self) -> Mapping[str, contract.Measured]:
        """The latest reading."""

    def about(self) -> contract.PingResult:
        """Boot, next number, uptime."""

    def position(self) -> contract.LocateResult | None:
        """The latest position; None: none was measured since the boot."""

    def in_force(self, config: Config) -> contract.ConfigResult | None:
        """What this configuration comes to; None: the unit has none (it replays a recording)."""

    def configure(self, config: Config) -> None:
        """Have this configuration from now on."""

    def answer(self, response: Response) -> None:
        """Tell the gateway, as soon as there is a link."""

    @property
    def will_sleep(self) -> bool:
        """Whether a sleep is to come."""

    def sleep(self, seconds: float) -> None:
        """Begin to sleep."""

    def stay_awake(self) -> None:
        """Call off the sleep that is to come."""

    def reboot(self) -> None:
        """Begin to restart."""


class Commands:
    """The commands of one unit; times are by its own clock, in UTC."""

    def __init__(self, book: CommandBook, vehicle: Vehicle) -> None:
        self._book = book
        self._vehicle = vehicle

    def take(self, command: Command, now: datetime) -> None:
        """A command came in: answer it, and do it if it may be done."""
        known = self._book.get(command.id)
        if known is not None:
            self._vehicle.answer(known.outcome or Response(command.id, ResponseState.ACCEPTED))
            return
        try:
            self._take_new(command, now)
        except (BookFullError, OSError) as error:
            why = f"the unit cannot note the command, and did not do it: {error}"
            self._vehicle.answer(Response(command.id, ResponseState.FAILED, error=why[:512]))

    def slept(self, wake_at: datetime, now: datetime) -> None:
        """The unit is about to leave for its sleep."""
        for note in self._under_way("sleep"):
            self._finish(note, succeeded(note, contract.SleepResult(wake_at)), now)

    def not_done(self, name: str, reason: str, now: datetime) -> None:
        """What was begun by commands of this name was called off, or did not work."""
        for note in self._under_way(name):
            self._finish(note, Response(note.id, ResponseState.FAILED, error=reason), now)

    def powered_up(self, boot: str, now: datetime) -> None:
        """A new boot began: what the one before had under way ends here, a reboot with success."""
        for note in self._book.unfinished:
            if note.name == "reboot":
                response = succeeded(note, contract.RebootResult(boot, note.boot))
            else:
                why = "the unit lost its power before this was done"
                response = Response(note.id, ResponseState.FAILED, error=why, code=Refusal.INTERRUPTED)
            self._finish(note, response, now)

    # -- inside ---------------------------------------------------------------------------------------

    def _under_way(self, name: str) -> list[Note]:
        return [note for note in self._book.unfinished if note.name == name]

    def _take_new(self, command: Command, now: datetime) -> None:
        if command.epoch != self._vehicle.epoch:
            why = f"for session epoch {command.epoch}, this one is {self._vehicle.epoch}"
            self._vehicle.answer(refused(command, Refusal.EPOCH, why))
            return
        refusal = self._refusal(command, now)
        if refusal is not None:
            self._conclude(command, refusal, now)
            return
        match contract.known_arguments(command.name, command.args):
            case contract.Sleep(seconds):
                self._begin(command, now)
                self._vehicle.sleep(seconds)
            case contract.SetInterval(seconds):
                config = msgspec.structs.replace(self._book.config, update_interval_s=seconds)
                self._conclude(command, succeeded(command, contract.IntervalResult(seconds)), now, config)
            case contract.UpdateConfig() as wanted:
                self._update_config(command, wanted, now)
            case _:
                self._take_simple(command, now)

    def _take_simple(self, command: Command, now: datetime) -> None:
        """A command without arguments."""
        match command.name:
            case "ping":
                self._conclude(command, succeeded(command, self._vehicle.about()), now)
            case "locate":
                place = self._vehicle.position()
                why = "no position was measured since the unit started"
                failed = Response(command.id, ResponseState.FAILED, error=why)
                self._conclude(command, succeeded(command, place) if place else failed, now)
            case "lock" | "unlock":
                locked = command.name == "lock"
                config = msgspec.structs.replace(self._book.config, locked=locked)
                self._conclude(command, succeeded(command, contract.LockResult(locked)), now, config)
            case "wake":
                done = contract.WakeResult(called_off=self._vehicle.will_sleep)
                self._conclude(command, succeeded(command, done), now)
                self._vehicle.stay_awake()
            case "reboot":
                self._begin(command, now)
                self._vehicle.reboot()
            case _:
                why = f"not supported: this unit knows no command {command.name!r}"
                self._conclude(command, refused(command, Refusal.UNSUPPORTED, why), now)

    def _update_config(self, command: Command, wanted: contract.UpdateConfig, now: datetime) -> None:
        held = self._book.config
        config = Config(
            update_interval_s=wanted.update_interval_s or held.update_interval_s,
            rate_hz=wanted.rate_hz or held.rate_hz,
            locked=held.locked,
        )
        in_force = self._vehicle.in_force(config)
        if in_force is None:
            why = "not supported: the readings of this vehicle are a recording"
            self._conclude(command, refused(command, Refusal.UNSUPPORTED, why), now)
        elif (wanted.rate_hz or 0) > MAX_RATE_HZ:
            why = f"rate_hz {wanted.rate_hz:g}: at most {MAX_RATE_HZ:g}"
            self._conclude(command, refused(command, Refusal.ARGUMENTS, why), now)
        else:
            self._conclude(command, succeeded(command, in_force), now, config)

    def _refusal(self, command: Command, now: datetime) -> Response | None:
        """Why this command is not done; None where it may be."""
        if now > command.not_after:
            late_s = (now - command.not_after).total_seconds()
            return refused(command, Refusal.LATE, f"its time was over {late_s:.1f} s ago by the unit's clock")
        if command.name not in contract.KNOWN:
            why = f"not supported: this unit knows no command {command.name!r}"
            return refused(command, Refusal.UNSUPPORTED, why)
        try:
            contract.known_arguments(command.name, command.args)
        except PayloadError as error:
            return refused(command, Refusal.ARGUMENTS, str(error))
        why_not = contract.unmet(command.require or {}, self._vehicle.measured(), self._vehicle.shown)
        return refused(command, Refusal.REQUIRE, why_not) if why_not else None

    def _begin(self, command: Command, now: datetime) -> None:
        """Note that it is under way, and say so."""
        self._book.write(self._note(command), now)
        self._vehicle.answer(Response(command.id, ResponseState.ACCEPTED))

    def _conclude(
        self, command: Command, outcome: Response, now: datetime, config: Config | None = None
    ) -> None:
        """Note the outcome, then have it so, then tell it."""
        self._book.write(self._note(command, outcome, config), now)
        if config is not None:
            self._vehicle.configure(config)
        self._vehicle.answer(outcome)

    def _note(self, command: Command, outcome: Response | None = None, config: Config | None = None) -> Note:
        boot = self._vehicle.about().boot
        return Note(command.id, command.name, command.not_after, boot, outcome, config)

    def _finish(self, note: Note, outcome: Response, now: datetime) -> None:
        """End a command that was under way; it has happened, whether or not that can be noted."""
        try:
            self._book.write(msgspec.structs.replace(note, outcome=outcome), now)
        except OSError as error:
            log.error("outcome of a command not noted", command=note.id, reason=error.strerror)  # noqa: TRY400
        self._vehicle.answer(outcome)


def succeeded(command: Command | Note, result: msgspec.Struct) -> Response:
    """It was done, with this result."""
    return Response(command.id, ResponseState.SUCCEEDED, msgspec.to_builtins(result))


def refused(command: Command, code: Refusal, why: str) -> Response:
    """It is not done, and why."""
    state = ResponseState.EXPIRED if code is Refusal.LATE else ResponseState.FAILED
    return Response(command.id, state, error=why[:512], code=code)
