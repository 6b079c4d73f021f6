"""The uptime of a vehicle, a region and the fleet, from either view, against a second-by-second count."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from dashboard.shapes import SILENT_AFTER_S
from ingest.database import statement
from tests.ingest.units import provision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.database import Connection

START = datetime(2026, 5, 1, tzinfo=UTC)
LENGTH = 400  # seconds of history
STATES = ("online", "suspect", "asleep", "offline", "unknown")
UPTIME = "SELECT region, state, seconds FROM api.uptime($1, $2, $3, $4)"
ADD = """
    INSERT INTO fleet.presence_event (cursor, vehicle_id, at, learned_at, state, reason, epoch, region)
    VALUES (nextval('fleet.presence_cursor'), $1, $2, $3, $4, $5, 1, $6)
"""


SILENCE = "INSERT INTO fleet.gateway_silence (region, since, until) VALUES ($1, $2, $3)"
GATEWAY = "INSERT INTO fleet.gateway (region, heartbeat_at, storing, started_at) VALUES ($1, $2, true, $2)"
SILENCES = "SELECT region, since, until FROM api.silences"


class Silence(NamedTuple):
    region: str
    since: int  # seconds from the start: the last heartbeat
    until: int | None  # the next one; None: it is silent yet


class Event(NamedTuple):
    at: int  # seconds from the start; both times only grow, and it is known when it is so or later
    learned_at: int
    state: str
    reason: str
    region: str


def history(random: Random) -> list[Event]:
    """What a vehicle may have gone through; often several things at one time, and some learned late."""
    found, at, learned = [], 0, 0
    for _ in range(random.randrange(12)):
        at += random.choice((0, 1, random.randrange(60)))
        learned = max(learned, at + random.choice((0, 0, random.randrange(90))))
        reason = "revoked" if random.random() < 0.05 else "attach"
        state = "offline" if reason == "revoked" else random.choice(STATES)
        found.append(Event(at, learned, state, reason, random.choice(("north", "south"))))
    return found


def counted(
    events: list[Event], since: int, until: int, view: str, silences: Sequence[Silence] = ()
) -> Counter[tuple[str, str]]:
    """In each second counts what the newest event says whose time has come, unless nobody could know."""
    spent: Counter[tuple[str, str]] = Counter()
    for second in range(since, until):
        known = [event for event in events if getattr(event, view) <= second]
        if known and known[-1].reason != "revoked":
            _, _, state, _, region = known[-1]
            unknown = any(hides(silence, region, state, second, view) for silence in silences)
            spent[region, "unknown" if unknown else state] += 1
    return spent


def hides(silence: Silence, region: str, state: str, second: int, view: str) -> bool:
    if region != silence.region:
        return False
    if view == "at":  # a silence that is over is in the events
        return silence.until is None and second >= silence.since and state in ("online", "suspect")
    return silence.since + SILENT_AFTER_S <= second < (silence.until or LENGTH + 200)


def silent_times(random: Random) -> list[Silence]:
    """Each region is silent now and then, and one of them is so yet."""
    found, at = [], 0
    for region in ("south", "north"):
        at = 0
        for _ in range(random.randrange(4)):
            since = at + random.randrange(100)
            at = since + int(SILENT_AFTER_S) + random.randrange(1, 60)
            found.append(Silence(region, since, at))
    return [*found, Silence("north", at + random.randrange(150), None)]


async def put(connection: Connection, histories: dict[int, list[Event]]) -> None:
    flat = [(vehicle_id, event) for vehicle_id, events in histories.items() for event in events]
    flat.sort(key=lambda one: one[1].learned_at)  # the order of the cursors; stable within a vehicle
    await connection.executemany(
        ADD,
        [
            (vehicle, moment(event.at), moment(event.learned_at), event.state, event.reason, event.region)
            for vehicle, event in flat
        ],
    )


async def asked(
    connection: Connection, since: int, until: int, view: str, vehicle: int | None
) -> Counter[tuple[str, str]]:
    rows = await connection.fetch(UPTIME, moment(since), moment(until), view, vehicle)
    return Counter({(row["region"], row["state"]): round(row["seconds"], 3) for row in rows})


def moment(second: int) -> datetime:
    return START + timedelta(seconds=second)


async def test_uptime_is_what_a_second_by_second_count_says(connection: Connection) -> None:
    seed = Random().randrange(2**32)
    random = Random(seed)
    ids = await provision(connection, *(f"car-{number}" for number in range(40)))
    histories = {vehicle_id: history(random) for vehicle_id in ids.values()}
    await put(connection, histories)
    for _ in range(15):
        since, until = sorted(random.randrange(-20, LENGTH + 200) for _ in range(2))
        for view in ("at", "learned_at"):
            total: Counter[tuple[str, str]] = Counter()
            for vehicle_id, events in histories.items():
                wanted = counted(events, since, until, view)
                total += wanted
                if vehicle_id % 5 == 0:
                    found = await asked(connection, since, until, view, vehicle_id)
                    assert found == wanted, (seed, since, until, view, events)
            found = await asked(connection, since, until, view, None)
            assert found == total, (seed, since, until, view)


async def test_while_a_gateway_is_silent_its_vehicles_are_unknown_in_either_view(
    connection: Connection,
) -> None:
    seed = Random().randrange(2**32)
    random = Random(seed)
    ids = await provision(connection, *(f"car-{number}" for number in range(30)))
    histories = {vehicle_id: history(random) for vehicle_id in ids.values()}
    await put(connection, histories)
    silences = silent_times(random)
    for region, since, until in silences:
        if until is None:
            await connection.execute(GATEWAY, region, moment(since))
        else:
            await connection.execute(SILENCE, region, moment(since), moment(until))
    for _ in range(10):
        since, until = sorted(random.randrange(-20, LENGTH + 200) for _ in range(2))
        for view in ("at", "learned_at"):
            total: Counter[tuple[str, str]] = Counter()
            for vehicle_id, events in histories.items():
                total += counted(events, since, until, view, silences)
                if vehicle_id % 10 == 0:
                    found = await asked(connection, since, until, view, vehicle_id)
                    assert found == counted(events, since, until, view, silences), (seed, since, until, view)
            assert await asked(connection, since, until, view, None) == total, (seed, since, until, view)


async def test_a_heartbeat_after_a_silence_keeps_when_it_was(connection: Connection) -> None:
    async def beat() -> None:
        await connection.execute(statement("heartbeat"), "north", True, 0.0, None, 1.0)

    await beat()
    await connection.execute("UPDATE fleet.gateway SET heartbeat_at = heartbeat_at - interval '9 seconds'")
    await beat()
    assert await connection.fetch(SILENCES) == [], "a late one is no silence"
    last = await connection.fetchval(
        "UPDATE fleet.gateway SET heartbeat_at = heartbeat_at - interval '1 hour' RETURNING heartbeat_at"
    )
    assert [tuple(row) for row in await connection.fetch(SILENCES)] == [("north", last, None)]
    await beat()
    await beat()
    ((region, since, until),) = await connection.fetch(SILENCES)
    assert (region, since) == ("north", last)
    assert timedelta(minutes=59) < until - since < timedelta(minutes=61)


async def test_silent_means_the_same_to_the_database_and_to_the_dashboard(connection: Connection) -> None:
    assert await connection.fetchval("SELECT api.silent_after()") == timedelta(seconds=SILENT_AFTER_S)


async def test_what_is_erased_counts_nowhere(connection: Connection) -> None:
    ids = await provision(connection, "car")
    event = Event(0, 0, "online", "attach", "north")
    await connection.execute(ADD, ids["car"], START, START, event.state, event.reason, event.region)
    assert await asked(connection, 10, 20, "at", None) == {("north", "online"): 10}
    await connection.execute("UPDATE fleet.vehicle SET erased_at = now()")
    assert await asked(connection, 10, 20, "at", None) == {}
