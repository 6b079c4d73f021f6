"""The chaos harness: its network does what it says, its judge finds each fault; and three schedules."""

from __future__ import annotations

import asyncio
import random
import struct
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import chaos
from benchmarks._chaos_diary import Diary
from benchmarks._chaos_judge import LON, Held, Truth
from benchmarks._chaos_plan import HEALED_S, LINKS, NETWORK, SERVICES, UNIT, schedule
from benchmarks._chaos_proxy import AtCommit, CommitWatch, Proxy
from benchmarks._chaos_units import News, UnitReport
from fleetcell.contract.ledger import EMPTY, Ranges
from ingest.database import connect
from ingest.failures import FAILURES
from vehicle_sim.score.readings import Ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ingest.database import Connection

PATIENCE_S = 60
SCHEDULES = 3


# -- the plan -------------------------------------------------------------------------------------------


def test_a_schedule_follows_from_its_seed_and_number() -> None:
    assert schedule(7, 3) == schedule(7, 3)
    assert len({tuple(schedule(7, number)) for number in range(50)}) > 45


def test_every_kind_of_fault_comes_and_ends_before_all_is_whole_again() -> None:
    faults = [fault for number in range(600) for fault in schedule(1, number)]
    kinds = {fault.kind for fault in faults}
    assert kinds == {*NETWORK, *UNIT, "kill", "stop", "restart", "failover", "disk full", "cut commit"}
    assert {fault.who for fault in faults} >= {*LINKS, *SERVICES}
    assert all(fault.at < HEALED_S for fault in faults)


# -- the network ----------------------------------------------------------------------------------------


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", 4 + len(body)) + body


STARTUP = message(b"", b"\0\3\0\0user\0me\0\0")
COMMIT = message(b"Q", b"COMMIT;\0")


