"""The return of a gateway that was blind, with more vehicles than one transaction takes.

The clock is the test's. The registrar, the register and PostgreSQL are the real ones.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest

from fleetcell.contract.messages import Claim, ClaimKind, encode
from fleetcell.contract.presence import Timers
from fleetcell.contract.topics import Channel, vehicle_topic
from fleetcell.mqtt import Message
from ingest import register, registrar
from ingest.metrics import Metrics
from ingest.pager import paging_s
from ingest.register import Register
from ingest.registrar import Registrar
from ingest.vehicles import Vehicles
from tests.ingest.presence_parts import Board, Link
from tests.ingest.units import REGION, provision

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fleetcell.mqtt import MqttBridge
    from ingest.database import Connection
    from ingest.pools import Database
    from ingest.publisher import Publisher

START = datetime(2100, 1, 1, tzinfo=UTC)  # after the vehicles were provisioned
TIMERS = Timers()
PART = 4
VEHICLES = 5 * PART
HISTORY = """
    SELECT vehicle, state || ' (' || reason || ')' AS what, at FROM api.presence_events
    WHERE vehicle = ANY ($1) ORDER BY cursor
"""


class Jitter(random.Random):
    """None; it notes over how many seconds each page was to be spread."""

    def __init__(self) -> None:
        super().__init__()
        self.spreads: list[float] = []

    def uniform(self, a: float, b: float) -> float:
        self.spreads.append(b - a)
        return a


class Gateway:
    """A region's registrar, its link, and its clock."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.now = 0.0
        self.paged: list[str] = []
        self.metrics = Metrics()
        self.link = Link()
        self.link.take = lambda topic, _: self.paged.append(topic.split("/")[3])
        self.in_transaction: Callable[[int], Awaitable[None] | None] = lambda _: None  # in each, by number
        self.transactions = 0
        self.registrar = Registrar(
            REGION,
            TIMERS,
            cast("Database", None),  # the connection is given with each turn
            Vehicles(self._clock),
            cast("Publisher", Board()),
            lambda _: cast("MqttBridge", self.link),
            self.metrics,
            clock=self._clock,
        )
        self.registrar._register = Register(REGION, TIMERS, self._database_time)
        self.registrar._pager._rng = self.jitter = Jitter()
        self.registrar._bridge = cast("MqttBridge", self.link)

    async def connected(self) -> None:
        """The link is there, and all that follows is done."""
        self.link.connected = True
        await self.registrar.connected()
        await self.registrar.turn(self.connection)

    async def blind_for(self, seconds: float, *, told: bool = True) -> None:
        """The link is away for so long; the return is still to be settled, or not even told."""
        self.link.connected = False
        self.registrar.disconnected("cut")
        self.now += seconds
        self.link.connected = True
        if told:
            await self.registrar.connected()

    def hear(self, vehicle: str, claim: Claim) -> None:
        """A claim arrives."""
        topic = vehicle_topic(REGION, vehicle, Channel.PRESENCE)
        self.registrar.receive(Message(topic, encode(claim), 1, retain=False))

    async def pages(self, number: int) -> None:
        """Wait until so many have gone out; they do by timers of the loop."""
        async with asyncio.timeout(60):
            while len(self.paged) < number:
                await asyncio.sleep(0.001)

    async def histories(self, vehicles: list[str]) -> dict[str, list[str]]:
        """What became of them, with the seconds when it became so."""
        found: dict[str, list[str]] = defaultdict(list)
        for row in await self.connection.fetch(HISTORY, vehicles):
            found[row["vehicle"]].append(f"{row['what']} {(row['at'] - START).total_seconds():g}")
        return found

    def _clock(self) -> float:
        return self.now

    async def _database_time(self, _connection: Connection) -> datetime:
        self.transactions += 1
        if (meanwhile := self.in_transaction(self.transactions)) is not None:
            await meanwhile
        return START + timedelta(seconds=self.now)


