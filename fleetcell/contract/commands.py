"""Commands: what they are called, what they take and give, when they may run, and the states they go through.

Pure. The dashboard checks a command with `check_command` before it is queued, the unit reads it with
`known_arguments`, checks `unmet`, and answers. The registrar follows it with `fold`.

At most once: a unit notes the id durably before it acts, and answers a repeated id with the outcome that it
kept. A command that it did not take because of its epoch (`Refusal.EPOCH`) is not noted: the registrar had
not heard of the newest session yet, and sends the same id again with that session's epoch.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec

from fleetcell.contract.errors import PayloadError
from fleetcell.contract.messages import Boot, PresenceState, ResponseState, Seconds, Seq, Time
from fleetcell.contract.signals import CATALOGUE, Datatype, storable

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_JSON: Final = 8192  # bytes of args, of require and of a result, each as JSON
MAX_CONDITIONS: Final = 32
MAX_SIGNAL_AGE_S: Final = 10.0  # a signal measured longer ago says nothing of now
STATE: Final = "state"  # the key of `require` that is not a signal

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KEY: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")

Rate = Annotated[float, msgspec.Meta(gt=0, le=1000)]  # Hz


class Arguments(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The arguments of a known command; a field that it does not have is an error."""


class Nothing(Arguments, frozen=True):
    """A command without arguments."""


class SetInterval(Arguments, frozen=True):
    """`set_interval`: claim an update every `seconds` from now on."""

    seconds: Annotated[float, msgspec.Meta(ge=1, le=86400)]


class Sleep(Arguments, frozen=True):
    """`sleep`: claim sleep, leave, and attach again after `seconds`."""

    seconds: Seconds


class UpdateConfig(Arguments, frozen=True):
    """`update_config`: change what is given, keep the rest; at least one must be given."""

    rate_hz: Rate | None = None
    update_interval_s: Annotated[float, msgspec.Meta(ge=1, le=86400)] | None = None

    def __post_init__(self) -> None:
        if self.rate_hz is None and self.update_interval_s is None:
            raise ValueError("nothing to change")


class PingResult(msgspec.Struct, frozen=True):
    """Result of `ping`: the boot, the next sequence number of its readings, seconds since it began."""

    boot: Boot
    next_seq: Seq
    uptime_s: float


class LocateResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """Result of `locate`: the latest position in degrees (WGS 84), and when it was measured."""

    lat: float
    lon: float
    at: Time
    heading: float | None = None
    speed: float | None = None


class IntervalResult(msgspec.Struct, frozen=True):
    """Result of `set_interval`: the interval in force."""

    seconds: float


class SleepResult(msgspec.Struct, frozen=True):
    """Result of `sleep`: when the vehicle will attach again."""

    wake_at: Time


class WakeResult(msgspec.Struct, frozen=True):
    """Result of `wake`: whether a sleep that was to come was called off."""

    called_off: bool


class LockResult(msgspec.Struct, frozen=True):
    """Result of `lock` and `unlock`: the doors as they are now."""

    locked: bool


class ConfigResult(msgspec.Struct, frozen=True):
    """Result of `update_config`: the configuration in force."""

    rate_hz: float
    update_interval_s: float


class RebootResult(msgspec.Struct, frozen=True):
    """Result of `reboot`, told after it: the new boot and the one before."""

    boot: Boot
    previous: Boot


class Kind(NamedTuple):
    """A known command: what it takes and what it gives when it succeeds."""

    arguments: type[Arguments]
    result: type[msgspec.Struct]


KNOWN: Final[dict[str, Kind]] = {
    "ping": Kind(Nothing, PingResult),
    "set_interval": Kind(SetInterval, IntervalResult),
    "sleep": Kind(Sleep, SleepResult),
    "wake": Kind(Nothing, WakeResult),
    "locate": Kind(Nothing, LocateResult),
    "lock": Kind(Nothing, LockResult),
    "unlock": Kind(Nothing, LockResult),
    "update_config": Kind(UpdateConfig, ConfigResult),
    "reboot": Kind(Nothing, RebootResult),
}


class Refusal(StrEnum):
    """Why a unit did not do a command: `code` of its response, beside the words in `error`."""

    EPOCH = "epoch"  # for another session; not noted, may come again
    LATE = "late"  # after not_after by the unit's clock; the response's state is `expired`
    REQUIRE = "require"  # a precondition does not hold
    UNSUPPORTED = "unsupported"  # this unit does not know the command
    ARGUMENTS = "arguments"
    INTERRUPTED = "interrupted"  # begun, and cut off: whether it took effect is not known


