"""What the dashboard may change: vehicles' credentials, API keys, users."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest

from tests.postgres_servers import Database, connected

if TYPE_CHECKING:
    from tests.postgres_servers import Connection

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)


@pytest.fixture
async def dashboard(plain_database: Database) -> AsyncIterator[Connection]:
    async with connected(plain_database.dashboard) as connection:
        yield connection


@pytest.fixture
async def owner(plain_database: Database) -> AsyncIterator[Connection]:
    async with connected(plain_database.owner) as connection:
        yield connection


async def provision(
    connection: Connection, names: list[str], macs: list[str], *, rotate: bool = False
) -> list[tuple[str, bool, bool, bool]]:
    rows = await connection.fetch("SELECT * FROM api.provision($1, $2, $3)", names, macs, rotate)
    return [(row["name"], row["created"], row["rotated"], row["revoked"]) for row in rows]


async def test_provision_makes_and_keeps_the_order_given(dashboard: Connection, owner: Connection) -> None:
    assert await provision(dashboard, ["b", "a"], [ONE, TWO]) == [
        ("b", True, False, False),
        ("a", True, False, False),
    ]
    rows = await owner.fetch("SELECT name, mac FROM fleet.vehicle ORDER BY name")
    assert [tuple(row) for row in rows] == [("a", TWO), ("b", ONE)]


async def test_provision_again_changes_nothing_unless_rotating(
    dashboard: Connection, owner: Connection
) -> None:
    await provision(dashboard, ["a"], [ONE])
    assert await provision(dashboard, ["a", "b"], [TWO, THREE]) == [
        ("a", False, False, False),
        ("b", True, False, False),
    ]
    assert await owner.fetchval("SELECT mac FROM fleet.vehicle WHERE name = 'a'") == ONE
    assert await provision(dashboard, ["a"], [TWO], rotate=True) == [("a", False, True, False)]
    assert await owner.fetchval("SELECT mac FROM fleet.vehicle WHERE name = 'a'") == TWO


async def test_revoked_comes_back_by_rotate_alone(dashboard: Connection, owner: Connection) -> None:
    await provision(dashboard, ["a"], [ONE])
    assert await dashboard.fetchval("SELECT api.revoke('a')")
    assert await provision(dashboard, ["a"], [TWO]) == [("a", False, False, True)]
    assert await owner.fetchval("SELECT revoked_at IS NOT NULL AND mac = $1 FROM fleet.vehicle", ONE)
    assert await provision(dashboard, ["a"], [TWO], rotate=True) == [("a", False, True, False)]
    assert await owner.fetchval("SELECT revoked_at IS NULL AND mac = $1 FROM fleet.vehicle", TWO)


async def test_erased_is_made_anew(dashboard: Connection, owner: Connection) -> None:
    await provision(dashboard, ["a"], [ONE])
    await owner.execute("UPDATE fleet.vehicle SET mac = NULL, erased_at = now(), created_at = '2020-01-01'")
    assert await dashboard.fetchval("SELECT count(*) FROM api.vehicles") == 0
    assert not await dashboard.fetchval("SELECT api.revoke('a')")
    assert await provision(dashboard, ["a"], [TWO]) == [("a", True, False, False)]
    assert await dashboard.fetchval("SELECT created_at > '2021-01-01' FROM api.vehicles WHERE vehicle = 'a'")


async def test_revoking_twice_keeps_the_first_time(dashboard: Connection) -> None:
    await provision(dashboard, ["a"], [ONE])
    first = "SELECT revoked_at FROM api.vehicles"
    assert await dashboard.fetchval("SELECT api.revoke('a')")
    then = await dashboard.fetchval(first)
    assert await dashboard.fetchval("SELECT api.revoke('a')")
    assert await dashboard.fetchval(first) == then
    assert not await dashboard.fetchval("SELECT api.revoke('nobody')")


@pytest.mark.parametrize(
    ("names", "macs", "reason"),
    [
        (["a", "b"], [ONE], "2 names, but 1 macs"),
        (["a", "a"], [ONE, TWO], "a name is given twice"),
        (["a"], ["secret"], "a mac is not 64 hexadecimal digits"),
        (["a/b"], [ONE], "vehicle_name_check"),
        (["a" * 65], [ONE], "vehicle_name_check"),
    ],
)
async def test_provision_refuses(
    dashboard: Connection, owner: Connection, names: list[str], macs: list[str], reason: str
) -> None:
    with pytest.raises(asyncpg.PostgresError, match=reason):
        await provision(dashboard, names, macs)
    assert await owner.fetchval("SELECT count(*) FROM fleet.vehicle") == 0


async def test_credentials_are_announced_after_commit(dashboard: Connection, owner: Connection) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    await owner.add_listener("fleetcell_credentials", lambda *said: heard.put_nowait(said[2]))
    await provision(dashboard, ["a"], [ONE])
    await asyncio.wait_for(heard.get(), 60)
    await dashboard.execute("SELECT api.revoke('a')")
    await asyncio.wait_for(heard.get(), 60)


async def test_two_at_once_with_the_same_vehicles_in_other_orders(plain_database: Database) -> None:
    many = [f"v{n}" for n in range(200)]

    async def one(names: list[str]) -> None:
        async with connected(plain_database.dashboard) as connection:
            for _ in range(5):
                await provision(connection, names, [ONE] * len(names), rotate=True)

    await asyncio.gather(one(many), one(many[::-1]))  # a deadlock would be an error


async def test_keys(dashboard: Connection) -> None:
    await dashboard.execute("SELECT api.key_put('ci', 'viewer', $1)", b"one")
    await dashboard.execute("SELECT api.key_put('ci', 'operator', $1)", b"two")
    row = await dashboard.fetchrow("SELECT role, hash, revoked_at FROM api.api_keys WHERE name = 'ci'")
    assert row is not None
    assert tuple(row) == ("operator", b"two", None)
    assert await dashboard.fetchval("SELECT api.key_revoke('ci')")
    assert not await dashboard.fetchval("SELECT api.key_revoke('ci')")
    assert await dashboard.fetchval("SELECT revoked_at IS NOT NULL FROM api.api_keys")
    await dashboard.execute("SELECT api.key_put('ci', 'viewer', $1)", b"three")
    assert await dashboard.fetchval("SELECT revoked_at IS NULL FROM api.api_keys")
    with pytest.raises(asyncpg.CheckViolationError):
        await dashboard.execute("SELECT api.key_put('root', 'superuser', $1)", b"four")


async def test_users(dashboard: Connection) -> None:
    assert await dashboard.fetch("SELECT * FROM api.user_get('ann')") == []
    await dashboard.execute("SELECT api.user_put('ann', 'viewer', '$argon2id$...')")
    await dashboard.execute("SELECT api.user_put('ann', 'admin')")
    rows = await dashboard.fetch("SELECT * FROM api.user_get('ann')")
    assert [tuple(row) for row in rows] == [("ann", "admin", "$argon2id$...")]
    assert await dashboard.fetchval("SELECT has_password FROM api.users")
    assert await dashboard.fetchval("SELECT api.user_remove('ann')")
    assert not await dashboard.fetchval("SELECT api.user_remove('ann')")
