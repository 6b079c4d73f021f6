"""Commands in the world of the presence register, and what is true of each.

The platform's side is the real one (`ingest.commands`), and so is the unit's: its rules and its book on the
disk (`vehicle_sim.commands`). Between them the world's network loses, delays and doubles. A `Ticket` keeps
what really happened to a command; `CommandJudge` says where the row in the database contradicts it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import msgspec

from fleetcell.contract import commands as contract
from fleetcell.contract.commands import TERMINAL, CommandState
from fleetcell.contract.messages import Command, PresenceState, Response, ResponseState, decode, encode
from fleetcell.contract.topics import Channel, vehicle_topic
from fleetcell.mqtt import Message
from ingest.commands import Commands
from tests.ingest.presence_parts import START, Car, Gateway, Mode
from vehicle_sim.command_book import CommandBook, Config
from vehicle_sim.commands import Commands as UnitCommands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from fleetcell.contract.presence import Registration
    from ingest.database import Connection
    from tests.ingest.presence_world import World

RETRY_S: Final = 5.0
UNNOTICED_S: Final = 60.0  # a notification that is lost is made up for by the next look
SOON_S: Final = 0.5  # from accepting a sleep or a reboot to doing it
ACTS: Final = ("lock", "set_interval", "sleep", "reboot", "wake")  # what has an effect that the world sees
NAMES: Final = (*ACTS, "ping", "locate", "dance")
QUEUE: Final = """
    INSERT INTO fleet.command (vehicle_id, name, args, require, not_after, give_up_at, created_at, next_at)
    VALUES ($1, $2, $3::jsonb, $4::jsonb, $5, $5, $6, $6) RETURNING id
"""
STEPS: Final = """
    SELECT s.command_id, s.state FROM fleet.command_step AS s JOIN fleet.command AS c ON c.id = s.command_id
    WHERE c.vehicle_id = ANY ($1::integer[]) ORDER BY s.id
"""
ROWS: Final = (
    "SELECT id, state, outcome, give_up_at FROM fleet.command WHERE vehicle_id = ANY ($1::integer[])"
)


class KilledError(BaseException):
    """The ingest process ends here, between a COMMIT and what was to follow."""


@dataclass
class Ticket:
    """A command, and what really happened; times are of the world."""

    id: UUID
    car: Car
    name: str
    queued_at: float
    not_after: float
    cancelled: bool = False
    published: list[float] = field(default_factory=list)
    acts: list[datetime] = field(default_factory=list)  # by the unit's clock


class Desk:
    """What a unit does with commands: the real rules and the real book, around a car of the world."""

    will_sleep = False

    def __init__(self, world: World, car: Car, path: Path) -> None:
        self._world = world
        self._car = car
        self._path = path
        self._answers: list[Response] = []  # that no link has taken
        self._doing = ""  # the command that is being taken
        self._boot = uuid4().hex
        self.said: list[Response] = []  # everything that it ever answered, for repetitions
        self._open()

    def _open(self) -> None:
        self.book = CommandBook(self._path)
        self.book.open()
        self._commands = UnitCommands(self.book, self)

    def take(self, command: Command) -> None:
        """A command reached the unit."""
        self._doing = command.id
        self._commands.take(command, self._now())
        self._doing = ""

    def power_cycle(self) -> None:
        """What is only in its memory is lost; what is on the disk is read again."""
        self.book.close()
        self._boot = uuid4().hex
        self._answers.clear()
        self._open()
        self._commands.powered_up(self._boot, self._now())

    def flush(self) -> None:
        """There is a link: tell what could not be told."""
        answers, self._answers = self._answers, []
        for answer in answers:
            self.answer(answer)

    def close(self) -> None:
        """Close the book."""
        self.book.close()

    def outcome(self, command_id: UUID) -> ResponseState | None:
        """How it ended, as the unit knows it."""
        note = self.book.get(str(command_id))
        return None if note is None or note.outcome is None else note.outcome.state

    def _now(self) -> datetime:
        return START + timedelta(seconds=self._world.now) + self._car.wrong_clock

    def _act(self) -> None:
        self._world.traffic.tickets[UUID(self._doing)].acts.append(self._now())

    def _can(self, boot: str) -> bool:
        return self._car.mode is Mode.LIVE and not self._car.hung and boot == self._boot

    # -- as vehicle_sim.commands.Vehicle ----------------------------------------------------------------

    @property
    def epoch(self) -> int:
        return self._car.epoch

    @property
    def shown(self) -> PresenceState | None:
        return PresenceState.ONLINE if self._car.shown else None

    def measured(self) -> Mapping[str, contract.Measured]:
        return {}

    def about(self) -> contract.PingResult:
        return contract.PingResult(self._boot, 1, 0.0)

    def position(self) -> contract.LocateResult | None:
        return None

    def in_force(self, config: Config) -> contract.ConfigResult | None:
        return contract.ConfigResult(config.rate_hz or 1.0, config.update_interval_s or self._car.interval_s)

    def configure(self, config: Config) -> None:
        self._act()
        seconds = config.update_interval_s
        if seconds is not None and seconds != self._car.interval_s:
            self._world.set_interval(self._car, seconds)

    def answer(self, response: Response) -> None:
        if self._car.mode is not Mode.LIVE:
            self._answers.append(response)
            return
        told = msgspec.structs.replace(response, epoch=self._car.epoch)
        self.said.append(told)
        self._world.traffic.answered(self._car, told)

    def sleep(self, seconds: float) -> None:
        self._act()
        boot = self._boot

        def leave() -> None:
            if self._can(boot):
                now = self._now()
                self._commands.slept(now + timedelta(seconds=seconds), now)
                self._world.sleep(self._car, seconds, wakes=True, lost=False)
            elif boot == self._boot:
                self._commands.not_done("sleep", "there was no link", self._now())

        self._world.after(SOON_S, leave)

    def stay_awake(self) -> None:
        self._act()

    def reboot(self) -> None:
        self._act()
        boot = self._boot

        def restart() -> None:
            if self._can(boot):
                self._world.power_fails(self._car, back_within_s=2.0)
            elif boot == self._boot:
                self._commands.not_done("reboot", "there was no link", self._now())

        self._world.after(SOON_S, restart)


class Connections:
    """Stands for `ingest.pools.Database`: the world's one connection, while there is a database."""

    def __init__(self, world: World) -> None:
        self._world = world

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        if not self._world.database_up:
            raise ConnectionError("no database")
        yield self._world.connection
        if self._world.unanswered_in is not None:
            self._world.unanswered_in -= 1
            if self._world.unanswered_in < 0:
                self._world.unanswered_in = None
                raise ConnectionError("the answer to COMMIT was lost")