def attach(epoch: int, n: int = 1) -> Claim:
    return Claim(ClaimKind.ATTACH, epoch, START, n=n)


def will(epoch: int) -> Claim:
    return Claim(ClaimKind.DETACH, epoch, START, reason="lost")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "PART", PART)


async def attached(connection: Connection) -> tuple[Gateway, list[str]]:
    """A gateway with vehicles that are online, in the order of their parts."""
    names = [f"car-{number:02}" for number in range(VEHICLES)]
    await provision(connection, *names)
    gateway = Gateway(connection)
    await gateway.connected()
    gateway.now = 100.0  # the interval after the start is over
    for name in names:
        gateway.hear(name, attach(1))
    await gateway.registrar.turn(connection)
    return gateway, names


async def test_claims_are_taken_between_the_transactions_of_a_return(
    connection: Connection, small_parts: None
) -> None:
    gateway, names = await attached(connection)
    await gateway.blind_for(50)
    waited: list[int] = []  # by the transactions of the settling, how many claims wait

    def while_it_settles(number: int) -> None:
        if number == began + 1:  # in the first part
            gateway.hear(names[0], attach(2))  # whose part this is
            gateway.hear(names[-1], attach(2))  # whose part is the last
            gateway.hear(names[-2], will(1))
        waited.append(len(gateway.registrar._heard.claims))

    began, gateway.in_transaction = gateway.transactions, while_it_settles
    await gateway.registrar.turn(connection)
    assert waited[0] == 3
    assert waited[1] == 0, "taken in the next transaction, before the next part"
    histories = await gateway.histories(names)
    online, blind = "online (attach) 100", "unknown (gateway) 100"
    for name in names:
        back = ["online (attach) 150"] if name in (names[0], names[-1]) else []
        assert histories[name] == [online, blind, *back], name
    order = [row["vehicle"] for row in await connection.fetch(HISTORY, names)]
    assert order.index(names[-1], VEHICLES) < order.index(names[PART], VEHICLES), (
        "it did not wait for its part"
    )


async def test_who_speaks_while_the_database_lets_a_sweep_wait_is_taken_first(connection: Connection) -> None:
    gateway, names = await attached(connection)
    back, away = names[:2]
    for name in (back, away):
        gateway.hear(name, will(1))
    await gateway.registrar.turn(connection)

    def stands_still(_: int) -> None:
        gateway.in_transaction = lambda _: None
        gateway.now = 106.0
        gateway.hear(back, attach(2))
        gateway.now = 130.0  # the linger was over at 110

    gateway.now, gateway.in_transaction = 105.0, stands_still
    for _ in range(2):
        await gateway.registrar.turn(connection)
    histories = await gateway.histories([back, away])
    lost = ["online (attach) 100", "suspect (lost) 100"]
    assert histories == {back: [*lost, "online (attach) 106"], away: [*lost, "offline (lost) 110"]}


async def test_each_is_paged_once_but_who_has_spoken(connection: Connection, small_parts: None) -> None:
    gateway, names = await attached(connection)
    await gateway.blind_for(50)
    gateway.hear(names[-1], attach(2))
    gateway.hear(names[-2], will(1))
    await gateway.registrar.turn(connection)
    await gateway.pages(VEHICLES - 1)
    assert sorted(gateway.paged) == names[:-1]
    spread = paging_s(VEHICLES, TIMERS.update_interval_s)
    assert gateway.jitter.spreads.count(spread) == VEHICLES - 2, "as all of them, not as those of a part"


