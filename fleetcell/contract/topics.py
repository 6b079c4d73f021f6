"""The topics: build, parse, and who may publish, subscribe and receive what.

`fleet/v1/{region}/{vehicle}/{channel}` for a vehicle, `fleet/v1/{region}/gateway` and
`fleet/v1/{region}/live/positions` for a region, `fleet/v1/{region}/v2x/...` between vehicles and
`fleet/v1/directory` for all. Deny by default: what no rule names is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

from fleetcell.contract.errors import TopicError

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = "fleet"
VERSION: Final = "v1"
PREFIX: Final = f"{ROOT}/{VERSION}"
DIRECTORY_TOPIC: Final = f"{PREFIX}/directory"
RESERVED: Final = frozenset({"v2x", "live", "gateway", "directory"})
MAX_TOPIC_BYTES: Final = 65535  # MQTT 3.1.1, 1.5.3: a string's length has two bytes

_SHARE: Final = "$share/"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CELL_LEVEL = re.compile(r"[0-9a-f]{1,3}")
_CELL_PATH = re.compile(r"[0-9a-f]{1,3}(/[0-9a-f]{1,3}){0,15}")  # H3: a base cell, and up to 15 digits
_NEAR: Final = 6  # levels of a cell of resolution 5 (edge 9 km): a unit listens in no wider ones


class Channel(StrEnum):
    """The channels of a vehicle."""

    PRESENCE = "presence"
    STATE = "state"
    PAGE = "page"
    TELEMETRY = "telemetry"
    TELEMETRY_MP = "telemetry/mp"
    EVENT = "event"
    ACK = "ack"
    COMMAND = "command"
    RESPONSE = "response"


FROM_UNIT: Final = frozenset(
    {Channel.PRESENCE, Channel.TELEMETRY, Channel.TELEMETRY_MP, Channel.EVENT, Channel.RESPONSE}
)
TO_UNIT: Final = frozenset({Channel.STATE, Channel.PAGE, Channel.ACK, Channel.COMMAND})
_TO_UNIT_LEVELS: Final = tuple(sorted(channel.value for channel in TO_UNIT))
_DIRECTORY: Final = tuple(DIRECTORY_TOPIC.split("/"))


class Role(StrEnum):
    """Who a client of the broker is."""

    UNIT = "unit"
    GATEWAY = "gateway"
    DASHBOARD = "dashboard"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated client: a unit's name is its vehicle id; region None means every region."""

    role: Role
    name: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class VehicleTopic:
    """`fleet/v1/{region}/{vehicle}/{channel}`."""

    region: str
    vehicle: str
    channel: Channel


@dataclass(frozen=True, slots=True)
class RegionTopic:
    """`fleet/v1/{region}/gateway` or `fleet/v1/{region}/live/positions`."""

    region: str
    kind: Literal["gateway", "positions"]


@dataclass(frozen=True, slots=True)
class V2xTopic:
    """`fleet/v1/{region}/v2x/{cam|denm}/{h3 path}/{pseudonym}`, with `/uper` for ASN.1."""

    region: str
    kind: Literal["cam", "denm"]
    cell: str
    pseudonym: str
    uper: bool = False


@dataclass(frozen=True, slots=True)
class DirectoryTopic:
    """`fleet/v1/directory`."""


Topic = VehicleTopic | RegionTopic | V2xTopic | DirectoryTopic


def check_name(value: str, what: str) -> str:
    """The value, when it may name a region or a vehicle.

    Raises:
        TopicError: other characters than `[A-Za-z0-9_-]`, not 1 to 64 of them, or a reserved word.
    """
    if not _NAME.fullmatch(value):
        raise TopicError(f"{what} {value[:80]!r}: use 1 to 64 of the characters A-Z a-z 0-9 _ -")
    if value in RESERVED:
        raise TopicError(f"{what} {value!r} is a reserved word ({', '.join(sorted(RESERVED))})")
    return value


def vehicle_topic(region: str, vehicle: str, channel: Channel) -> str:
    """`fleet/v1/{region}/{vehicle}/{channel}`; the names must have been checked."""
    return f"{PREFIX}/{region}/{vehicle}/{channel.value}"


def gateway_topic(region: str) -> str:
    """The retained status of a region's gateway."""
    return f"{PREFIX}/{region}/gateway"


def positions_topic(region: str) -> str:
    """The conflated live positions of a region."""
    return f"{PREFIX}/{region}/live/positions"


def v2x_topic(
    region: str, kind: Literal["cam", "denm"], cell: str, pseudonym: str, *, uper: bool = False
) -> str:
    """A message between vehicles; `cell` is a path of H3 digits."""
    return f"{PREFIX}/{region}/v2x/{kind}/{cell}/{pseudonym}" + ("/uper" if uper else "")


