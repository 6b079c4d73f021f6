"""Query parameters: read, check and say exactly what is wrong."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import Depends, Query
from pydantic import AfterValidator, BeforeValidator
from starlette.requests import HTTPConnection

from dashboard.errors import BadRequestError
from dashboard.live.filter import Box
from fleetcell.contract.errors import TopicError
from fleetcell.contract.topics import check_name

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_AGO = re.compile(f"(?:{_DURATION.pattern})+")
_LOST_PLUS = re.compile(r" (\d\d:\d\d)$")  # an unescaped + arrives as a space
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_duration(text: str) -> timedelta:
    """`90s`, `5m`, `1h30m`, `1d`.

    Raises:
        ValueError: it is not a duration above zero.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text[:40]!r} is not a duration: write 90s, 5m, 1h30m or 1d")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < seconds <= 366 * 86400:
        raise ValueError(f"{text[:40]!r}: a duration is above zero and at most 366d")
    return timedelta(seconds=seconds)


def parse_time(text: str, now: datetime) -> datetime:
    """RFC 3339 with an offset, or a duration ago such as `30m`.

    Raises:
        ValueError: it is neither.
    """
    if _AGO.fullmatch(text):
        return now - parse_duration(text)
    try:
        moment = datetime.fromisoformat(_LOST_PLUS.sub(r"+\1", text))
    except ValueError:
        raise ValueError(
            f"{text[:40]!r} is not a time: write RFC 3339 such as 2026-11-20T09:30:00Z, or 30m (ago)"
        ) from None
    if moment.tzinfo is None:
        raise ValueError(f"{text[:40]!r} has no offset from UTC: end it with Z or +02:00")
    return moment.astimezone(UTC)


def parse_box(text: str) -> Box:
    """`west,south,east,north` in degrees; west above east crosses the antimeridian.

    Raises:
        ValueError: it is not a bounding box.
    """
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text[:60]!r} is not a box: write west,south,east,north in degrees") from None
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise ValueError("a box has longitudes of -180 to 180, latitudes of -90 to 90, and south below north")
    return Box(west, south, east, north)


def words(values: Iterable[str] | None) -> list[str] | None:
    """`a,b` and repeated parameters alike, without repetitions; None where there are none."""
    if values is None:
        return None
    found = [part.strip() for value in values for part in value.split(",")]
    return list(dict.fromkeys(part for part in found if part)) or None


def _time(value: object) -> object:
    return parse_time(value, datetime.now(UTC)) if isinstance(value, str) else value


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


READ_DURATION: Final = BeforeValidator(_duration, json_schema_input_type=str)


def _names(what: str) -> AfterValidator:
    def check(value: list[str] | None) -> list[str] | None:
        for name in (found := words(value)) or ():
            try:
                check_name(name, what)
            except TopicError as error:
                raise ValueError(str(error)) from None
        return found

    return AfterValidator(check)


Since = Annotated[
    datetime | None,
    BeforeValidator(_time, json_schema_input_type=str),
    Query(description="From here on: RFC 3339, or a duration ago such as 30m", examples=["30m"]),
]
Until = Annotated[
    datetime | None,
    BeforeValidator(_time, json_schema_input_type=str),
    Query(description="Up to here, itself not included: RFC 3339, or a duration ago"),
]
AsOf = Annotated[
    datetime | None,
    BeforeValidator(_time, json_schema_input_type=str),
    Query(description="What was believed at this time: RFC 3339, or a duration ago"),
]
ValidAt = Annotated[
    datetime | None,
    BeforeValidator(_time, json_schema_input_type=str),
    Query(description="What was so at this time, as is known now: RFC 3339, or a duration ago"),
]
View = Annotated[
    Literal["at", "learned_at"],
    Query(description="By when it became so, or by when it was known"),
]
Bucket = Annotated[
    timedelta | None,
    READ_DURATION,
    Query(description="Width of a bucket, such as 15s, 1m, 1h, 1d; none: the readings themselves"),
]
Regions = Annotated[
    list[str] | None, _names("region"), Query(description="Only these; repeat, or use commas")
]
Vehicles = Annotated[
    list[str] | None, _names("vehicle"), Query(description="Only these; repeat, or use commas")
]
OfVehicle = Annotated[str | None, Query(max_length=64)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=512, description="`next_cursor` of the page before")]


def check_order(since: datetime | None, until: datetime | None) -> None:
    """Refuse a range that ends before it begins.

    Raises:
        BadRequestError: `until` is not after `since`.
    """
    if since is not None and until is not None and until <= since:
        raise BadRequestError(f"until ({until:%FT%TZ}) must be after since ({since:%FT%TZ})")


@dataclass(frozen=True, slots=True)
class _Excerpt:
    since: Since = None
    until: Until = None
    limit: Limit = 100
    cursor: Cursor = None

    def __post_init__(self) -> None:
        check_order(self.since, self.until)


Excerpt = Annotated[_Excerpt, Depends()]
"""A page of what is between two times: since, until, limit and cursor."""


def known(what: str, values: Iterable[str] | None, those: Iterable[str]) -> list[str] | None:
    """As `words`, of those that there are.

    Raises:
        BadRequestError: another one; `what` names the parameter.
    """
    found, allowed = words(values), list(those)
    if wrong := sorted(set(found or ()) - set(allowed)):
        raise BadRequestError(f"{what} {wrong[0][:40]!r} is none of {', '.join(allowed)}")
    return found


def box_of(text: str | None) -> Box | None:
    """The `bbox` parameter.

    Raises:
        BadRequestError: it is not a bounding box.
    """
    try:
        return None if text is None else parse_box(text)
    except ValueError as error:
        raise BadRequestError(f"bbox: {error}") from None


def sides_of(text: str | None) -> tuple[float, ...] | tuple[None, ...]:
    """The `bbox` parameter as four parameters of a statement: west, south, east, north; or four nulls.

    Raises:
        BadRequestError: it is not a bounding box.
    """
    box = box_of(text)
    return (None,) * 4 if box is None else (box.west, box.south, box.east, box.north)


async def _only_known(connection: HTTPConnection) -> None:  # else FastAPI runs it in a thread
    """Refuse parameters that a path does not have: a misspelt filter would show everything."""
    route = connection.scope.get("route")
    dependant = getattr(route, "dependant", None)
    if dependant is None:
        return
    known = set(query_names(dependant))
    unknown = sorted(set(connection.query_params) - known)
    if unknown:
        hint = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise BadRequestError(
            f"{', '.join(repr(name[:60]) for name in unknown)}: no such query parameter; {hint}"
        )


def query_names(dependant: object) -> list[str]:
    """The names of all query parameters of a path and of what it depends on."""
    names = [field.alias for field in getattr(dependant, "query_params", ())]
    for inner in getattr(dependant, "dependencies", ()):
        names += query_names(inner)
    return names


ONLY_KNOWN_PARAMETERS: Final = Depends(_only_known)