class Traffic:
    """What is on its way between the platform and the units, and all that was asked."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self.tickets: dict[UUID, Ticket] = {}
        self.desks = {car.name: Desk(world, car, folder / f"{car.name}.commands") for car in world.cars}

    def close(self) -> None:
        """Close the books."""
        for desk in self.desks.values():
            desk.close()

    async def queue(
        self,
        car: Car,
        name: str,
        seconds: float,
        *,
        require: dict[str, Any] | None = None,
        told: bool = True,
    ) -> Ticket | None:
        """A command, as `api.command_add` makes it; `told`: the notification arrives."""
        world = self._world
        if not world.database_up:
            return None
        args = {"set_interval": {"seconds": max(seconds, 5.0)}, "sleep": {"seconds": seconds}}.get(name, {})
        now = START + timedelta(seconds=world.now)
        made: UUID = await world.connection.fetchval(
            QUEUE,
            car.vehicle_id,
            name,
            encode(args).decode(),
            encode(require or {}).decode(),
            now + timedelta(seconds=seconds),
            now,
        )
        ticket = Ticket(made, car, name, world.now, world.now + seconds)
        self.tickets[made] = ticket
        if told:
            world.notify_commands()
        return ticket

    async def cancel(self, ticket: Ticket) -> None:
        """Call one off."""
        if self._world.database_up:
            row = await self._world.connection.fetchrow(
                "SELECT cancelled FROM api.command_cancel($1, 'chaos')", ticket.id
            )
            assert row is not None
            ticket.cancelled |= row["cancelled"]

    def published(self, gateway: Gateway, topic: str, payload: bytes) -> None:
        """The registrar published something; a command reaches the session that is there now."""
        _, _, _, name, channel = topic.split("/")
        if channel == Channel.PAGE:
            self._world.paged(name)
            return
        if gateway.dies_in is not None:
            gateway.dies_in -= 1
            if gateway.dies_in < 0:
                raise KilledError
        command = decode(Command, payload)
        ticket = self.tickets[UUID(command.id)]
        ticket.published.append(self._world.now)
        car, session = ticket.car, gateway.sessions.get(name)

        def arrive() -> None:
            there = car.mode is Mode.LIVE and car.region == gateway.region and car.epoch == session
            if there and not car.hung and gateway.sessions.get(name) == session:
                self.desks[name].take(command)

        self._world.travel(arrive)

    def answered(self, car: Car, response: Response) -> None:
        """A unit told something: it travels to the registrar of its region, if its session is there."""
        gateway = self._world.gateways[car.region]
        if gateway.sessions.get(car.name) == car.epoch:
            self._world.travel(lambda: self._respond(gateway, car, response))

    def repeat(self, car: Car, which: int) -> None:
        """A unit that is there says once more what it has said, maybe in an earlier session."""
        if said := self.desks[car.name].said:
            gateway = self._world.gateways[car.region]
            self._world.travel(lambda: self._respond(gateway, car, said[which % len(said)]))

    def _respond(self, gateway: Gateway, car: Car, response: Response) -> None:
        if gateway.commands is not None and gateway.hears:
            topic = vehicle_topic(gateway.region, car.name, Channel.RESPONSE)
            gateway.commands.receive(Message(topic, encode(response), 1, retain=False))

    def make(self, gateway: Gateway) -> Commands:
        """The duty of a new registrar."""
        world = self._world

        def heard(vehicle: str, epoch: int) -> None:
            world.telemetry_heard(gateway, vehicle, epoch)

        return Commands(
            gateway.region,
            Connections(world),  # type: ignore[arg-type] # has what is used of it
            world.metrics,
            RETRY_S,
            heard,
            world.database_time,
            lambda: world.now,
        )


class CommandJudge:
    """Compares the rows of commands with what really happened."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ended: dict[UUID, str] = {}

    async def faults(self, registrations: Mapping[str, Registration]) -> list[str]:
        """Everything that contradicts the truth now."""
        world = self._world
        ids = [car.vehicle_id for car in world.cars]
        found = []
        for row in await world.connection.fetch(ROWS, ids):
            ticket = world.traffic.tickets[row["id"]]
            give_up = (row["give_up_at"] - START).total_seconds()
            state, said = CommandState(row["state"]), row["outcome"]
            held = registrations.get(ticket.car.name)
            reasons = [*self._ever(ticket), *self._row(ticket, state, said, give_up)]
            reasons += self._waits(ticket, state, held)
            found += [f"{reason}: {state.value}, outcome {said}, {ticket}" for reason in reasons]
            if state in TERMINAL and self._ended.setdefault(ticket.id, state) != state:
                found.append(f"it had ended otherwise: {state.value} {ticket}")
        return found

    async def history_faults(self) -> list[str]:
        """Commands whose steps do not lead to where they are, or go on after the end."""
        found = []
        steps: dict[UUID, list[str]] = {}
        ids = [car.vehicle_id for car in self._world.cars]
        for row in await self._world.connection.fetch(STEPS, ids):
            steps.setdefault(row["command_id"], []).append(row["state"])
        for row in await self._world.connection.fetch(ROWS, ids):
            states = steps.get(row["id"], [CommandState.QUEUED])
            ends = {state for state in states if state in TERMINAL}
            if states[-1] != row["state"] or len(ends) > 1:
                found.append(f"it is {row['state']} after {states}: {self._world.traffic.tickets[row['id']]}")
        return found

    def _ever(self, ticket: Ticket) -> Iterator[str]:
        deadline = START + timedelta(seconds=ticket.not_after)
        if len(ticket.acts) > 1:
            yield "done more than once"
        if any(at > deadline for at in ticket.acts):
            yield "done after its deadline by the unit's clock"
        if any(at > ticket.not_after for at in ticket.published):
            yield "sent after its deadline"
        if ticket.cancelled and (ticket.published or ticket.acts):
            yield "cancelled, and yet sent or done"

    def _row(self, ticket: Ticket, state: CommandState, said: str | None, give_up: float) -> Iterator[str]:
        known = self._world.traffic.desks[ticket.car.name].outcome(ticket.id)
        if said not in (None, ResponseState.ACCEPTED) and said != known:
            yield f"the unit never said so: {known}"
        if state in (CommandState.SUCCEEDED, CommandState.FAILED) and state.value != known:
            yield f"it ended as the unit did not say: {known}"
        if state is CommandState.SUCCEEDED and ticket.name in ACTS and not ticket.acts:
            yield "succeeded, and was never done"
        if state is CommandState.EXPIRED and known != ResponseState.EXPIRED and self._world.now < give_up:
            yield "expired before its time"
        if (state is CommandState.CANCELLED) != ticket.cancelled:
            yield "cancelled or not, it is said otherwise"
        serving = min(gateway.commands_since for gateway in self._world.gateways.values())
        if state not in TERMINAL and self._world.now - max(give_up, serving) > UNNOTICED_S + 2:
            yield "its time is over, and it is still under way"

    def _waits(self, ticket: Ticket, state: CommandState, held: Registration | None) -> Iterator[str]:
        """A vehicle that is there and heard for a while has it, and has answered it."""
        car, now = ticket.car, self._world.now
        if state in TERMINAL or now >= ticket.not_after or held is None or car.mode is not Mode.LIVE:
            return
        online = held.state is PresenceState.ONLINE and (held.epoch, held.region) == (car.epoch, car.region)
        if not online or car.hung:
            return
        assert held.since is not None
        became = (held.since - START).total_seconds()
        gateway = self._world.gateways[car.region]
        steady = now - max(gateway.serving_since, gateway.commands_since, car.since, became, ticket.queued_at)
        if steady > UNNOTICED_S + 2 and state in (CommandState.QUEUED, CommandState.PAGED):
            yield f"it waits, although its vehicle has been online for {steady:.0f} s"
        if steady > 2 * UNNOTICED_S + 10:
            yield f"not ended, although its vehicle has been online for {steady:.0f} s"