# -- names and arguments ---------------------------------------------------------------------------


def check_command(name: str, args: Any, require: Any = None) -> None:
    """Check a command before it is queued. Names that are not KNOWN are allowed: other units have others.

    Raises:
        PayloadError: the name, an argument or a condition is not one; the message says which and why.
    """
    if not _NAME.fullmatch(name):
        raise PayloadError(f"name {name[:80]!r}: 1 to 64 of a-z, 0-9 and _, a letter first")
    _object("args", args)
    if name in KNOWN:
        known_arguments(name, args)
    if require is not None:
        check_require(require)


def known_arguments(name: str, args: dict[str, Any]) -> Arguments:
    """The checked arguments of a known command.

    Raises:
        KeyError: `name` is not KNOWN.
        PayloadError: an argument is missing, unknown, of another type or out of bounds.
    """
    try:
        return msgspec.convert(args, KNOWN[name].arguments)
    except msgspec.ValidationError as error:
        raise PayloadError(f"args of {name}: {error}") from None


def check_result(result: Any) -> None:
    """Check the result of a response.

    Raises:
        PayloadError: it is too large, or nothing that the database can hold.
    """
    _bounded("result", result)


def _object(what: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise PayloadError(f"{what}: not an object")
    _bounded(what, value)


def _bounded(what: str, value: Any) -> None:
    try:
        if not storable(value):
            raise PayloadError(f"{what}: holds a NUL character or a number that is not finite")
        encoded = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise PayloadError(f"{what}: not JSON that everybody can read") from None
    if len(encoded) > MAX_JSON:
        raise PayloadError(f"{what}: {len(encoded)} bytes of JSON, at most {MAX_JSON}")


# -- preconditions -----------------------------------------------------------------------------------


class Measured(NamedTuple):
    """A signal as a unit knows it: its value, and how long ago it was measured, in seconds."""

    value: Any
    age_s: float


def check_require(require: Any) -> None:
    """Check the form of a precondition: `{"state": ..., "<wire key>": value | {"min":..,"max":..}}`.

    Raises:
        PayloadError: it is not of that form, or asks for what a signal of the catalogue can never be.
    """
    _object("require", require)
    if len(require) > MAX_CONDITIONS:
        raise PayloadError(f"require: {len(require)} conditions, at most {MAX_CONDITIONS}")
    for key, wanted in require.items():
        if key == STATE:
            if wanted not in tuple(PresenceState):
                raise PayloadError(f"require: state {wanted!r} is none of {', '.join(PresenceState)}")
        elif not _KEY.fullmatch(key):
            raise PayloadError(f"require: {key[:80]!r} is not the key of a signal")
        elif isinstance(wanted, dict):
            _check_bounds(key, wanted)
        elif not isinstance(wanted, bool | int | float | str):
            raise PayloadError(f"require: {key}: neither a value nor {{min, max}}")
        elif key in CATALOGUE and not _comparable(wanted, CATALOGUE[key].datatype):
            raise PayloadError(f"require: {key} is never {wanted!r}: it is {CATALOGUE[key].datatype}")


def _check_bounds(key: str, bounds: dict[str, Any]) -> None:
    if not bounds or bounds.keys() - {"min", "max"}:
        raise PayloadError(f"require: {key}: bounds are min, max or both")
    if not all(_is_number(bound) for bound in bounds.values()):
        raise PayloadError(f"require: {key}: a bound is not a number")
    if bounds.get("min", -math.inf) > bounds.get("max", math.inf):
        raise PayloadError(f"require: {key}: min is above max")
    if key in CATALOGUE and CATALOGUE[key].datatype not in (Datatype.DOUBLE, Datatype.INT):
        raise PayloadError(f"require: {key} has no bounds: it is {CATALOGUE[key].datatype}")


def _comparable(value: Any, datatype: Datatype) -> bool:
    match datatype:
        case Datatype.DOUBLE | Datatype.INT:
            return _is_number(value)
        case Datatype.BOOL:
            return isinstance(value, bool)
        case Datatype.TEXT:
            return isinstance(value, str)
        case Datatype.TEXTS:
            return False


def unmet(
    require: dict[str, Any],
    signals: Mapping[str, Measured],
    state: PresenceState | None,
    *,
    max_age_s: float = MAX_SIGNAL_AGE_S,
) -> str | None:
    """The first precondition that does not hold now, in words; None where all hold.

    Args:
        require: as in the command.
        signals: what the unit has measured last, by wire key.
        state: as the gateway's `state` last showed it in this session; None: not seen yet.
        max_age_s: a signal measured longer ago counts as not known.
    """
    try:
        check_require(require)
    except PayloadError as error:
        return str(error)
    for key, wanted in require.items():
        if key == STATE:
            if state != wanted:
                return f"state is {state or 'not known yet'}, not {wanted}"
            continue
        measured = signals.get(key)
        if measured is None:
            return f"{key} is not known"
        if not measured.age_s <= max_age_s:
            return f"{key} was measured {measured.age_s:.0f} s ago: too long"
        if (problem := _differs(key, measured.value, wanted)) is not None:
            return problem
    return None


def _differs(key: str, value: Any, wanted: Any) -> str | None:
    if isinstance(wanted, dict):
        if not _is_number(value):
            return f"{key} is {value!r}: not a number"
        if value < wanted.get("min", -math.inf):
            return f"{key} is {value}, below {wanted['min']}"
        if value > wanted.get("max", math.inf):
            return f"{key} is {value}, above {wanted['max']}"
        return None
    same_kind = isinstance(value, bool) == isinstance(wanted, bool)  # 1 is not true
    return None if same_kind and value == wanted else f"{key} is {value!r}, not {wanted!r}"


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


# -- states --------------------------------------------------------------------------------------------


class CommandState(StrEnum):
    """Where a command is. The last four are for good."""

    QUEUED = "queued"  # waits for the vehicle to be reachable
    PAGED = "paged"  # the vehicle was asked for a sign of life
    SENT = "sent"  # published, perhaps several times; nothing was heard of it
    DELIVERED = "delivered"  # the unit has accepted it
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


_ORDER: Final = (CommandState.QUEUED, CommandState.PAGED, CommandState.SENT, CommandState.DELIVERED)
TERMINAL: Final = frozenset(CommandState) - frozenset(_ORDER)


class CommandEvent(StrEnum):
    """What happens to a command; the last four are the unit's responses."""

    PAGED = "paged"
    SENT = "sent"
    DEADLINE = "deadline"  # the gateway waits no longer
    CANCEL = "cancel"
    ACCEPTED = "accepted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a command is.

    `state` is what the platform promises about it. `outcome` is what the unit said, None before it said
    anything. They differ where a response came after the platform had given up: then `state` stays
    `expired`, and `outcome` tells the truth of what happened at the vehicle.
    """

    state: CommandState = CommandState.QUEUED
    outcome: ResponseState | None = None


def fold(held: Progress, event: CommandEvent) -> Progress:
    """Take one event. It never goes back, in whatever order events arrive and how often.

    A terminal state stays. A unit's final outcome stays too: a unit does a command at most once, so what
    it says later of the same id is no news.
    """
    match event:
        case CommandEvent.PAGED:
            return Progress(_forward(held.state, CommandState.PAGED), held.outcome)
        case CommandEvent.SENT:
            return Progress(_forward(held.state, CommandState.SENT), held.outcome)
        case CommandEvent.DEADLINE:
            return Progress(_end(held.state, CommandState.EXPIRED), held.outcome)
        case CommandEvent.CANCEL:
            unsent = held.state in (CommandState.QUEUED, CommandState.PAGED)
            return Progress(CommandState.CANCELLED if unsent else held.state, held.outcome)
        case CommandEvent.ACCEPTED:
            return Progress(
                _forward(held.state, CommandState.DELIVERED), held.outcome or ResponseState.ACCEPTED
            )
        case CommandEvent.SUCCEEDED | CommandEvent.FAILED | CommandEvent.EXPIRED:
            if held.outcome not in (None, ResponseState.ACCEPTED):
                return held
            return Progress(_end(held.state, CommandState(event)), ResponseState(event))


def _forward(held: CommandState, reached: CommandState) -> CommandState:
    if held in TERMINAL:
        return held
    return max(held, reached, key=_ORDER.index)


def _end(held: CommandState, reached: CommandState) -> CommandState:
    return held if held in TERMINAL else reached
