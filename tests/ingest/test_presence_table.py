"""Every row of the table in docs/presence.md, brought about in a register on a real PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from fleetcell.contract.presence import Registration
from ingest.claims import Heard, Sign
from ingest.register import Register, from_row
from tests.ingest.units import provision
from tools.presence_table import (
    DOCUMENT,
    HAPPENS,
    SITUATIONS,
    START,
    TIMERS,
    Back,
    Blind,
    Deadline,
    Life,
    Revoked,
    Row,
    Step,
    Told,
    row,
)

if TYPE_CHECKING:
    from ingest.database import Connection

DEADLINE = "SELECT min(deadline) FROM fleet.registration WHERE region = $1"
EVENTS = (
    "SELECT vehicle_id, count(*) FROM fleet.presence_event WHERE vehicle_id = ANY ($1) GROUP BY vehicle_id"
)
REGISTRATIONS = "SELECT * FROM fleet.registration WHERE vehicle_id = ANY ($1)"
REVOKE = "UPDATE fleet.vehicle SET revoked_at = $2 WHERE name = ANY ($1)"


def test_the_document_has_the_table_of_the_code() -> None:
    command = [sys.executable, "tools/presence_table.py", "--check"]
    result = subprocess.run(
        command, check=False, cwd=DOCUMENT.parent.parent, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr


def documented() -> dict[tuple[str, str], str]:
    """The document's rows by situation and what happens."""
    found: dict[tuple[str, str], str] = {}
    situation = ""
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("### "):
            situation = line.removeprefix("### ")
        elif situation and line.startswith("| ") and not line.startswith("| happens"):
            found[situation, line.split(" | ")[0].removeprefix("| ")] = line
    return found


class World:
    """Vehicles of a region of their own, all in one situation; the clock is the test's."""

    def __init__(self, connection: Connection, region: str, ids: dict[str, int]) -> None:
        self.connection = connection
        self.now = START
        self.ids = ids
        self._region = region

    async def step(self, step: Step, names: list[str]) -> list[str]:
        """Take a step with some vehicles (deadline, blindness: with all); whom to page."""
        match step:
            case Deadline():
                self.now = await self.connection.fetchval(DEADLINE, self._region) or self.now
                outcome = await self._register().sweep(self.connection, lambda _: None, age_s=float)
                return outcome.page
            case Told(claim, elsewhere, returned):
                self.now += timedelta(seconds=1)
                heard = Heard()
                for name in names:
                    heard.add(name, claim, 0)
                return await self._take(heard, elsewhere=elsewhere, returned=returned)
            case Life(epoch, by):
                self.now += timedelta(seconds=1)
                return await self._take(Heard(signs={name: Sign(epoch, 0, by) for name in names}))
            case Blind():
                self.now += timedelta(seconds=1)
                return (await self._register().deaf(self.connection, 0)).page
            case Back(late):
                deadline = await self.connection.fetchval(DEADLINE, self._region) if late else None
                self.now = deadline or self.now + timedelta(seconds=1)
                return (await self._register().returned(self.connection, 0)).page
            case Revoked():
                self.now += timedelta(seconds=1)
                await self.connection.execute(REVOKE, names, self.now)
                outcome = await self._register().revoked(self.connection)
                await self.connection.execute(REVOKE, names, None)  # provisioned anew: claims are taken again
                return outcome.page

    async def registrations(self) -> dict[int, Registration]:
        rows = await self.connection.fetch(REGISTRATIONS, list(self.ids.values()))
        return {row["vehicle_id"]: replace(from_row(row), cursor=0) for row in rows}

    async def events(self) -> Counter[int]:
        rows = await self.connection.fetch(EVENTS, list(self.ids.values()))
        return Counter({row["vehicle_id"]: row["count"] for row in rows})

    async def _take(self, heard: Heard, *, elsewhere: bool = False, returned: bool = False) -> list[str]:
        outcome = await self._register(elsewhere=elsewhere).take(
            self.connection,
            heard,
            {name: self.ids[name] for name in heard.names()},
            age_s=float,
            address=lambda _: None,
            blind_window=returned,
        )
        return outcome.page

    def _register(self, *, elsewhere: bool = False) -> Register:
        async def now(_: Connection) -> datetime:
            return self.now

        return Register("elsewhere" if elsewhere else self._region, TIMERS, now)


async def rows_of(world: World, situation: str, names: dict[str, str]) -> list[Row]:
    """Bring the situation about for each of the vehicles, then let happen to each what its is."""
    for step in SITUATIONS[situation]:
        await world.step(step, list(names.values()))
    reached, found = world.now, []
    before, events = await world.registrations(), await world.events()
    for happens, name in names.items():
        world.now = reached
        page = await world.step(HAPPENS[happens], [name])
        after, now_events = await world.registrations(), await world.events()
        number = world.ids[name]
        found.append(
            row(
                situation,
                happens,
                before.get(number, Registration()),
                after.get(number, Registration()),
                world.now,
                event=now_events[number] > events[number],
                page=name in page,
            )
        )
    return found


async def test_every_row_is_reached_in_the_register(connection: Connection) -> None:
    """What comes over all vehicles of a region alike has a region of its own."""
    wanted = documented()
    assert len(wanted) == len(SITUATIONS) * len(HAPPENS)
    alike = [happens for happens, step in HAPPENS.items() if isinstance(step, Deadline | Blind | Back)]
    groups = [[happens for happens in HAPPENS if happens not in alike], *([one] for one in alike)]
    found: dict[tuple[str, str], str] = {}
    for number, situation in enumerate(SITUATIONS):
        for group in groups:
            region = f"region-{number}-{len(found)}"
            names = {happens: f"{region}-{index}" for index, happens in enumerate(group)}
            world = World(connection, region, await provision(connection, *names.values()))
            for one in await rows_of(world, situation, names):
                found[one.situation, one.happens] = one.markdown()
    assert found == wanted
