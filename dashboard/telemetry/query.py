"""Asks the database for readings and buckets, of one vehicle or of many, a page or a stream at a time."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from dashboard.database import sql
from dashboard.paging import decode_key, encode_key
from dashboard.telemetry import selection as select
from dashboard.telemetry.items import bucket_of, reading_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import timedelta

    from dashboard.database import Database, Row
    from dashboard.telemetry.selection import Aggregate, Selection

DIRECTIONS: Final = {"asc": (">", "ASC"), "desc": ("<", "DESC")}
READING_KEY: Final = (str, datetime, UUID, int)  # vehicle, time, boot, seq
BUCKET_KEY: Final = (str, datetime)  # vehicle, start


@dataclass(frozen=True, slots=True)
class Scope:
    """Which readings: of one vehicle (`vehicle_id`), or of all that the filters let through."""

    since: datetime | None
    until: datetime | None
    vehicle_id: int | None = None
    vehicle: str | None = None
    vehicles: list[str] | None = None
    regions: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Readings:
    """A question for the readings themselves."""

    scope: Scope
    selection: Selection
    order: str = "asc"

    async def page(
        self, database: Database, limit: int, cursor: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """At most `limit` readings after the cursor, and the cursor of what follows.

        Raises:
            BadRequestError: the cursor is not of this list.
        """
        statement, arguments = self._statement(decode_key(cursor, *READING_KEY), limit + 1)
        rows = await database.fetch_text(statement, *arguments)
        more = None
        if len(rows) > limit:
            last = rows[limit - 1]
            more = encode_key((self._vehicle(last), last["time"], last["boot"], last["seq"]))
        return self.items(rows[:limit]), more

    async def stream(self, database: Database) -> AsyncGenerator[list[dict[str, Any]]]:
        """All readings, in portions."""
        statement, arguments = self._statement(None, None)
        async with aclosing(database.stream(statement, *arguments)) as portions:
            async for rows in portions:
                yield self.items(rows)

    def items(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Rows as readings."""
        return [reading_of(row, self._vehicle(row), self.selection) for row in rows]

    def _vehicle(self, row: Row) -> str:
        return self.scope.vehicle or row["vehicle"]

    def _statement(self, after: tuple[Any, ...] | None, limit: int | None) -> tuple[str, list[Any]]:
        comparison, direction = DIRECTIONS[self.order]
        scope = self.scope
        arguments: list[Any]
        vehicle, time, boot, seq = after or (None, None, None, None)
        if scope.vehicle_id is not None:
            text = sql("telemetry_raw")
            arguments = [scope.vehicle_id, scope.since, scope.until, time, boot, seq, limit]
        else:
            text = sql("telemetry_raw_fleet")
            arguments = [
                scope.vehicles,
                scope.regions,
                scope.since,
                scope.until,
                vehicle,
                time,
                boot,
                seq,
                limit,
            ]
        return _fill(
            text, columns=select.raw_columns(self.selection), after=comparison, order=direction
        ), arguments


@dataclass(frozen=True, slots=True)
class Buckets:
    """A question for aggregates by time."""

    scope: Scope
    selection: Selection
    width: timedelta
    aggregates: tuple[str, ...]

    def columns(self) -> list[Aggregate]:
        """What each bucket has."""
        first = 7 if self.scope.vehicle_id is not None else 9
        return select.aggregates(self.selection, self.aggregates, first)

    async def page(
        self, database: Database, limit: int, cursor: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """At most `limit` buckets after the cursor, and the cursor of what follows.

        Raises:
            BadRequestError: the cursor is not of this list.
        """
        scope, columns = self.scope, self.columns()
        arguments: list[Any]
        vehicle, start = decode_key(cursor, *BUCKET_KEY) or (None, None)
        if scope.vehicle_id is not None:
            text = sql("telemetry_bucketed")
            arguments = [scope.vehicle_id, scope.since, scope.until, self.width, start, limit + 1]
        else:
            text = sql("telemetry_bucketed_fleet")
            arguments = [
                scope.vehicles,
                scope.regions,
                scope.since,
                scope.until,
                self.width,
                vehicle,
                start,
                limit + 1,
            ]
        statement = _fill(text, aggregates=select.aggregate_columns(columns))
        rows = await database.fetch_text(statement, *arguments, *self.selection.extras)
        more = None
        if len(rows) > limit:
            last = rows[limit - 1]
            more = encode_key((scope.vehicle or last["vehicle"], last["bucket"]))
        of_one = scope.vehicle_id is not None
        return [bucket_of(row, None if of_one else row["vehicle"], columns) for row in rows[:limit]], more


def _fill(text: str, **parts: str) -> str:
    """Put the parts in the places that the statement names; all of them come from this package."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    filled = "\n".join(lines)
    for name, part in parts.items():
        filled = filled.replace("{" + name + "}", part)
    return filled
