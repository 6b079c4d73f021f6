"""A world for the presence register: units, brokers and networks that fail, on a clock of its own.

The registrars, the register and PostgreSQL are the real ones; the time, also the database's, is `World.now`.
What stands around them is as small as it can be: a broker knows sessions and wills, a network delays, doubles
and reorders, a unit claims, repeats, sleeps and hands over. What is true of a unit stands in its `Car`;
tests/ingest/presence_truth.py says where the register contradicts it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from fleetcell.contract.messages import Claim, ClaimKind, PresenceState, encode
from fleetcell.contract.presence import Reason, Registration
from fleetcell.contract.topics import Channel, vehicle_topic
from fleetcell.mqtt import Message
from ingest.metrics import Metrics
from ingest.register import Register, from_row
from ingest.registrar import DEAF_S, Registrar
from ingest.vehicles import Vehicles
from tests.ingest.presence_commands import KilledError, Traffic
from tests.ingest.presence_parts import (
    KEEP_ALIVE_S,
    MOST_DELAY_S,
    MOST_RETRY_S,
    NEVER,
    START,
    TIMERS,
    AtOnce,
    Board,
    Car,
    Gateway,
    Mode,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fleetcell.mqtt import MqttBridge
    from ingest.commands import Commands
    from ingest.database import Connection
    from ingest.pools import Database
    from ingest.publisher import Publisher

GRID_S = 0.25  # messages are due on a grid, so that some arrive together
ROWS = """
    SELECT v.name AS vehicle, r.* FROM fleet.registration AS r JOIN fleet.vehicle AS v ON v.id = r.vehicle_id
    WHERE r.vehicle_id = ANY ($1::integer[])
