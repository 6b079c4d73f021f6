"""Two regions, as processes at addresses of their own: handover, and a region that is cut off.

Each scenario runs twice: with one database for both, and with a database each.
"""

from __future__ import annotations

import asyncio
import time
from operator import itemgetter
from typing import TYPE_CHECKING

import pytest

from fleetcell.contract.addresses import address_in
from fleetcell.contract.directory import split_box
from fleetcell.contract.messages import GatewayStatus, State, decode
from fleetcell.contract.topics import Channel, gateway_topic, vehicle_topic
from fleetcell.mqtt import parse_url
from fleetcell.mqtt.address import source_problem
from tests.ingest.commands import queue, reaches
from tests.integration.regions import PATIENCE_S, Region, driving, provision, two_regions
from tests.postgres_servers import PlainServer, connected, fresh_database
from tests.relay import Relay
from vehicle_sim.command_book import Note
from vehicle_sim.journal import Journal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from fleetcell.mqtt import Message
    from vehicle_sim.session import VehicleUnit

pytestmark = pytest.mark.integration

CELLS = split_box((24.90, 60.16, 25.00, 60.20), ["west", "east"], 8)
WEST, EAST = (60.18, 24.91), (60.18, 24.99)
AN_HOUR_PASSES = """
    UPDATE fleet.registration SET deadline = deadline - interval '1 hour', since = since - interval '1 hour',
        updated_at = updated_at - interval '1 hour';
    UPDATE fleet.gateway SET heartbeat_at = heartbeat_at - interval '1 hour' WHERE region = 'west'
"""

TIME_IS_OVER = """
    WITH over AS (UPDATE fleet.command SET give_up_at = clock_timestamp() WHERE id = ANY ($1::uuid[]))
    SELECT pg_notify('fleetcell_commands', '')
"""
CHANGES = "SELECT learned_at, region, epoch, state, reason FROM api.presence_events WHERE vehicle = $1"
NOTICED = "registrar without database"

Regions = tuple[Region, Region]


@pytest.fixture(params=["one database", "a database each"])
async def regions(
    request: pytest.FixtureRequest, plain_server: PlainServer, tmp_path: Path, free_port: Callable[[], int]
) -> AsyncIterator[Regions]:
    """West and east, running."""
    if source_problem("127.0.1.1", parse_url("ws://127.0.0.1")):
        pytest.skip("needs the whole of 127.0.0.0/8, which Linux has")
    with fresh_database(plain_server) as first, fresh_database(plain_server) as second:
        dsns = (first.owner, first.owner if request.param == "one database" else second.owner)
        async with two_regions(tmp_path, dsns, CELLS, free_port) as found:
            yield found


class Car:
    """A unit that a test drives: it makes a reading at each place."""

    def __init__(self, unit: VehicleUnit) -> None:
        self.unit = unit
        self.made = 0

    def at(self, place: tuple[float, float], readings: int = 1) -> None:
        """Make readings here."""
        for _ in range(readings):
            self.made += 1
            self.unit.record(int(time.time() * 1000), {"lat": place[0], "lon": place[1], "speed": 50.0})