async def test_who_does_not_speak_after_a_return_has_settled_within_its_interval_and_the_grace(
    connection: Connection, small_parts: None
) -> None:
    """Also one that was lost just before: its will may have been that of a dying broker."""
    gateway, names = await attached(connection)
    often, lost, patient = names[:3]
    gateway.now = 110.0
    gateway.hear(often, Claim(ClaimKind.UPDATE, 1, START, n=2, update_interval=5))
    gateway.hear(patient, Claim(ClaimKind.UPDATE, 1, START, n=2, keep_alive=600))
    gateway.now = 112.0
    gateway.hear(lost, will(1))
    await gateway.registrar.turn(connection)
    gateway.now = 115.0
    await gateway.blind_for(50)
    await gateway.registrar.turn(connection)
    gateway.now = 165 + 5 + TIMERS.grace_s
    await gateway.registrar.turn(connection)
    blind, overdue = "unknown (gateway) 115", "suspect (overdue) {:g}"
    histories = await gateway.histories(names)
    assert histories[often][1:] == [blind, overdue.format(gateway.now)]
    assert histories[lost][1:] == ["suspect (lost) 112", blind]
    gateway.now = 165 + TIMERS.update_interval_s + TIMERS.grace_s
    for _ in range(VEHICLES // PART):  # the sweep takes parts, too
        await gateway.registrar.turn(connection)
    histories = await gateway.histories(names)
    assert {histories[name][-1] for name in names[1:]} == {overdue.format(gateway.now)}


async def test_a_database_that_fails_on_the_way_tells_nobody_twice(
    connection: Connection, small_parts: None
) -> None:
    gateway, names = await attached(connection)
    await gateway.blind_for(50)
    gateway.hear(names[-1], attach(2))

    def fail(number: int) -> None:
        if number == began + 3:
            raise ConnectionError("the database went away in the middle of a transaction")

    began, gateway.in_transaction = gateway.transactions, fail
    with pytest.raises(ConnectionError):
        await gateway.registrar.turn(connection)
    gateway.now += 30
    assert not gateway.registrar._hearing.is_set()
    gateway.hear(names[0], attach(2))  # it was told before the failure
    gateway.hear(names[-2], attach(2))
    await gateway.registrar.turn(connection)
    assert gateway.registrar._hearing.is_set()
    online, blind = "online (attach) 100", "unknown (gateway) 100"
    back = {names[-1]: 150, names[0]: 180, names[-2]: 180}
    histories = await gateway.histories(names)
    for name in names:
        settled = [f"online (attach) {back[name]}"] if name in back else []
        assert histories[name] == [online, blind, *settled]
    await gateway.pages(VEHICLES - 2)
    assert len(set(gateway.paged)) == len(gateway.paged), "nobody twice"


async def test_a_link_that_is_lost_again_on_the_way_is_another_blindness(
    connection: Connection, small_parts: None
) -> None:
    gateway, names = await attached(connection)
    await gateway.blind_for(50)

    def cut(number: int) -> None:
        if number == began + 1:
            gateway.hear(names[-1], attach(2))
        if number == began + 3:
            gateway.link.connected = False
            gateway.registrar.disconnected("cut again")

    began, gateway.in_transaction = gateway.transactions, cut
    await gateway.registrar.turn(connection)
    assert not gateway.registrar._hearing.is_set()
    gateway.now += 20
    await gateway.connected()
    assert gateway.registrar._hearing.is_set()
    histories = await gateway.histories(names)
    online, blind = "online (attach) 100", "unknown (gateway) 100"
    for name in names[:-1]:
        assert histories[name] == [online, blind]
    assert histories[names[-1]] == [online, blind, "online (attach) 150", "unknown (gateway) 150"]
    deadlines = await connection.fetch("SELECT DISTINCT deadline FROM fleet.registration")
    assert [row["deadline"] for row in deadlines] == [START + timedelta(seconds=170 + 75)]


async def test_a_link_that_is_back_while_its_loss_is_written_is_not_kept_waiting(
    connection: Connection, small_parts: None
) -> None:
    gateway, names = await attached(connection)
    gateway.link.connected = False
    gateway.registrar.disconnected("cut")
    gateway.now += 10

    def back(number: int) -> None:
        if number == began + 1:
            gateway.link.connected = True
            gateway.registrar._returned = True  # as `connected` does

    began, gateway.in_transaction = gateway.transactions, back
    await gateway.registrar.turn(connection)
    assert gateway.transactions == began + 1, "the other parts are left to the return"
    await gateway.registrar.turn(connection)
    assert set(map(tuple, (await gateway.histories(names)).values())) == {
        ("online (attach) 100", "unknown (gateway) 100")
    }


async def test_a_claim_that_comes_before_the_last_subscription_is_confirmed_settles_the_blindness(
    connection: Connection,
) -> None:
    gateway, names = await attached(connection)
    await gateway.blind_for(50, told=False)
    gateway.hear(names[0], attach(2))
    gateway.hear(names[1], will(1))
    await gateway.registrar.turn(connection)
    histories = await gateway.histories(names)
    assert set(map(tuple, histories.values())) == {("online (attach) 100",)}, "they wait"
    gateway.now += 1
    await gateway.connected()
    histories = await gateway.histories(names)
    blind = ["online (attach) 100", "unknown (gateway) 100"]
    assert histories.pop(names[0]) == [*blind, "online (attach) 150"]
    assert list(histories.values()) == [blind] * (VEHICLES - 1)


async def test_a_short_loss_is_told_before_the_first_claim_after_it(connection: Connection) -> None:
    """Also where the link comes back while claims of before are written."""
    gateway, names = await attached(connection)
    gateway.hear(names[0], attach(2))
    gateway.now = 101.0

    async def cut_and_back(_: int) -> None:
        gateway.in_transaction = lambda _: None
        await gateway.blind_for(1)
        gateway.hear(names[1], attach(2))

    gateway.in_transaction = cut_and_back
    for _ in range(2):
        await gateway.registrar.turn(connection)
    histories = await gateway.histories(names)
    blind = ["online (attach) 100", "unknown (gateway) 101"]
    assert histories.pop(names[0]) == [
        "online (attach) 100",
        "online (replaced) 100",
        "unknown (gateway) 101",
    ]
    assert histories.pop(names[1]) == [*blind, "online (attach) 102"]
    assert list(histories.values()) == [blind] * (VEHICLES - 2)


async def test_what_its_link_had_no_room_for_counts_as_blindness(
    connection: Connection, small_parts: None
) -> None:
    gateway, names = await attached(connection)
    gateway.now = 120.0
    gateway.link.dropped = 3
    gateway.hear(names[0], Claim(ClaimKind.UPDATE, 1, START, n=2))
    await gateway.registrar.turn(connection)
    await gateway.registrar.turn(connection)
    await gateway.pages(VEHICLES)
    histories = await gateway.histories(names)
    assert {tuple(history) for history in histories.values()} == {
        ("online (attach) 100", "unknown (gateway) 120")
    }


async def test_an_inbox_that_overflows_keeps_the_newest_of_each_and_counts_the_rest(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, names = await attached(connection)
    monkeypatch.setattr(registrar, "CLAIM_LIMIT", VEHICLES - 1)
    gateway.now = 160.0
    for n in range(2, 100):  # the database is away: there is no turn
        for name in names:
            gateway.hear(name, attach(1, n))
    for name in names[:3]:
        gateway.hear(name, will(1))
    assert gateway.metrics.dropped._value.get() == 98, "of the last vehicle: there was no room"
    await gateway.registrar.turn(connection)
    held = {
        row["name"]: (row["n"], row["lost"], row["state"])
        for row in await connection.fetch(
            "SELECT v.name, r.n, r.lost, r.state FROM fleet.registration AS r"
            " JOIN fleet.vehicle AS v ON v.id = r.vehicle_id"
        )
    }
    assert held.pop(names[-1]) == (1, False, "online")
    assert {held.pop(name) for name in names[:3]} == {(99, True, "suspect")}
    assert set(held.values()) == {(99, False, "online")}
    await gateway.registrar.turn(connection)
    await gateway.pages(VEHICLES)
    states = await connection.fetch("SELECT DISTINCT state, reason FROM fleet.registration")
    assert [tuple(row) for row in states] == [("unknown", "gateway")], "what was not heard is not known"
