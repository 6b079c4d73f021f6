"""Readings and aggregates: of one vehicle, and across vehicles."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response, StreamingResponse

from dashboard import parameters, shapes
from dashboard.answers import Json, schema_reference
from dashboard.errors import BadRequestError, DatabaseUnavailableError
from dashboard.routes.lookup import vehicle_id_of
from dashboard.services import Services, Wired
from dashboard.telemetry import formats
from dashboard.telemetry.formats import Format
from dashboard.telemetry.items import units_of
from dashboard.telemetry.query import Buckets, Readings, Scope
from dashboard.telemetry.selection import AGGREGATES, EVERYTHING, Selection, select, unlisted
from fleetcell.contract.signals import CATALOGUE

MAX_LIMIT: Final = 10_000
DEFAULT_LIMIT: Final = 1000
MAX_EXPORTS: Final = 4  # streams at a time: each holds a database connection
GEO: Final = frozenset({Format.GEOJSON, Format.GPX})

router = APIRouter(tags=["telemetry"])
_exports = asyncio.Semaphore(MAX_EXPORTS)

Signals = Annotated[
    list[str] | None,
    Query(
        description="Wire keys or VSS paths; repeat, or use commas; none: all", examples=[["speed", "soc"]]
    ),
]
Aggregates = Annotated[
    list[str] | None, Query(description="Of avg, min, max, last (default: all); only with bucket")
]
Limit = Annotated[
    int | None,
    Query(ge=1, le=MAX_LIMIT, description="Items in a page; default 1000; csv, ndjson, geojson, gpx: all"),
]
Order = Annotated[Literal["asc", "desc"], Query(description="By time; buckets are always ascending")]
FormatParameter = Annotated[
    Format, Query(alias="format", description="json has pages, the others are streams")
]


@dataclass(frozen=True, slots=True)
class _Asked:
    signals: Signals = None
    since: parameters.Since = None
    until: parameters.Until = None
    bucket: parameters.Bucket = None
    agg: Aggregates = None
    limit: Limit = None
    cursor: parameters.Cursor = None
    order: Order = "asc"
    kind: FormatParameter = Format.JSON

    def __post_init__(self) -> None:
        parameters.check_order(self.since, self.until)


Asked = Annotated[_Asked, Depends()]


@router.get("/vehicles/{vehicle}/telemetry", responses=schema_reference(shapes.TelemetryPage))
async def of_one_vehicle(vehicle: str, services: Wired, asked: Asked) -> Response:
    """The readings of a vehicle, oldest first, or with `bucket` their aggregates."""
    vehicle_id = await vehicle_id_of(services, vehicle)
    selection = await _selection(services, asked.signals, vehicle)
    scope = Scope(asked.since, asked.until, vehicle_id=vehicle_id, vehicle=vehicle)
    return await _answer(services, scope, selection, asked)


@router.get("/telemetry", responses=schema_reference(shapes.TelemetryPage))
async def across_vehicles(
    services: Wired,
    asked: Asked,
    vehicles: parameters.Vehicles = None,
    region: parameters.Regions = None,
) -> Response:
    """The same across vehicles: by vehicle, then by time. `region` is where a vehicle is registered now."""
    selection = await _selection(services, asked.signals, None)
    scope = Scope(asked.since, asked.until, vehicles=vehicles, regions=region)
    return await _answer(services, scope, selection, asked)


async def _selection(services: Services, signals: list[str] | None, vehicle: str | None) -> Selection:
    """The signals asked for.

    Raises:
        BadRequestError: names each that neither the catalogue nor a vehicle knows.
    """
    selection = select(parameters.words(signals))
    asked = unlisted(selection)
    if asked:
        seen = {row["key"] for row in await services.database.fetch("signal_seen", asked, vehicle)}
        unknown = [key for key in asked if key not in seen]
        if unknown:
            of = f"and {vehicle} has never sent it" if vehicle else "and no vehicle has sent it"
            raise BadRequestError(
                f"unknown signal {', '.join(repr(key[:64]) for key in unknown)}: not in the catalogue "
                f"({', '.join(sorted(CATALOGUE))}; /api/v1/signals), {of}"
            )
    return selection


async def _answer(services: Services, scope: Scope, selection: Selection, asked: _Asked) -> Response:
    if asked.bucket is not None:
        buckets = Buckets(scope, selection, asked.bucket, _aggregates(asked.agg))
        return await _buckets(services, buckets, asked.limit, asked.cursor, asked.kind)
    if asked.agg is not None:
        raise BadRequestError("agg works with bucket only: add for example bucket=1m")
    if asked.kind in GEO and not selection.everything:
        selection = select(dict.fromkeys(("lat", "lon", "alt", *selection.keys)))
    readings = Readings(scope, selection, asked.order)
    if asked.kind is Format.JSON:
        items, more = await readings.page(services.database, asked.limit or DEFAULT_LIMIT, asked.cursor)
        return Json(shapes.TelemetryPage(items, more, units_of(items, _named(selection))))
    return await _export(services, readings, asked.limit, asked.cursor, asked.kind)


async def _buckets(
    services: Services, buckets: Buckets, limit: int | None, cursor: str | None, kind: Format
) -> Response:
    if kind not in (Format.JSON, Format.CSV, Format.NDJSON):
        raise BadRequestError(
            f"format={kind.value} is for readings: leave out bucket, or take json, csv or ndjson"
        )
    page = limit or (DEFAULT_LIMIT if kind is Format.JSON else MAX_LIMIT)
    items, more = await buckets.page(services.database, page, cursor)
    if kind is Format.JSON:
        return Json(shapes.TelemetryPage(items, more, units_of(items, _named(buckets.selection))))
    if more is not None and limit is None:
        raise BadRequestError(
            f"more than {MAX_LIMIT} buckets: take a wider bucket, narrow since and until, or page with limit"
        )
    writer: formats.Writer = formats.NdjsonWriter()
    if kind is Format.CSV:
        columns = [(column.key, column.name) for column in buckets.columns()]
        writer = formats.BucketCsvWriter(columns, vehicle=buckets.scope.vehicle_id is None)
    return _text(writer, items, more, kind)


async def _export(
    services: Services, readings: Readings, limit: int | None, cursor: str | None, kind: Format
) -> Response:
    """All readings as a stream; with `limit` or `cursor` a page, and the header `Next-Cursor`."""
    writer = formats.writer_of(kind, readings.selection)
    if limit is not None or cursor is not None:
        items, more = await readings.page(services.database, limit or DEFAULT_LIMIT, cursor)
        return _text(writer, items, more, kind)
    portions = readings.stream(services.database)
    stream = _stream(writer, portions)
    first = await anext(stream)  # what goes wrong in the beginning is still answered as a problem
    return StreamingResponse(
        _rest(first, stream), media_type=formats.MEDIA_TYPES[kind], headers=_save_as(kind)
    )


async def _stream(
    writer: formats.Writer, portions: AsyncGenerator[list[dict[str, Any]]]
) -> AsyncGenerator[str]:
    if _exports.locked():
        raise DatabaseUnavailableError(f"{MAX_EXPORTS} exports are running already")
    async with _exports:
        head = writer.head()
        async with aclosing(portions):
            async for items in portions:
                yield head + writer.body(items)
                head = ""
        yield head + writer.tail()


async def _rest(first: str, stream: AsyncGenerator[str]) -> AsyncGenerator[str]:
    async with aclosing(stream):
        yield first
        async for piece in stream:
            yield piece


def _text(
    writer: formats.Writer, items: Sequence[dict[str, Any]], more: str | None, kind: Format
) -> Response:
    headers = _save_as(kind) | ({"Next-Cursor": more} if more is not None else {})
    body = "".join(formats.pieces(writer, items))
    return Response(body, media_type=formats.MEDIA_TYPES[kind], headers=headers)


def _save_as(kind: Format) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="telemetry.{kind.value}"'}


def _named(selection: Selection) -> tuple[str, ...]:
    return () if selection is EVERYTHING else selection.keys


def _aggregates(names: list[str] | None) -> tuple[str, ...]:
    chosen = parameters.words(names) or list(AGGREGATES)
    unknown = [name for name in chosen if name not in AGGREGATES]
    if unknown:
        raise BadRequestError(
            f"unknown aggregate {', '.join(repr(name[:40]) for name in unknown)}: {', '.join(AGGREGATES)}"
        )
    return tuple(chosen)