async def until(look: Callable[[], Awaitable[bool]] | Callable[[], bool], what: str) -> None:
    """Ask again and again, until it is so."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = look()
                if found if isinstance(found, bool) else await found:
                    return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE_S:g} s: {what}") from None


async def stored(*regions: Region) -> set[object]:
    """The sequence numbers that are stored, each database having each of them once."""
    found: set[object] = set()
    for region in regions:
        numbers = [row[0] for row in await region.ask("SELECT seq FROM fleet.telemetry")]
        assert len(set(numbers)) == len(numbers)
        found |= set(numbers)
    return found


async def test_handover_and_a_region_that_is_cut_off(regions: Regions, tmp_path: Path) -> None:
    await _crosses_the_border(*regions, tmp_path)
    await _commands_cross_it_too(*regions, tmp_path)
    await _is_cut_off(*regions, tmp_path, Relay.cut)
    if regions[0].dsn == regions[1].dsn:
        await _is_cut_off(*regions, tmp_path, Relay.swallow)


async def _crosses_the_border(west: Region, east: Region, tmp_path: Path) -> None:
    """The vehicle is handed over, there and back, and never offline; every reading is stored once."""
    await provision({west.dsn, east.dsn}, "car")
    shown: list[bytes] = []
    topic = vehicle_topic("west", "car", Channel.STATE)
    async with (
        driving(tmp_path, "car", west) as unit,
        west.listen(topic, lambda message: shown.append(message.payload)),
    ):
        car = Car(unit)
        car.at(WEST, 5)
        await asyncio.wait_for(unit.wait_registered(), PATIENCE_S)
        car.at(EAST, 5)
        await until(lambda: unit.region == "east" and unit.registered, "served by east")
        await asyncio.wait_for(unit.drained(), PATIENCE_S)
        await until(lambda: b"" in shown, "the retained state in west is cleared")
        row = "SELECT state, region, address, seen_address, epoch FROM api.vehicles WHERE vehicle = 'car'"
        own = address_in(str(east.entry.address_pool), "car")
        served: list[tuple[object, ...]] = [("online", "east", own, own, unit.epoch)]
        await until(lambda: _answers(east, row, served), "the register shows it there")
        car.at(WEST, 5)
        await until(lambda: unit.region == "west" and unit.registered, "served by west again")
        await asyncio.wait_for(unit.drained(), PATIENCE_S)
        assert await stored(west, east) == set(range(1, car.made + 1))
        assert unit.tally.handovers == 2
        there, back = "east: online (handover)", "west: online (handover)"
        if west.dsn == east.dsn:
            moves = ["west: online (attach)", there, back]
            await until(lambda: _moved(moves, west, east), f"{moves}")
            return
        in_west = ["west: online (attach)", "west: suspect (handover)", "west: unknown (handover)", back]
        in_east = ["east: online (attach)", "east: suspect (handover)", "east: unknown (handover)"]

        async def told() -> bool:
            return await _moved(in_west, west) and await _moved(in_east, east)

        await until(told, f"{in_west} and {in_east}")
        await _one_serves_at_any_time(west, east)
        (evidence,) = await east.ask("SELECT evidence ->> 'to' FROM fleet.registration")
        assert evidence == ("west",)


async def _one_serves_at_any_time(*regions: Region) -> None:
    """Of two registers the later epoch counts, and is online all the time. The other is until the goodbye."""
    events = [row for region in regions for row in await region.ask(CHANGES, "car")]
    held: dict[object, tuple[object, ...]] = {}
    for _, region, *registration in sorted(events, key=itemgetter(0)):
        held[region] = epoch, state, reason = tuple(registration)
        serving = max(held.values(), key=itemgetter(0))
        assert serving[1] == "online", held
        if state != "online":
            assert (epoch != serving[0], reason) == (True, "handover"), held
    assert [entry[1:] for entry in held.values()] == [("online", "handover"), ("unknown", "handover")]


async def _commands_cross_it_too(west: Region, east: Region, tmp_path: Path) -> None:
    """A command under way at a handover is done once. On another database it is left behind, and says so."""
    await provision({west.dsn, east.dsn}, "taxi")
    async with driving(tmp_path, "taxi", west) as unit, connected(west.dsn) as database:
        car = Car(unit)
        car.at(WEST)
        await asyncio.wait_for(unit.wait_registered(), PATIENCE_S)
        answered = lose_responses(unit)
        made = await queue(database, "taxi", "lock")
        await asyncio.wait_for(answered.wait(), PATIENCE_S)
        car.at(EAST)
        await until(lambda: unit.region == "east" and unit.registered, "served by east")
        if west.dsn == east.dsn:
            row = await reaches(database, made, "succeeded")
            assert row["epoch"] == unit.epoch, "sent again by the region that serves now"
            both = [made]
            for place in (WEST, EAST):  # queued, sent and answered while it moves
                both.append(await queue(database, "taxi", "unlock"))
                car.at(place)
            for command in both:
                await reaches(database, command, "succeeded")
        else:
            left = "SELECT state = 'unknown' FROM api.vehicles WHERE vehicle = 'taxi'"
            await until(lambda: _says(west, left), "west knows that it has left")
            assert await east.ask("SELECT 1 FROM fleet.command") == []
            late, kept = [await queue(database, "taxi", name) for name in ("ping", "unlock")]
            await database.execute(TIME_IS_OVER, [made, late])
            was_sent, waited = (
                await reaches(database, made, "expired"),
                await reaches(database, late, "expired"),
            )
            gone = "; it was handed over to region east"
            assert (
                was_sent["error"]
                == f"not answered in time: whether the vehicle has done it is not known{gone}"
            )
            assert waited["error"] == f"the vehicle could not be reached in time{gone}"
            car.at(WEST)  # it comes back before the deadline of the last one
            await reaches(database, kept, "succeeded")
            both = [made, kept]
        notes = noted(tmp_path / "taxi" / "commands.log")
        assert sorted(notes) == sorted(map(str, both)), "each was done once"


async def _says(region: Region, question: str) -> bool:
    return await _answers(region, question, [(True,)])


async def _answers(region: Region, question: str, wanted: list[tuple[object, ...]]) -> bool:
    return await region.ask(question) == wanted


async def _moved(wanted: list[str], *regions: Region) -> bool:
    """Whether that is the car's history, in the database of these regions."""
    history = await regions[0].history("car")
    if any(_was_blind(region) for region in regions):
        # The database of a busy machine was late: the car is unknown until it is heard again.
        late = ("unknown (gateway)", "online (update)", "online (telemetry)")
        history = [event for event in history if not event.endswith(late)]
    return history == wanted