@given(st.lists(st.sampled_from([COMMIT, message(b"Q", b"BEGIN;\0"), message(b"d", b"COMMIT;")])), st.data())
def test_commit_is_found_however_the_stream_is_cut(messages: list[bytes], data: st.DataObject) -> None:
    stream = STARTUP + b"".join(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    watch, found = CommitWatch(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += list(watch.split(stream[begin:end]))
    assert b"".join(part for part, _ in found) == stream
    assert [is_commit for _, is_commit in found] == [False, *(part == COMMIT for part in messages)]


@asynccontextmanager
async def through(dsn: str) -> AsyncIterator[tuple[Proxy, Connection]]:
    """A connection through a proxy."""
    (folder,) = parse_qs(urlsplit(dsn).query)["host"]
    proxy = Proxy("database", f"{folder}/.s.PGSQL.5432", is_database=True)
    await proxy.start()
    parts = urlsplit(dsn)
    account = f"{parts.username}:{parts.password}"
    near = f"postgresql://{account}@127.0.0.1:{proxy.port}{parts.path}?sslmode=disable"
    try:
        client = await connect(near, timeout_s=PATIENCE_S)
        try:
            yield proxy, client
        finally:
            client.terminate()
    finally:
        await proxy.stop()


OPEN = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state ~ 'transaction'
"""


@pytest.mark.parametrize(("how", "committed"), [(AtCommit.ANSWER_LOST, True), (AtCommit.NEVER_SENT, False)])
async def test_a_cut_commit_is_done_or_not_and_the_client_cannot_tell(
    plain_dsn: str, how: AtCommit, committed: bool
) -> None:
    connection = await connect(plain_dsn)
    await connection.execute("CREATE TABLE thing (n integer)")
    async with through(plain_dsn) as (proxy, client):
        proxy.hit_commit(how)
        with pytest.raises(FAILURES):
            async with client.transaction():
                await client.execute("INSERT INTO thing VALUES (1)")
        assert proxy.commits_hit == 1
        async with asyncio.timeout(PATIENCE_S):  # the server may still be ending the transaction
            while await connection.fetchval(OPEN):
                await asyncio.sleep(0.01)
    assert await connection.fetchval("SELECT count(*) FROM thing") == committed
    connection.terminate()


class Echo:
    """A server that sends back what it gets, and a client of it behind a proxy."""

    proxy: Proxy
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def start(self) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while data := await reader.read(1000):
                    writer.write(data)
            except ConnectionError:
                pass
            finally:
                writer.close()

        self.server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.proxy = Proxy("echo", self.server.sockets[0].getsockname())
        await self.proxy.start()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        await self.say(b"hello")

    async def say(self, data: bytes) -> None:
        """Say it, and hear it."""
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE_S):
            assert await self.reader.readexactly(len(data)) == data

    async def ends(self) -> bytes:
        """What still comes until the connection ends."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def stop(self) -> None:
        self.writer.close()
        await self.proxy.stop()
        self.server.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    made = Echo()
    await made.start()
    yield made
    await made.stop()


async def test_what_a_stall_held_arrives_later(echo: Echo) -> None:
    echo.proxy.stall()
    echo.writer.write(b"late")
    asyncio.get_running_loop().call_later(0.05, echo.proxy.heal)
    async with asyncio.timeout(PATIENCE_S):
        assert await echo.reader.readexactly(4) == b"late"


async def test_a_connection_that_lost_bytes_in_a_hole_ends_with_it(echo: Echo) -> None:
    echo.proxy.hole = True
    echo.writer.write(b"gone")
    async with asyncio.timeout(PATIENCE_S):
        while not echo.proxy.has_lost:
            await asyncio.sleep(0.01)
    echo.proxy.heal()
    assert await echo.ends() == b""


async def test_a_torn_chunk_is_cut_in_its_middle(echo: Echo) -> None:
    echo.proxy.tear(0.5)
    echo.writer.write(bytes(100))
    assert len(await echo.ends()) <= 50


async def test_a_half_closed_connection_still_carries_the_other_direction(echo: Echo) -> None:
    echo.proxy.half_close(to_server=True)
    assert await echo.ends() == b""  # the server saw the end, answered all and closed


async def test_a_refusing_network_lets_nobody_in(echo: Echo) -> None:
    echo.proxy.refuses = True
    echo.reader, writer = await asyncio.open_connection("127.0.0.1", echo.proxy.port)
    assert await echo.ends() == b""
    writer.close()


# -- the judge ------------------------------------------------------------------------------------------

MADE = 5


def told(acked: Ranges = ((1, MADE),)) -> Truth:
    truth = Truth()
    for seq in range(1, MADE + 1):
        truth.hear(News("making", "car", "b", seq))
        truth.hear(News("made", "car", "b", seq, 1000 * seq, 60.0))
    truth.hear(News("acked", "car", "b", ranges=acked))
    return truth


def stored(*seqs: int, received: Ranges = ((1, MADE),), lat: float = 60.0) -> Held:
    held = Held()
    for seq in seqs:
        held.rows["b"].add(seq, 1000 * seq, lat, LON, noted=False)
    held.ledgers["b"] = Ledger(received=received)
    return held


def test_what_was_made_acknowledged_and_stored_once_is_clean() -> None:
    verdict = told().judge({}, stored(1, 2, 3, 4, 5))
    assert verdict.is_clean
    assert (verdict.made, verdict.acked) == (5, 5)


def test_what_was_acknowledged_and_is_not_stored_is_found() -> None:
    assert told().judge({}, stored(1, 2, 3, 5)).acked_lost == 1


def test_what_is_stored_twice_is_found() -> None:
    assert told().judge({}, stored(1, 2, 3, 3, 4, 5)).duplicates == 1


def test_what_is_nowhere_is_unexplained_unless_it_waits() -> None:
    truth, held = told(acked=((1, 4),)), stored(1, 2, 3, 4, received=((1, 4),))
    assert truth.judge({}, held).unexplained == 1
    assert told(acked=((1, 4),)).judge({"b": (((5, 5),), EMPTY)}, held).is_clean


def test_what_nobody_made_and_what_was_altered_is_found() -> None:
    assert told().judge({}, stored(1, 2, 3, 4, 5, 6, received=((1, 6),))).unexplained > 0
    assert told().judge({}, stored(1, 2, 3, 4, 5, lat=61.0)).altered == MADE
    assert Truth().judge({}, stored(1)).unexplained == 1


def test_a_reading_that_was_announced_when_the_unit_was_killed_may_be_there_or_not() -> None:
    truth = told()
    truth.hear(News("making", "car", "b", 6))
    assert truth.judge({}, stored(1, 2, 3, 4, 5)).is_clean
    assert truth.judge({}, stored(1, 2, 3, 4, 5, 6, received=((1, 6),))).is_clean


# -- the diary ------------------------------------------------------------------------------------------


def test_the_diary_has_what_changed_and_what_was_logged_since_it_began(tmp_path: Path) -> None:
    log, later = tmp_path / "broker.log", tmp_path / "units.log"
    log.write_text("of the schedule before\n")
    diary = Diary([log, later])
    row = {"vehicle": "car", "state": "online", "reason": "attach", "epoch": 1}
    unit = UnitReport("car", True, True, False, False, 1, {"b": ((1, 3),)}, {})
    diary.look(0.0, {"car": unit}, [row])
    diary.look(0.1, {"car": unit}, [row])
    lost = msgspec.structs.replace(unit, registered=False, problem="connection lost", pending={})
    diary.look(0.2, {"car": lost}, [row])
    diary.look(0.3, {"car": lost}, [row | {"epoch": 2}])
    assert diary.lines == [
        "+0.00 s car: is in epoch 1, registered",
        "+0.00 s car: has 3 readings to deliver",
        "+0.00 s car: is shown online (attach), epoch 1",
        "+0.20 s car: is in epoch 1, connection lost",
        "+0.20 s car: has 0 readings to deliver",
        "+0.30 s car: is shown online (attach), epoch 2",
    ]
    with log.open("a") as file:
        file.write("client gone\n")
    later.write_text("connected\n")
    assert diary.logged() == ["broker| client gone", "units| connected"]


# -- the whole -------------------------------------------------------------------------------------------


@pytest.mark.integration
async def test_a_few_schedules_of_a_fresh_seed() -> None:
    seed = random.SystemRandom().randrange(1, 2**31)
    sys.stdout.write(f"\npython -m benchmarks chaos --seed {seed} --schedules {SCHEDULES}\n")
    async with chaos.conducting() as conductor:
        await conductor.prepare(seed, range(1, SCHEDULES + 1))
        for number in range(1, SCHEDULES + 1):
            outcome = await conductor.play(number, schedule(seed, number))
            assert outcome.verdict.is_clean, outcome.story()
            assert outcome.undelivered == 0, outcome.story()
            assert outcome.never_right + outcome.crashes == [], outcome.story()