"""


class World:
    """Everything, at one moment.

    Args:
        connection: to a migrated database.
        ids: the vehicles, by name; none of them has been heard of.
        regions: names that no other world on this database has.
        seed: of delays and reordering.
        folder: for what units keep on their disks.
    """

    def __init__(
        self, connection: Connection, ids: dict[str, int], regions: list[str], seed: int, folder: Path
    ) -> None:
        self.now = 0.0
        self.rng = random.Random(seed)
        self.cars = [Car(name, vehicle_id) for name, vehicle_id in sorted(ids.items())]
        self.gateways = {region: Gateway(region) for region in regions}
        self.database_up = True
        self.unanswered_in: int | None = None  # COMMITs of commands until the answer to one is lost
        self.fails_in: int | None = None  # transactions until the database fails once
        self.log: list[str] = []
        self.connection = connection
        self._by_name = {car.name: car for car in self.cars}
        self._under_way: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.metrics = Metrics()
        self.traffic = Traffic(self, folder)
        self._rows: dict[str, Registration] = {}
        self._shown: dict[str, int] = {}  # cursor of the last `state`
        self._committed: dict[str, list[tuple[str, Claim]]] = {car.name: [] for car in self.cars}
        for gateway in self.gateways.values():
            self._start_ingest(gateway)

    # -- what happens ------------------------------------------------------------------------------

    def connect(self, car: Car, region: str) -> None:
        """A new session, which takes over an old one at the same broker."""
        gateway = self.gateways[region]
        car.connects_at = NEVER
        if not gateway.broker_up:
            self._seek(car, 1.0, 5.0, region)
            return
        if (old := gateway.sessions.get(car.name)) is not None:
            self._emit(region, car, will(old, self.now))
        if car.hung:  # its watchdog had to restart it
            self.traffic.desks[car.name].power_cycle()
        car.epoch += 1
        car.doubtful, car.top = car.epoch <= car.top, max(car.epoch, car.top)
        car.n, car.interval_from = 0, 1
        car.region = region
        car.hung = car.shown = False
        car.heard, car.heard_n = {}, 0
        self._enter(car, Mode.LIVE)
        car.links += 1
        gateway.sessions[car.name], gateway.links[car.name] = car.epoch, car.links
        self._send(car, ClaimKind.ATTACH, update_interval=car.interval_s, keep_alive=KEEP_ALIVE_S)
        car.claims_at = self.now + self._retry()
        self.traffic.desks[car.name].flush()

    def power_fails(self, car: Car, back_within_s: float | None = None) -> None:
        """The unit is off at once: what is on its disk stays."""
        if car.mode is Mode.LIVE:
            self.lose(car, back_within_s=back_within_s)
        car.hung = False
        self.traffic.desks[car.name].power_cycle()

    def lose(self, car: Car, *, silent: bool = False, back_within_s: float | None = None) -> None:
        """The link ends; the broker notices at once, or, where nothing reaches it, by the keep-alive."""
        region, link = car.region, car.links
        self._enter(car, Mode.AWAY)
        if silent:
            self._at(self.now + 1.5 * KEEP_ALIVE_S, lambda: self._notice(region, car, link))
        else:
            self._notice(region, car, link)
        if back_within_s is not None:
            self._seek(car, 0.0, back_within_s, region)

    def hang(self, car: Car) -> None:
        """The unit's program hangs; its session stays."""
        car.hung, car.since, car.claims_at = True, self.now, NEVER

    def update(self, car: Car) -> None:
        """Claim an update, with the interval until the register shows that it knows it."""
        fields = {} if car.settled else {"update_interval": car.interval_s}
        self._send(car, ClaimKind.UPDATE, **fields)

    def set_interval(self, car: Car, seconds: float) -> None:
        """The unit reports at another pace from now on."""
        car.interval_s = seconds
        car.interval_from = car.n + 1
        car.claims_at = min(car.claims_at, self.now + min(seconds, self._retry()))
        self._send(car, ClaimKind.UPDATE, update_interval=seconds)

    def sleep(self, car: Car, seconds: float, *, wakes: bool, lost: bool) -> None:
        """Announce sleep and go: with DISCONNECT or, the radio being off at once, without (`lost`)."""
        car.sleep_s = seconds
        self._send(car, ClaimKind.SLEEP, sleep_s=seconds)
        self._enter(car, Mode.SLEEPING)
        if lost:
            self._notice(car.region, car, car.links)
        else:
            self.gateways[car.region].sessions.pop(car.name, None)
        car.connects_at = self.now + seconds if wakes else NEVER

    def detach(self, car: Car) -> None:
        """Say goodbye."""
        self._send(car, ClaimKind.DETACH, reason=Reason.SHUTDOWN)
        self.gateways[car.region].sessions.pop(car.name, None)
        self._enter(car, Mode.OFF)

    def handover(self, car: Car, region: str) -> None:
        """Attach at the new gateway, then detach from the old one."""
        old, epoch, n = self.gateways[car.region], car.epoch, car.n
        if region == car.region or not self.gateways[region].broker_up:
            return
        self.connect(car, region)
        if old.sessions.get(car.name) == epoch:
            del old.sessions[car.name]
            goodbye = Claim(ClaimKind.DETACH, epoch, self._clock_of(car), n=n + 1, reason=Reason.HANDOVER)
            self._emit(old.region, car, goodbye)

    def forget_epochs(self, car: Car) -> None:
        """The unit's counter is lost; it restarts."""
        if car.mode is Mode.LIVE:
            self.lose(car, back_within_s=1.0)
        car.epoch = 0

    def repeat(self, car: Car, index: int) -> None:
        """An old claim that has been committed arrives once more."""
        if committed := self._committed[car.name]:
            region, claim = committed[index % len(committed)]
            self._emit(region, car, claim)

    def telemetry(self, car: Car, epochs_ago: int) -> None:
        """A sign of life, of this session or of one before."""
        region, epoch = car.region, car.epoch - epochs_ago

        def arrive() -> None:
            if (gateway := self.gateways[region]).registrar is not None and gateway.hears:
                gateway.registrar.sign_of_life(car.name, epoch)
                gateway.turns_at = self.now

        self._at(self.now + self._delay(), arrive)

    def telemetry_heard(self, gateway: Gateway, vehicle: str, epoch: int) -> None:
        """A response was stored, which is a sign of life."""
        if gateway.registrar is not None:
            gateway.registrar.sign_of_life(vehicle, epoch, Reason.RESPONSE)
            gateway.turns_at = self.now

    def stop_broker(self, region: str, seconds: float, *, wills: bool) -> None:
        """The broker dies, and is back after a while; a stopping one publishes the will of everybody."""
        gateway = self.gateways[region]
        if not gateway.broker_up:
            return
        self._at(self.now + seconds, lambda: self._start_broker(gateway))
        gateway.broker_up = False
        for name, epoch in gateway.sessions.items():
            if wills and gateway.hears:
                self._receive(gateway, name, will(epoch, self.now))
            car = self._by_name[name]
            if car.mode is Mode.LIVE and car.region == region and car.epoch == epoch:
                car.blinded = car.shown and not car.hung
                self._seek(car, 0.5, 5.0, region)
        gateway.sessions.clear()
        self._unlink(gateway)

    def cut_registrar(self, region: str, seconds: float) -> None:
        """The registrar's connection to the broker ends, and comes back."""
        gateway = self.gateways[region]
        self._unlink(gateway)
        if gateway.registrar is not None and gateway.broker_up:
            gateway.links_at = self.now + seconds

    def stop_ingest(self, region: str, seconds: float) -> None:
        """The ingest service is killed: what it had heard is gone. Another starts after a while."""
        gateway = self.gateways[region]
        if gateway.registrar is None:
            return
        self._at(self.now + seconds, lambda: self._start_ingest(gateway))
        self._unlink(gateway)
        gateway.registrar, gateway.links_at, gateway.turns_at = None, NEVER, NEVER
        gateway.commands, gateway.commands_at, gateway.commands_since = None, NEVER, NEVER
        gateway.received.clear()

    def stop_database(self, seconds: float) -> None:
        """Nothing can be committed for a while."""
        if not self.database_up:
            return
        self.database_up = False
        for gateway in self.gateways.values():
            gateway.serving_since = gateway.commands_since = NEVER
        self._at(self.now + seconds, self._start_database)

    def notify_commands(self) -> None:
        """There is a new command: the database tells every ingest that listens."""
        for gateway in self.gateways.values():
            if gateway.commands is not None:
                gateway.commands.wake()

    # -- time -------------------------------------------------------------------------------------------

    async def advance(self, seconds: float) -> None:
        """Let time pass, and all that is due in it happen in its order."""
        end = self.now + seconds
        while (due := self._next_due()) <= end:
            self.now = max(self.now, due)
            await self._happen()
        self.now = end

    def _next_due(self) -> float:
        due = self._under_way[0][0] if self._under_way else NEVER
        for car in self.cars:
            due = min(due, car.connects_at, car.claims_at)
        for gateway in self.gateways.values():
            due = min(due, gateway.links_at)
            if self.database_up:
                due = min(due, gateway.turns_at, gateway.commands_at)
                if gateway.commands is not None and gateway.commands.woken:
                    due = min(due, self.now)
        return due

    async def _happen(self) -> None:
        for gateway in self.gateways.values():
            if gateway.links_at <= self.now and gateway.registrar is not None:
                gateway.links_at = NEVER
                gateway.link.connected = True
                await gateway.registrar.connected()
                if gateway.commands is not None:
                    gateway.commands.wake()
                gateway.turns_at = self.now
        for car in self.cars:
            if car.connects_at <= self.now:
                self.connect(car, car.region)
            if car.claims_at <= self.now:
                car.claims_at = self.now + (car.interval_s if car.settled else self._retry())
                self.update(car)
        while self._under_way and self._under_way[0][0] <= self.now:
            heapq.heappop(self._under_way)[2]()
        for gateway in self.gateways.values():
            if gateway.turns_at <= self.now and gateway.registrar is not None and self.database_up:
                await self._turn(gateway, gateway.registrar)
            commands = gateway.commands
            if commands is None or not self.database_up:
                continue
            if commands.woken or gateway.commands_at <= self.now:
                await self._turn_commands(gateway, commands)

    async def _turn_commands(self, gateway: Gateway, commands: Commands) -> None:
        """What `Commands.run` does when it is woken, or something is due."""
        try:
            pause = await commands.turn(cast("MqttBridge", gateway.link))
        except ConnectionError:
            commands.wake()
            commands._wake.clear()  # it looks again, and not before the pause is over
            gateway.commands_at = self.now + 0.5
            return
        except KilledError:
            self.stop_ingest(gateway.region, self.rng.choice([0.0, 3.0, 60.0]))
            return
        gateway.commands_at = self.now + pause

    async def _turn(self, gateway: Gateway, registrar: Registrar) -> None:
        """What the registrar does when it is woken, and what its publisher tells the units after."""
        try:
            await registrar.turn(self.connection)
            await asyncio.sleep(0)  # pages go out by timers of the loop
            left = await registrar._register.next_deadline_s(self.connection)
        except ConnectionError:  # as `Registrar.run` does: try again
            gateway.serving_since = NEVER
            gateway.turns_at = self.now + 0.5
            if gateway.commands is not None:
                gateway.commands.begin()
                gateway.commands_at = gateway.turns_at
            return
        if gateway.hears:
            gateway.serving_since = min(gateway.serving_since, self.now)
            gateway.turns_at = NEVER if left is None else max(registrar._sweep_at, self.now + left)
        else:
            due = NEVER if registrar._deaf_since is None else registrar._deaf_since + DEAF_S
            gateway.turns_at = due if due > self.now else NEVER
        for name, claim, at in gateway.received:
            self._note_committed(gateway.region, self._by_name[name], claim, at)
        gateway.received.clear()
        if gateway.board.woken:
            await self._publish(gateway)

    async def _publish(self, gateway: Gateway) -> None:
        marked, gateway.board.marked = gateway.board.marked, set()
        gateway.board.woken = False
        for name, registration in (await self.registrations()).items():
            car = self._by_name[name]
            changed = self._shown.get(name, 0) < registration.cursor and registration.region == gateway.region
            if not changed and car.vehicle_id not in marked:
                continue
            self._shown[name] = registration.cursor
            if car.mode is Mode.LIVE and car.region == gateway.region:
                self._at(self.now + self._delay() / 3, self._telling(car, car.epoch, registration))

    async def registrations(self) -> dict[str, Registration]:
        """The register."""
        rows = await self.connection.fetch(ROWS, [car.vehicle_id for car in self.cars])
        return {row["vehicle"]: from_row(row) for row in rows}

    # -- what comes back ------------------------------------------------------------------------------

    def _start_broker(self, gateway: Gateway) -> None:
        """The broker is back, without any session."""
        gateway.broker_up = True
        if gateway.registrar is not None:
            gateway.links_at = self.now + self.rng.uniform(0.0, MOST_DELAY_S)

    def _start_ingest(self, gateway: Gateway) -> None:
        """A new ingest service; it becomes the registrar."""
        gateway.board = Board()
        gateway.dies_in = None
        gateway.link.take = partial(self.traffic.published, gateway)
        gateway.commands = commands = self.traffic.make(gateway)
        gateway.commands_at = self.now
        gateway.commands_since = self.now if self.database_up else NEVER
        registrar = Registrar(
            gateway.region,
            TIMERS,
            cast("Database", None),  # the connection is given with each turn
            Vehicles(self._clock),
            cast("Publisher", gateway.board),
            lambda _: cast("MqttBridge", gateway.link),
            self.metrics,
            clock=self._clock,
            duties=[commands],
        )
        registrar._register = Register(gateway.region, TIMERS, self.database_time)
        registrar._pager._rng = AtOnce()
        registrar._bridge = cast("MqttBridge", gateway.link)
        registrar._deaf_since = self.now
        gateway.registrar = registrar
        gateway.turns_at = self.now + DEAF_S
        if gateway.broker_up:
            gateway.links_at = self.now + self.rng.uniform(0.0, 1.0)

    def _start_database(self) -> None:
        """It can commit again."""
        self.database_up = True
        for gateway in self.gateways.values():
            if gateway.registrar is not None:
                gateway.turns_at = self.now
            if gateway.commands is not None:
                gateway.commands.wake()  # it listens again, and something may have been missed
                gateway.commands_since = self.now

    # -- inside ---------------------------------------------------------------------------------------

    def _clock(self) -> float:
        return self.now

    async def database_time(self, _connection: Connection) -> datetime:
        """The time that the platform goes by."""
        if self.fails_in is not None:
            self.fails_in -= 1
            if self.fails_in < 0:
                self.fails_in = None
                raise ConnectionError("the database went away in the middle of a transaction")
        return START + timedelta(seconds=self.now)

    def _clock_of(self, car: Car) -> datetime:
        return START + timedelta(seconds=self.now) + car.wrong_clock

    def _delay(self) -> float:
        return self.rng.uniform(0.0, MOST_DELAY_S - GRID_S)

    def _retry(self) -> float:
        return self.rng.uniform(2.0, MOST_RETRY_S)

    def _at(self, due: float, what: Callable[[], None]) -> None:
        due = -(-due // GRID_S) * GRID_S
        heapq.heappush(self._under_way, (due, next(self._numbers), what))

    def _enter(self, car: Car, mode: Mode) -> None:
        car.mode, car.since = mode, self.now
        car.blinded &= mode is Mode.SEEKING
        car.claims_at = car.connects_at = NEVER

    def _seek(self, car: Car, least_s: float, most_s: float, region: str) -> None:
        if car.mode is not Mode.SEEKING:
            self._enter(car, Mode.SEEKING)
        car.region = region
        car.connects_at = self.now + self.rng.uniform(least_s, most_s)

    def _notice(self, region: str, car: Car, link: int) -> None:
        """The broker sees that a session has ended."""
        gateway = self.gateways[region]
        if car.name in gateway.sessions and gateway.links[car.name] == link:
            self._emit(region, car, will(gateway.sessions.pop(car.name), self.now))

    def _send(self, car: Car, kind: ClaimKind, **fields: Any) -> None:
        claim = car.claim(kind, self.now, **fields)
        if self.gateways[car.region].sessions.get(car.name) == car.epoch:
            self._emit(car.region, car, claim)

    def _emit(self, region: str, car: Car, claim: Claim) -> None:
        """A claim goes to the region's registrar."""
        self.travel(lambda: self._receive(self.gateways[region], car.name, claim))

    def travel(self, arrive: Callable[[], None]) -> None:
        """A message is on its way: late, sometimes twice, and not in order."""
        for _ in range(2 if self.rng.random() < 0.15 else 1):
            self._at(self.now + self._delay(), arrive)

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something later."""
        self._at(self.now + seconds, what)

    def _receive(self, gateway: Gateway, name: str, claim: Claim) -> None:
        if gateway.registrar is not None and gateway.hears:
            topic = vehicle_topic(gateway.region, name, Channel.PRESENCE)
            gateway.registrar.receive(Message(topic, encode(claim), 1, retain=False))
            gateway.received.append((name, claim, self.now))
            gateway.turns_at = self.now

    def _unlink(self, gateway: Gateway) -> None:
        gateway.serving_since = NEVER
        gateway.links_at = NEVER
        if gateway.link.connected:
            gateway.link.connected = False
            if gateway.registrar is not None:
                gateway.registrar.disconnected("cut")
                gateway.turns_at = min(gateway.turns_at, self.now + DEAF_S)

    def _note_committed(self, region: str, car: Car, claim: Claim, at: float) -> None:
        self._committed[car.name].append((region, claim))
        if claim.epoch != car.epoch or car.doubtful:
            return
        if claim.is_will:
            car.heard.setdefault("will", at)
        elif (claim.n or 0) > car.heard_n:
            car.heard[claim.kind.value], car.heard_n = at, claim.n or 0

    def paged(self, name: str) -> None:
        """A unit was asked for a sign of life."""
        car = self._by_name[name]
        epoch = car.epoch

        def answer() -> None:
            if car.mode is Mode.LIVE and not car.hung and car.epoch == epoch:
                self.update(car)

        self._at(self.now + self._delay(), answer)

    def _telling(self, car: Car, epoch: int, shown: Registration) -> Callable[[], None]:
        """What a unit does when it sees its `state`; see `vehicle_sim.unit.Unit.state`."""

        def tell() -> None:
            if car.mode is not Mode.LIVE or car.epoch != epoch or car.hung or shown.epoch < epoch:
                return
            ended = shown.state is PresenceState.OFFLINE and shown.reason != Reason.TIMEOUT
            ended |= shown.state is PresenceState.SUSPECT and shown.reason in (Reason.LOST, Reason.HANDOVER)
            ended |= shown.evidence.get("by") == "will"
            if shown.epoch > epoch or (shown.n or 0) > car.n or ended:
                self.gateways[car.region].sessions.pop(car.name, None)
                car.epoch = max(epoch, shown.epoch)
                self._seek(car, 0.0, 0.5, car.region)
                return
            car.shown = shown.state is PresenceState.ONLINE
            if car.interval_from is not None and (shown.n or 0) >= car.interval_from:
                car.interval_from = None
            if car.settled:
                car.claims_at = car.claimed_at + car.interval_s
            elif car.shown:
                pass  # it waits for the answer to the claim that tells its interval
            elif shown.state is PresenceState.UNKNOWN:
                car.claims_at = min(car.claims_at, self.now + self.rng.uniform(1.0, 5.0))
            else:
                car.claims_at = self.now

        return tell


def will(epoch: int, now: float) -> Claim:
    """What the broker says for a session that ended without a goodbye."""
    return Claim(ClaimKind.DETACH, epoch, START + timedelta(seconds=now), reason=Reason.LOST)
