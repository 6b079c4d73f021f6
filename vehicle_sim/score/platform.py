"""What a platform says of a run: asked through its API, so that any deployment can be scored."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx
import msgspec

from fleetcell.contract.errors import FleetcellError
from fleetcell.contract.ledger import normalize
from vehicle_sim.score.commands import Said
from vehicle_sim.score.presence import Shown, State
from vehicle_sim.score.readings import Ledger, Rows
from vehicle_sim.score.report import Claims

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from vehicle_sim.truth.records import Boot, Run

_AT_ONCE: Final = 4  # vehicles asked about at a time
_PAGE: Final = 10_000  # readings
_SMALL_PAGE: Final = 1000  # events, presence changes, commands
_TIMEOUT_S: Final = 60.0
_PATIENCE_S: Final = 15.0  # with a platform that does not answer
_RETRY_S: Final = 0.5
_CLOCK_LOOKS: Final = 5  # at the platform's clock; the quickest answer counts
_BEFORE_S: Final = 3600.0  # presence is asked for from so long before the run: what was shown when it began
_OLD_COMMANDS_S: Final = 86_400.0  # queued so long before the run, a command may reach a unit in it
_EARLIEST_MS: Final = 1_262_304_000_000  # 2010; a clock before it is stored under the time of arrival

T = TypeVar("T")


class ScoreError(FleetcellError):
    """The platform could not be asked."""


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]
    next_cursor: str | None = None


class _Where(msgspec.Struct):
    lat: float | None = None
    lon: float | None = None


class _Reading(msgspec.Struct):
    time: datetime
    boot: str
    seq: int
    signals: _Where
    quality: int = 0


class _Event(msgspec.Struct):
    boot: str
    seq: int


class _BootLedger(msgspec.Struct):
    boot: str
    received: list[tuple[int, int]]
    evicted: list[tuple[int, int]]
    quarantined: list[tuple[int, int]]
    dead_lettered: list[tuple[int, int]]
    unexplained: list[tuple[int, int]]
    duplicates: int


class _Delivery(msgspec.Struct):
    boots: list[_BootLedger]


class _Presence(msgspec.Struct):
    learned_at: datetime
    state: State
    reason: str
    epoch: int
    region: str | None = None


class _Command(msgspec.Struct):
    id: str
    vehicle: str
    state: str
    created_at: datetime
    outcome: str | None = None


class _Fleet(msgspec.Struct):
    server_time: datetime


class Interrogation:
    """One platform, asked about one run.

    Args:
        client: with the platform's address and key.
        run: whose vehicles and time.
        boots: that the run made.
    """

    def __init__(self, client: httpx.AsyncClient, run: Run, boots: Sequence[Boot]) -> None:
        self._client = client
        self._run = run
        self._boots: dict[str, list[Boot]] = {vehicle: [] for vehicle in run.vehicles}
        for boot in boots:
            self._boots.setdefault(boot.vehicle, []).append(boot)
        self._claims = Claims()
        self._ahead_s = 0.0  # of the platform's clock

    async def ask(self, say: Callable[[int, int], None]) -> Claims:
        """All that the score needs; `say` is told how many vehicles of how many are done.

        Raises:
            ScoreError: no answer, a refused key, or an answer that is not this API's.
        """
        await self._measure_clock()
        await self._commands()
        waiting = asyncio.Semaphore(_AT_ONCE)
        done = 0

        async def one(vehicle: str) -> None:
            nonlocal done
            async with waiting:
                await self._vehicle(vehicle)
            done += 1
            say(done, len(self._boots))

        say(0, len(self._boots))
        async with asyncio.TaskGroup() as group:
            for vehicle in self._boots:
                group.create_task(one(vehicle))
        self._claims.asked_at = time.time()
        return self._claims

    # -- the questions ------------------------------------------------------------------------------

    async def _measure_clock(self) -> None:
        quickest = float("inf")
        for _ in range(_CLOCK_LOOKS):
            asked = time.time()
            found = _decode(await self._get("/api/v1/fleet"), _Fleet)
            answered = time.time()
            if answered - asked < quickest:
                quickest = answered - asked
                self._ahead_s = found.server_time.timestamp() - (asked + answered) / 2

    async def _vehicle(self, vehicle: str) -> None:
        boots = {boot.boot: boot for boot in self._boots[vehicle]}
        if boots:
            await self._ledgers(vehicle, boots)
            rows = await self._rows(vehicle, boots)
            for boot, one in rows.items():
                self._claims.rows[vehicle, boot] = one.stored()
        path, since = f"/api/v1/vehicles/{vehicle}/presence", _time(self._run.began_at - _BEFORE_S)
        found = self._items(path, _Presence, limit=_SMALL_PAGE, since=since, view="learned_at")
        changes = [change async for change in found]
        self._claims.shown[vehicle] = sorted(map(self._shown, changes), key=lambda shown: shown.at)

    def _shown(self, change: _Presence) -> Shown:
        at = change.learned_at.timestamp() - self._ahead_s
        return Shown(at, change.state, change.reason, change.epoch, change.region)

    async def _ledgers(self, vehicle: str, boots: dict[str, Boot]) -> None:
        body = await self._get(f"/api/v1/vehicles/{vehicle}/delivery")
        for held in _decode(body, _Delivery).boots if body is not None else ():
            if held.boot in boots:
                self._claims.ledgers[vehicle, held.boot] = Ledger(
                    received=normalize(held.received),
                    evicted=normalize(held.evicted),
                    quarantined=normalize(held.quarantined),
                    dead_lettered=normalize(held.dead_lettered),
                    unexplained=normalize(held.unexplained),
                    again=held.duplicates,
                )

    async def _rows(self, vehicle: str, boots: dict[str, Boot]) -> dict[str, Rows]:
        """Every row of these boots, readings and events."""
        rows = {boot: Rows() for boot in boots}
        dates = [boot.first_ms for boot in boots.values() if boot.first_ms is not None]
        began_ms = self._run.began_at * 1000
        since = min((date for date in dates if date >= _EARLIEST_MS), default=began_ms)
        path, since_time = f"/api/v1/vehicles/{vehicle}/telemetry", _time(min(since, began_ms) / 1000 - 1.0)
        async for reading in self._items(path, _Reading, limit=_PAGE, signals="lat,lon", since=since_time):
            if reading.boot in rows:
                time_ms, where = round(reading.time.timestamp() * 1000), reading.signals
                rows[reading.boot].add(
                    reading.seq, time_ms, where.lat, where.lon, noted=bool(reading.quality)
                )
        if any(boot.events for boot in boots.values()):
            async for event in self._items("/api/v1/events", _Event, limit=_SMALL_PAGE, vehicle=vehicle):
                if event.boot in rows:
                    rows[event.boot].add_event(event.seq)
        return rows

    async def _commands(self) -> None:
        async for command in self._items("/api/v1/commands", _Command, limit=_SMALL_PAGE):
            created_at = command.created_at.timestamp() - self._ahead_s
            if created_at < self._run.began_at - _OLD_COMMANDS_S:
                return
            if command.vehicle in self._boots:
                self._claims.commands[command.id] = Said(command.state, command.outcome, created_at)

    # -- the asking ---------------------------------------------------------------------------------

    async def _items(self, path: str, type_: type[T], **params: Any) -> AsyncIterator[T]:
        """Every item of a list; none of a vehicle that the platform does not know."""
        cursor: str | None = None
        while True:
            body = await self._get(path, **params, **({"cursor": cursor} if cursor else {}))
            if body is None:
                return
            page = _decode(body, _Page)
            for item in page.items:
                yield _decode(bytes(item), type_)
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _get(self, path: str, **params: Any) -> bytes | None:
        """The body of an answer; None for 404."""
        give_up = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            problem: str
            try:
                answer = await self._client.get(path, params=params)
            except httpx.HTTPError as error:
                problem = f"no answer from {self._client.base_url}: {str(error) or type(error).__name__}"
            else:
                if answer.is_success:
                    return answer.content
                if answer.status_code == httpx.codes.NOT_FOUND:
                    return None
                problem = f"{self._client.base_url}{path}: {_said(answer)}"
                if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
                    raise ScoreError(f"{self._client.base_url} refused the API key")
                if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR and (
                    answer.status_code != httpx.codes.TOO_MANY_REQUESTS
                ):
                    raise ScoreError(problem)
            if asyncio.get_running_loop().time() > give_up:
                raise ScoreError(problem)
            await asyncio.sleep(_RETRY_S)


async def claims_of(
    api_url: str, api_key: str, run: Run, boots: Sequence[Boot], say: Callable[[int, int], None]
) -> Claims:
    """Ask the platform at `api_url`.

    Raises:
        ScoreError: as `Interrogation.ask`.
    """
    headers = {"Authorization": f"Bearer {api_key}"}
    async with httpx.AsyncClient(
        base_url=api_url, headers=headers, timeout=_TIMEOUT_S, trust_env=False
    ) as client:
        try:
            return await Interrogation(client, run, boots).ask(say)
        except* ScoreError as found:
            error: BaseException = found
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from None


def _decode(body: bytes | None, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(b"" if body is None else body, type=type_)
    except msgspec.MsgspecError as error:
        raise ScoreError(f"the platform gave an answer that is not its API's: {error}") from None


def _said(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        return str(problem.get("detail") or problem.get("title") or answer.status_code)
    except (ValueError, AttributeError):
        return f"status {answer.status_code}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(max(seconds, 0.0), UTC).isoformat()
