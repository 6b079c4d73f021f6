"""What the presence register costs with 100,000 vehicles: CPU of the registrar and of its connection.

Real transactions of `ingest.register` on the embedded PostgreSQL as shipped, without MQTT.

- idle: the registrar's turns, one a second, with nothing due; a look for revoked vehicles every third.
- updates: the periodic claims of all vehicles at the default interval, in batches as they come.
- all due: every deadline passes at the same moment, as after a long night; batch by batch.
- return: the gateway was blind, and all become unknown (gateway), batch by batch. A claim that comes when a
  batch begins waits for it, and for its own transaction after it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.ingest import postgres
from fleetcell.contract.messages import Claim, ClaimKind
from fleetcell.contract.presence import Timers
from ingest.claims import Heard
from ingest.database import connect
from ingest.folding import Return
from ingest.register import PART, Register
from ingest.registrar import REVOKED_EVERY_S, TICK_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.database import Connection

ABOUT = "register: CPU of 100,000 registered vehicles, idle, with their updates, and all due at once"

VEHICLES = 100_000
REGION = "here"
TIMERS = Timers()
REGISTER = """
    INSERT INTO fleet.registration (vehicle_id, state, reason, since, epoch, n, region, deadline)
    SELECT id, 'online', 'attach', now(), 1, 1, $1, now() + interval '1 day' + id * interval '1 ms'
    FROM fleet.vehicle
"""

ONLINE = """
    UPDATE fleet.registration SET state = 'online', reason = 'attach', deadline = now() + interval '1 day'
"""


async def run(seconds: float, say: Callable[[str], None]) -> dict[str, object]:
    async with postgres() as dsn:
        connection = await connect(dsn)
        say(f"{VEHICLES} vehicles")
        names = [f"car-{number:06}" for number in range(VEHICLES)]
        await connection.execute("SELECT api.provision($1, $2)", names, ["0" * 64] * VEHICLES)
        await connection.execute(REGISTER, REGION)
        await connection.execute("VACUUM ANALYZE fleet.registration")
        rows = await connection.fetch("SELECT id, name FROM fleet.vehicle")
        ids = {row["name"]: row["id"] for row in rows}
        register = Register(REGION, TIMERS)
        say("idle")
        idle = await idle_turns(connection, register, seconds / 3)
        say("updates")
        updates = await update_batches(connection, register, ids, seconds / 3)
        say("idle, after the updates")
        again = await idle_turns(connection, register, seconds / 3)
        say("all due")
        due = await all_due(connection, register)
        say("return")
        back = await all_back(connection, register, ids)
        await connection.close()
    return {
        "idle_core_share": round(idle.busy_s / idle.units / TICK_S, 5),
        "idle_after_updates_core_share": round(again.busy_s / again.units / TICK_S, 5),
        "updates_core_share": round(updates.busy_s / updates.units * VEHICLES / TIMERS.update_interval_s, 3),
        "update_us": round(updates.busy_s / updates.units * 1e6, 1),
        "all_due_s": round(due.elapsed_s, 2),
        "longest_batch_ms": round(due.longest_s * 1000, 1),
        "return_s": round(back.elapsed_s, 2),
        "return_longest_wait_ms": round(back.longest_s * 1000, 1),
    }


@dataclass(slots=True)
class Cost:
    """CPU seconds of this process and of its connection's backend, for so many units of work."""

    busy_s: float = 0
    units: int = 0
    elapsed_s: float = 0
    longest_s: float = 0


async def idle_turns(connection: Connection, register: Register, seconds: float) -> Cost:
    """Turns as fast as they go: each is a second of a registrar that idles."""
    look = round(REVOKED_EVERY_S / TICK_S)
    cost, until, start = Cost(), time.monotonic() + seconds, await cpu(connection)
    while time.monotonic() < until:
        assert not (await register.sweep(connection, lambda _: None, age_s=float)).now
        await register.next_deadline_s(connection)
        if cost.units % look == 0:
            await register.revoked(connection)
        cost.units += 1
    cost.busy_s = await cpu(connection) - start
    return cost


async def update_batches(
    connection: Connection, register: Register, ids: dict[str, int], seconds: float
) -> Cost:
    names, n = list(ids), 1
    cost, until, start = Cost(), time.monotonic() + seconds, await cpu(connection)
    while time.monotonic() < until:
        first = cost.units % VEHICLES
        n += first == 0
        part = names[first : first + PART]
        heard = Heard()
        for name in part:
            heard.add(name, Claim(ClaimKind.UPDATE, 1, datetime.now(UTC), n=n), 0)
        wanted = {name: ids[name] for name in part}
        await register.take(
            connection, heard, wanted, age_s=float, address=lambda _: None, blind_window=False
        )
        cost.units += len(part)
    cost.busy_s = await cpu(connection) - start
    return cost


async def all_due(connection: Connection, register: Register) -> Cost:
    await connection.execute("UPDATE fleet.registration SET deadline = now()")
    cost, start = Cost(), time.monotonic()
    more = True
    while more:
        began = time.monotonic()
        outcome = await register.sweep(connection, lambda _: None, age_s=float)
        more = outcome.more
        cost.units += len(outcome.now)
        cost.longest_s = max(cost.longest_s, time.monotonic() - began)
    assert cost.units == VEHICLES
    cost.elapsed_s = time.monotonic() - start
    return cost


async def all_back(connection: Connection, register: Register, ids: dict[str, int]) -> Cost:
    """`longest_s`: the most that a claim waited."""
    await connection.execute(ONLINE)
    start = time.monotonic()
    cost, back, speaking = Cost(), Return(start), sorted(ids, key=lambda name: -ids[name])
    more = True
    while more:
        began = time.monotonic()
        outcome = await register.returned(connection, back.after, spoken=back.spoken)
        more, back.after = outcome.more, outcome.last_id
        cost.units += len(outcome.now)
        heard, name = Heard(), speaking[len(back.spoken)]
        heard.add(name, Claim(ClaimKind.ATTACH, 2, datetime.now(UTC), n=1), began)
        taken = await register.take(
            connection,
            heard,
            {name: ids[name]},
            age_s=lambda at: time.monotonic() - at,
            address=lambda _: None,
            blind_window=True,
            back=back,
        )
        back.spoken |= taken.told
        cost.longest_s = max(cost.longest_s, time.monotonic() - began)
    assert cost.units == VEHICLES
    cost.elapsed_s = time.monotonic() - start
    return cost


async def cpu(connection: Connection) -> float:
    """CPU seconds so far, ours and the backend's."""
    backend: int = await connection.fetchval("SELECT pg_backend_pid()")
    stat = Path(f"/proc/{backend}/stat").read_text()  # noqa: ASYNC240 - not a file that waits
    fields = stat.rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
