"""The live feed's transports: WebSocket, server-sent events, long poll and poll, all of one hub's frames."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Header, Query, WebSocket, WebSocketDisconnect
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from dashboard import parameters
from dashboard.auth import Principal
from dashboard.errors import DatabaseUnavailableError
from dashboard.guard import Who, principal_of
from dashboard.live.client import Client
from dashboard.live.cursor import Cursor, decode_cursor
from dashboard.live.feed import Feed
from dashboard.live.filter import Filter
from dashboard.live.frames import Frame
from dashboard.live.frames import time as time_frame
from dashboard.services import Services, Wired
from fleetcell.flag import set_within

log = structlog.get_logger()

MAX_WAIT_S: Final = 60.0
TRY_AGAIN: Final = 1013  # close code "try again later": resume with the last cursor
CLOSE_S: Final = 1.0
SIGNED_OUT: Final = "signed out, or the key was revoked"
POLICY: Final = 1008

router = APIRouter(prefix="/live", tags=["live"])

LiveCursor = Annotated[
    str | None,
    Query(
        max_length=512, description="Resume here: the cursor of the last frame; none: start with a snapshot"
    ),
]
Box = Annotated[str | None, Query(description="Only in this box: west,south,east,north in degrees")]
MaxHz = Annotated[
    float | None,
    Query(gt=0, le=50, description="The most positions frames a second; presence is never slowed"),
]


def filter_of(bbox: str | None, region: list[str] | None, vehicles: list[str] | None) -> Filter:
    """What a client wants to see."""
    return Filter(
        parameters.box_of(bbox),
        None if region is None else frozenset(region),
        None if vehicles is None else frozenset(vehicles),
    )


def _cursor_of(text: str | None) -> Cursor | None:
    return decode_cursor(text) if text else None


@router.websocket("")
async def over_websocket(
    websocket: WebSocket,
    services: Wired,
    cursor: LiveCursor = None,
    bbox: Box = None,
    region: parameters.Regions = None,
    vehicles: parameters.Vehicles = None,
    max_hz: MaxHz = None,
) -> None:
    """Frames as text messages; what the client sends is not read."""
    wanted, start = filter_of(bbox, region, vehicles), _cursor_of(cursor)
    await services.feed.wait_ready()
    await websocket.accept()
    try:
        reason = await _serve(websocket, services, wanted, start, max_hz)
    except DatabaseUnavailableError as error:
        reason = str(error)
    if reason is not None:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(CLOSE_S):  # who does not read is dropped by the server's ping
                await websocket.close(POLICY if reason == SIGNED_OUT else TRY_AGAIN, reason[:120])


@router.get("/sse", response_class=EventSourceResponse)
async def over_server_sent_events(
    services: Wired,
    who: Who,
    cursor: LiveCursor = None,
    bbox: Box = None,
    region: parameters.Regions = None,
    vehicles: parameters.Vehicles = None,
    max_hz: MaxHz = None,
    last_event_id: Annotated[str | None, Header(max_length=512)] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Frames as events: `event:` is the frame's type, `id:` the presence cursor; `Last-Event-ID` resumes."""
    wanted, start = filter_of(bbox, region, vehicles), _cursor_of(last_event_id or cursor)
    async with _client(services.feed, wanted, start, max_hz) as (client, wake):
        async for frame in _frames(services, who, client, wake):
            yield ServerSentEvent(event=frame.kind, raw_data=frame.text, id=frame.cursor)


@router.get("/poll")
async def by_poll(
    services: Wired,
    cursor: LiveCursor = None,
    wait: Annotated[
        float, Query(ge=0, le=MAX_WAIT_S, description="Seconds to wait for news; 0 answers at once")
    ] = 0,
    bbox: Box = None,
    region: parameters.Regions = None,
    vehicles: parameters.Vehicles = None,
) -> Response:
    """`{"frames": [...], "cursor": C}`: the frames since `cursor`; send C with the next poll."""
    feed = services.feed
    wanted, start = filter_of(bbox, region, vehicles), _cursor_of(cursor)
    until = time.monotonic() + wait
    while True:
        frames = await feed.poll(wanted, start)
        answered = feed.hub.poll_cursor()
        left = until - time.monotonic()
        if frames or left <= 0 or start is None:
            break
        start = decode_cursor(answered)
        await _news(feed, wanted, start, left)
    frames.append(time_frame(feed.now(), feed.lag_s, None))
    body = ",".join(frame.text for frame in frames)
    return Response(f'{{"frames":[{body}],"cursor":"{answered}"}}', media_type="application/json")


async def _news(feed: Feed, wanted: Filter, start: Cursor, seconds: float) -> None:
    """Return when something waits for a client at `start`, or the time is over."""
    async with _client(feed, wanted, start, None) as (client, wake):
        if client.queued or client.closed is not None:
            return
        await set_within(wake, seconds)


@contextlib.asynccontextmanager
async def _client(
    feed: Feed, wanted: Filter, cursor: Cursor | None, max_hz: float | None
) -> AsyncIterator[tuple[Client, asyncio.Event]]:
    wake = asyncio.Event()
    client = await feed.attach(wanted, cursor, wake=wake, max_hz=max_hz)
    try:
        yield client, wake
    finally:
        feed.hub.detach(client)


async def _frames(
    services: Services, who: Principal, client: Client, wake: asyncio.Event
) -> AsyncIterator[Frame]:
    """The frames of a client as they come due, until the hub closes it or it is signed out."""
    while client.closed is None:
        wake.clear()
        while (frame := services.feed.take(client)) is not None:
            if frame.kind == "time" and not await _may_stay(services, who):
                client.close(SIGNED_OUT)
                return
            yield frame
        await set_within(wake, client.due(time.monotonic()))


async def _may_stay(services: Services, who: Principal) -> bool:
    try:
        return await services.keys.renew(who) is not None
    except DatabaseUnavailableError:
        return True  # it sees nothing new meanwhile


async def _serve(
    websocket: WebSocket, services: Services, wanted: Filter, start: Cursor | None, max_hz: float | None
) -> str | None:
    """Send frames until the client is gone (None), or the hub ends it (the reason)."""
    async with _client(services.feed, wanted, start, max_hz) as (client, wake):
        ended = asyncio.Event()
        client.on_close = ended.set  # also while a frame cannot be sent
        frames = _frames(services, principal_of(websocket), client, wake)
        tasks = [
            asyncio.create_task(_send(websocket, frames)),
            asyncio.create_task(_until_gone(websocket)),
            asyncio.create_task(ended.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return client.closed


async def _send(websocket: WebSocket, frames: AsyncIterator[Frame]) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        async for frame in frames:
            await websocket.send_text(frame.text)


async def _until_gone(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