def _was_blind(region: Region) -> bool:
    """Whether the registrar says that it did not hear for a while."""
    said = region.logs()
    return "the broker is away" in said or said.count("hearing ") > 1


def lose_responses(unit: VehicleUnit) -> asyncio.Event:
    """From now on no response of this session reaches the gateway; the event: one was lost."""
    link, lost = unit._roamer.link, asyncio.Event()
    assert link is not None
    publish = link.publish

    def lossy(channel: Channel, payload: bytes) -> bool:
        if channel is Channel.RESPONSE:
            lost.set()
            return True
        return publish(channel, payload)

    link.publish = lossy  # type: ignore[method-assign] # the network of this one link
    return lost


def noted(path: Path) -> list[str]:
    """The ids of the commands that the unit has done, once for each time."""
    journal = Journal(path)
    records, _ = journal.open()
    journal.close()
    return [decode(Note, record.body).id for record in records]


async def _is_cut_off(west: Region, east: Region, tmp_path: Path, cut: Callable[[Relay], None]) -> None:
    """West loses its database for an hour: its sessions stay, nothing is lost, and nobody is offline.

    `cut`: connections are reset, or packets vanish without a word.
    """
    first, second = f"van-{cut.__name__}", f"bus-{cut.__name__}"
    await provision({west.dsn, east.dsn}, first, second)
    said: list[Message] = []
    async with (
        driving(tmp_path, first, west) as unit,
        driving(tmp_path, second, east) as other,
        west.listen(gateway_topic("west"), said.append),
    ):
        van, bus = Car(unit), Car(other)
        van.at(WEST, 3)
        bus.at(EAST, 3)
        for one in (unit, other):
            await asyncio.wait_for(one.wait_registered(), PATIENCE_S)
            await asyncio.wait_for(one.drained(), PATIENCE_S)
        epoch = unit.epoch
        told = west.logs().count(NOTICED)
        cut(west.database)
        await until(lambda: not decode(GatewayStatus, said[-1].payload).storing, "west does not store")
        await until(lambda: west.logs().count(NOTICED) > told, "the registrar gives its connection up")
        for statement in AN_HOUR_PASSES.split(";"):
            await west.ask(statement)
        van.at(WEST, 20)
        bus.at(EAST, 20)
        await asyncio.wait_for(other.drained(), PATIENCE_S)  # the other region does not notice
        kept: asyncio.Queue[bytes] = asyncio.Queue()
        topic = vehicle_topic("west", first, Channel.STATE)
        async with west.listen(topic, lambda message: kept.put_nowait(message.payload)):
            state = decode(State, await asyncio.wait_for(kept.get(), PATIENCE_S))
        assert (state.state, state.epoch) == ("online", epoch), "as last committed"
        assert unit.spool.pending_count == 20, "nothing is acknowledged that is not stored"
        assert unit.connection_problem is None
        west.database.mend()
        await asyncio.wait_for(unit.drained(), PATIENCE_S)
        await until(lambda: decode(GatewayStatus, said[-1].payload).storing, "west stores again")

        async def online() -> bool:
            row = await west.ask("SELECT state FROM api.vehicles WHERE vehicle = $1", first)
            return row == [("online",)]

        await until(online, "the van is online again")
        assert unit.epoch == epoch, "its session was kept"
        count = "SELECT count(*), count(DISTINCT seq) FROM api.telemetry WHERE vehicle = $1"
        assert await west.ask(count, first) == [(23, 23)]
        assert await east.ask(count, second) == [(23, 23)]
        for vehicle, region in ((first, west), (second, east)):
            seen = await region.history(vehicle)
            assert seen[0] == f"{region.name}: online (attach)"
            assert {event.partition(": ")[2] for event in seen[1:]} <= {
                "unknown (gateway)",
                "online (update)",
                "online (telemetry)",
            }
        assert await east.history(second) == ["east: online (attach)"]