def parse(topic: str) -> Topic:
    """What a topic names.

    Raises:
        TopicError: it is none of the contract's topics.
    """
    levels = topic.split("/")
    if levels[:2] != [ROOT, VERSION] or len(levels) < 3:
        raise TopicError(f"not a topic of {PREFIX}: {topic[:120]!r}")
    if topic == DIRECTORY_TOPIC:
        return DirectoryTopic()
    region = check_name(levels[2], "region")
    match levels[3:]:
        case ["gateway"]:
            return RegionTopic(region, "gateway")
        case ["live", "positions"]:
            return RegionTopic(region, "positions")
        case ["v2x", ("cam" | "denm") as kind, *rest]:
            return _parse_v2x(topic, region, "cam" if kind == "cam" else "denm", rest)
        case [vehicle, *channel] if channel:
            try:
                return VehicleTopic(region, check_name(vehicle, "vehicle"), Channel("/".join(channel)))
            except ValueError:
                raise TopicError(f"no such channel: {'/'.join(channel)[:80]!r}") from None
        case _:
            raise TopicError(f"not a topic of the contract: {topic[:120]!r}")


def is_v2x(topic: str) -> bool:
    """Whether a topic is one between vehicles; it may yet be malformed."""
    return topic.split("/", 4)[3:4] == ["v2x"]


def parse_v2x(topic: str) -> V2xTopic:
    """What a topic between vehicles names.

    Raises:
        TopicError: it is none.
    """
    parsed = parse(topic)
    if not isinstance(parsed, V2xTopic):
        raise TopicError(f"not a V2X topic: {topic[:120]!r}")
    return parsed


def _parse_v2x(topic: str, region: str, kind: Literal["cam", "denm"], rest: list[str]) -> V2xTopic:
    uper = rest[-1:] == ["uper"]
    if uper:
        rest = rest[:-1]
    if len(rest) < 2 or not _CELL_PATH.fullmatch(cell := "/".join(rest[:-1])):
        raise TopicError(f"not a V2X topic: {topic[:120]!r}")
    return V2xTopic(region, kind, cell, check_name(rest[-1], "pseudonym"), uper)


def check_topic(topic: str) -> str:
    """A topic name that MQTT 3.1.1 (4.7) allows in a PUBLISH.

    Raises:
        TopicError: empty, too long, or with a wildcard or NUL.
    """
    if not topic or len(topic.encode()) > MAX_TOPIC_BYTES:
        raise TopicError("a topic has 1 to 65535 bytes")
    if any(char in topic for char in "+#\0"):
        raise TopicError("a topic has no wildcard and no NUL")
    return topic


def check_filter(topic_filter: str) -> str:
    """A topic filter that MQTT 3.1.1 (4.7) allows in a SUBSCRIBE.

    Raises:
        TopicError: empty, too long, with NUL, or with a wildcard where none may stand.
    """
    if not topic_filter or len(topic_filter.encode()) > MAX_TOPIC_BYTES:
        raise TopicError("a topic filter has 1 to 65535 bytes")
    if "\0" in topic_filter:
        raise TopicError("a topic filter has no NUL")
    levels = topic_filter.split("/")
    for index, level in enumerate(levels):
        if "#" in level and (level != "#" or index != len(levels) - 1):
            raise TopicError("'#' stands alone and last in a topic filter")
        if "+" in level and level != "+":
            raise TopicError("'+' fills a whole level of a topic filter")
    return topic_filter


def split_share(topic_filter: str) -> tuple[str, str] | None:
    """Group and filter of `$share/{group}/{filter}` (MQTT 5, 4.8.2); None for any other filter."""
    if not topic_filter.startswith(_SHARE):
        return None
    group, _, shared = topic_filter[len(_SHARE) :].partition("/")
    return (group, shared) if group and shared and not set("+#") & set(group) else None


def share(group: str, topic_filter: str) -> str:
    """The filter as those of a group subscribe to it who share its messages."""
    return f"{_SHARE}{group}/{topic_filter}"


def filter_matches(topic_filter: str, topic: str) -> bool:
    """Whether the filter matches the topic (MQTT 3.1.1, 4.7; `$` topics only by name)."""
    if topic.startswith("$") and topic_filter[:1] in ("+", "#"):
        return False
    return _levels_match(topic_filter.split("/"), topic.split("/"))


def _levels_match(wanted: Sequence[str], levels: Sequence[str]) -> bool:
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)


# -- who may do what ---------------------------------------------------------------------------


