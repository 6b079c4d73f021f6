"""The register's transactions, against a real PostgreSQL."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from fleetcell.contract.messages import Claim, ClaimKind
from fleetcell.contract.presence import Timers
from ingest import register
from ingest.claims import Heard, Sign
from ingest.register import Outcome, Register
from tests.ingest.units import REGION, new_boot, provision

if TYPE_CHECKING:
    from ingest.database import Connection

TIMERS = Timers()


def claim(kind: ClaimKind = ClaimKind.ATTACH, *, epoch: int = 1, n: int | None = 1, **fields: Any) -> Claim:
    return Claim(kind, epoch, datetime.now(UTC), n=n, **fields)


def will(epoch: int = 1) -> Claim:
    return claim(ClaimKind.DETACH, epoch=epoch, n=None, reason="lost")


def age_s(age: float) -> float:
    """Times of these tests are ages."""
    return age


async def take(
    connection: Connection,
    ids: dict[str, int],
    claims: dict[str, list[Claim]],
    *,
    signs: dict[str, tuple[int, float]] | None = None,
    blind_window: bool = False,
) -> Outcome:
    heard = Heard(signs={name: Sign(*sign) for name, sign in (signs or {}).items()})
    for name, said in claims.items():
        for one in said:
            heard.add(name, one, 0)
    return await Register(REGION, TIMERS).take(
        connection,
        heard,
        ids,
        age_s=age_s,
        address={"car": "192.0.2.1"}.get,
        blind_window=blind_window,
    )


async def states(connection: Connection) -> Counter[str]:
    return Counter(
        f"{row['state']} ({row['reason']})"
        for row in await connection.fetch("SELECT * FROM fleet.registration")
    )


async def test_many_vehicles_go_in_together_and_each_change_has_its_cursor(connection: Connection) -> None:
    ids = await provision(connection, *(f"car-{n}" for n in range(300)))
    first = await take(connection, ids, {name: [claim()] for name in ids})
    second = await take(connection, ids, {name: [will()] for name in ids})
    assert (first.changes, second.changes, len(second.answer)) == (300, 300, 300)
    assert await states(connection) == {"suspect (lost)": 300}
    assert await connection.fetchval("SELECT count(DISTINCT cursor) FROM fleet.presence_event") == 600
    newest = "SELECT max(cursor) FROM fleet.presence_event AS p WHERE p.vehicle_id = r.vehicle_id"
    assert await connection.fetchval(f"SELECT bool_and(cursor = ({newest})) FROM fleet.registration AS r")


async def test_a_batch_keeps_every_change_of_a_vehicle(connection: Connection) -> None:
    ids = await provision(connection, "car")
    await take(
        connection, ids, {"car": [claim(), claim(ClaimKind.DETACH, n=2, reason="shutdown"), claim(epoch=2)]}
    )
    rows = await connection.fetch(
        "SELECT reason, previous_state, seen_address FROM fleet.presence_event ORDER BY cursor"
    )
    assert [tuple(row) for row in rows] == [
        ("attach", "unknown", "192.0.2.1"),
        ("shutdown", "online", "192.0.2.1"),
        ("attach", "offline", "192.0.2.1"),
    ]


async def test_a_repeated_claim_writes_nothing_and_is_to_be_answered(connection: Connection) -> None:
    ids = await provision(connection, "car")
    said = claim(boot=new_boot(), next_seq=8)
    await take(connection, ids, {"car": [said]})
    before = await connection.fetchrow("SELECT xmin, * FROM fleet.registration")
    again = await take(connection, ids, {"car": [said]})
    assert (again.changes, again.stale, again.answer) == (0, 1, {ids["car"]})
    assert await connection.fetchrow("SELECT xmin, * FROM fleet.registration") == before
    assert await connection.fetchval("SELECT claimed FROM fleet.ledger") == 7


async def test_a_periodic_update_is_answered_only_when_it_comes_again(connection: Connection) -> None:
    ids = await provision(connection, "car")
    await take(connection, ids, {"car": [claim()]})
    update = claim(ClaimKind.UPDATE, n=2)
    assert (await take(connection, ids, {"car": [update]})).answer == set()
    assert (await take(connection, ids, {"car": [update]})).answer == {ids["car"]}
    tells = claim(ClaimKind.UPDATE, n=3, update_interval=30.0)
    assert (await take(connection, ids, {"car": [tells]})).answer == {ids["car"]}
    await take(connection, ids, {"car": [will()]})
    late = claim(ClaimKind.UPDATE, n=4)
    assert (await take(connection, ids, {"car": [late]})).answer == {ids["car"]}, "it is not online"


async def test_a_sign_of_life_never_shortens_a_deadline(connection: Connection) -> None:
    ids = await provision(connection, "car")
    await take(connection, ids, {"car": [claim()]})
    deadline = await connection.fetchval("SELECT deadline FROM fleet.registration")
    await take(connection, ids, {}, signs={"car": (1, 30.0)})
    assert await connection.fetchval("SELECT deadline FROM fleet.registration") == deadline
    await take(connection, ids, {}, signs={"car": (1, 0.0)})
    assert await connection.fetchval("SELECT deadline FROM fleet.registration") > deadline


async def test_a_sign_of_life_of_a_vehicle_that_never_attached_is_none(connection: Connection) -> None:
    ids = await provision(connection, "car")
    await take(connection, ids, {}, signs={"car": (1, 0.0)})
    assert await states(connection) == {}


async def test_the_sweep_goes_through_all_that_is_due(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "PART", 10)
    ids = await provision(connection, *(f"car-{n}" for n in range(25)))
    await take(connection, ids, {name: [claim()] for name in ids})
    await connection.execute(
        "UPDATE fleet.registration SET deadline = now() WHERE vehicle_id <> $1", ids["car-0"]
    )
    one = Register(REGION, TIMERS)
    parts = []
    while (outcome := await one.sweep(connection, lambda _: None, age_s=age_s)).now:
        parts.append((outcome.changes, len(outcome.page), outcome.more))
    assert parts == [(10, 10, True), (10, 10, True), (4, 4, False)]
    assert await states(connection) == {"suspect (overdue)": 24, "online (attach)": 1}
    left = await one.next_deadline_s(connection)
    assert left is not None
    assert 60 < left <= 75


async def test_a_sign_that_was_not_written_counts_when_the_deadline_comes(connection: Connection) -> None:
    ids = await provision(connection, "car", "bus")
    await take(connection, ids, {"car": [claim()], "bus": [claim()]})
    await connection.execute("UPDATE fleet.registration SET deadline = now()")
    signs = {"car": Sign(1, 20.0), "bus": Sign(1, 76.0)}
    await Register(REGION, TIMERS).sweep(connection, signs.get, age_s=age_s)
    assert await states(connection) == {"online (attach)": 1, "suspect (overdue)": 1}
    left = await connection.fetchval(
        "SELECT extract(epoch FROM deadline - now()) FROM fleet.registration WHERE state = 'online'"
    )
    assert 50 < left <= 55


async def test_deafness_and_return(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "PART", 2)
    ids = await provision(connection, "a", "b", "c", "asleep", "gone")
    await take(
        connection,
        ids,
        {name: [claim()] for name in ("a", "b", "c")}
        | {
            "asleep": [claim(ClaimKind.SLEEP, sleep_s=600)],
            "gone": [claim(ClaimKind.DETACH, reason="shutdown")],
        },
    )
    one = Register(REGION, TIMERS)
    after, more = 0, True
    while more:
        outcome = await one.deaf(connection, after)
        after, more = outcome.last_id, outcome.more
    unknown = {"unknown (gateway)": 3, "asleep (sleep)": 1, "offline (shutdown)": 1}
    assert await states(connection) == unknown
    await connection.execute("UPDATE fleet.registration SET deadline = now() WHERE state = 'unknown'")
    after, more, paged = 0, True, []
    while more:
        outcome = await one.returned(connection, after)
        after, more = outcome.last_id, outcome.more
        paged += outcome.page
    assert sorted(paged) == ["a", "b", "c"]
    assert await states(connection) == unknown
    assert not (await one.sweep(connection, lambda _: None, age_s=age_s)).now, "they have time to speak up"
    said = await take(
        connection, ids, {"a": [will()], "b": [claim(ClaimKind.UPDATE, n=2), will()]}, blind_window=True
    )
    assert said.changes == 2
    assert await states(connection) == {**unknown, "unknown (gateway)": 2, "suspect (lost)": 1}


async def test_a_link_that_flaps_is_one_episode_of_the_history(connection: Connection) -> None:
    ids = await provision(connection, "car")
    for epoch in range(1, 11):
        await take(connection, ids, {"car": [claim(epoch=epoch)]})
        said = await take(connection, ids, {"car": [will(epoch)]})
        assert said.answer == {ids["car"]}, "the retained state follows"
    rows = await connection.fetch("SELECT state, reason FROM fleet.presence_event ORDER BY cursor")
    assert [f"{row['state']} ({row['reason']})" for row in rows] == [
        *["online (attach)", "suspect (lost)"] * 2,
        "online (attach)",
        "suspect (flapping)",
    ]
    row = await connection.fetchrow("SELECT epoch, lost, flaps, evidence FROM fleet.registration")
    assert row is not None
    assert (row["epoch"], row["lost"], row["flaps"]) == (10, True, 10)
    assert '"flaps": 10' in row["evidence"]


async def test_of_a_revoked_vehicle_nothing_is_taken(connection: Connection) -> None:
    ids = await provision(connection, "car", "bus")
    await take(connection, ids, {"car": [claim()], "bus": [claim()]})
    await connection.execute("SELECT api.revoke('car')")
    late = await take(connection, ids, {"car": [claim(ClaimKind.UPDATE, n=2)]}, signs={"car": (1, 0.0)})
    assert (late.changes, late.answer, set(late.now)) == (0, set(), {"bus"})
    one = Register(REGION, TIMERS)
    assert (await one.revoked(connection)).changes == 1
    assert (await one.revoked(connection)).now == {}
    assert await states(connection) == {"offline (revoked)": 1, "online (attach)": 1}


async def test_claims_are_dated_by_when_they_were_heard(connection: Connection) -> None:
    ids = await provision(connection, "car")
    await connection.execute("UPDATE fleet.vehicle SET created_at = now() - interval '1 day'")
    heard = Heard()
    heard.add("car", claim(), 3600)
    heard.add("car", will(), 1800)
    one = Register(REGION, TIMERS)
    await one.take(connection, heard, ids, age_s=age_s, address=lambda _: None, blind_window=False)
    await one.sweep(connection, lambda _: None, age_s=age_s)
    rows = await connection.fetch(
        "SELECT state, round(extract(epoch FROM learned_at - at)) AS late FROM fleet.presence_event"
        " ORDER BY cursor"
    )
    assert [tuple(row) for row in rows] == [("online", 3600), ("suspect", 1800), ("offline", 1790)]