def may_publish(principal: Principal, topic: str) -> bool:
    """Whether this client may publish to this topic (its will included)."""
    try:
        parsed = parse(check_topic(topic))
    except TopicError:
        return False
    match principal.role, parsed:
        case Role.UNIT, VehicleTopic(_, vehicle, channel):
            return vehicle == principal.name and channel in FROM_UNIT and _in_region(principal, parsed.region)
        case Role.UNIT, V2xTopic():
            return _in_region(principal, parsed.region)
        case Role.GATEWAY, VehicleTopic(_, _, channel):
            return channel in TO_UNIT and _in_region(principal, parsed.region)
        case Role.GATEWAY, RegionTopic():
            return _in_region(principal, parsed.region)
        case Role.GATEWAY, DirectoryTopic():
            return True
        case _:
            return False


def may_retain(principal: Principal, topic: str) -> bool:
    """Whether a message of this client to this topic may be retained: the gateway's truth only."""
    if principal.role is not Role.GATEWAY or not may_publish(principal, topic):
        return False
    match parse(topic):
        case VehicleTopic(_, _, Channel.STATE) | RegionTopic(_, "gateway") | DirectoryTopic():
            return True
        case _:
            return False


def may_subscribe(principal: Principal, topic_filter: str) -> bool:
    """Whether every topic that this filter can match is one this client may receive.

    A shared filter, `$share/{group}/{filter}`, is allowed where the filter is. A unit hears other vehicles
    in cells that it names: nobody follows a whole fleet with the credential of one vehicle.
    """
    shared = split_share(topic_filter)
    if shared is not None:
        topic_filter = shared[1]
    try:
        levels = check_filter(topic_filter).split("/")
    except TopicError:
        return False
    if principal.role is Role.UNIT and levels[3:4] == ["v2x"] and not _names_a_cell(levels[5:]):
        return False
    return any(_covers(allowed, levels) for allowed in _allowed_filters(principal))


def _names_a_cell(levels: Sequence[str]) -> bool:
    return len(levels) > _NEAR and all(_CELL_LEVEL.fullmatch(level) for level in levels[:_NEAR])


def may_receive(principal: Principal, topic: str) -> bool:
    """Whether this client may be sent a message of this topic."""
    levels = topic.split("/")
    return any(_levels_match(allowed, levels) for allowed in _allowed_filters(principal))


def _in_region(principal: Principal, region: str) -> bool:
    return principal.region is None or principal.region == region


def _allowed_filters(principal: Principal) -> tuple[tuple[str, ...], ...]:
    """The widest filters that a client may subscribe to, by levels; none begins with a wildcard."""
    base = ROOT, VERSION, principal.region or "+"
    match principal.role:
        case Role.UNIT:
            own = (*base, principal.name)
            v2x = (*base, "v2x")
            return (
                *((*own, channel) for channel in _TO_UNIT_LEVELS),
                (*base, "gateway"),
                _DIRECTORY,
                (*v2x, "cam", "#"),
                (*v2x, "denm", "#"),
            )
        case Role.GATEWAY:
            return (*base, "#"), _DIRECTORY, ("$SYS", "#")
        case Role.DASHBOARD:
            return (*base, "+", "state"), (*base, "gateway"), (*base, "live", "positions"), _DIRECTORY


def _covers(allowed: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the filter `wanted` can match nothing that `allowed` does not."""
    for index, level in enumerate(allowed):
        if level == "#":
            return True
        if index >= len(wanted) or wanted[index] == "#":
            return False
        if level not in ("+", wanted[index]):
            return False
    return len(allowed) == len(wanted)


# -- what each client subscribes to --------------------------------------------------------------


def unit_filters(region: str, vehicle: str) -> list[str]:
    """What a unit listens to: its own acks, commands, pages and state, and the gateway's status."""
    own = [
        vehicle_topic(region, vehicle, channel)
        for channel in (Channel.ACK, Channel.COMMAND, Channel.PAGE, Channel.STATE)
    ]
    return [*own, gateway_topic(region)]


def telemetry_filters(region: str) -> list[str]:
    """What the telemetry side of ingest listens to."""
    return [
        f"{PREFIX}/{region}/+/telemetry",
        f"{PREFIX}/{region}/+/telemetry/mp",
        f"{PREFIX}/{region}/+/event",
    ]


def presence_filters(region: str) -> list[str]:
    """What the registrar listens to."""
    return [f"{PREFIX}/{region}/+/presence"]


def response_filter(region: str) -> str:
    """What the registrar listens to for the units' answers to commands."""
    return f"{PREFIX}/{region}/+/response"


def dashboard_filters() -> list[str]:
    """What a dashboard listens to."""
    return [f"{PREFIX}/+/+/state", f"{PREFIX}/+/live/positions", f"{PREFIX}/+/gateway"]
