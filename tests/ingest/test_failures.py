"""Which failures are the data's and which the database's, as a real server raises them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from ingest.failures import FAILURES, reason, refuses_data

if TYPE_CHECKING:
    from ingest.database import Connection


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("SELECT 1 / 0", True),
        (r"SELECT '\u0000'::jsonb", True),
        ("INSERT INTO fleet.vehicle (name) VALUES ('no name')", True),
        ("SELECT * FROM no_such_table", False),
        ("SELECT pg_terminate_backend(pg_backend_pid())", False),
    ],
    ids=["number", "nul", "constraint", "schema", "connection"],
)
async def test_a_failure_is_the_data_or_not(connection: Connection, query: str, refused: bool) -> None:
    with pytest.raises(FAILURES) as caught:
        await connection.execute(query)
    assert refuses_data(caught.value) is refused


async def test_a_closed_connection_is_not_the_data(connection: Connection) -> None:
    await connection.close()
    with pytest.raises(FAILURES) as caught:
        await connection.execute("SELECT 1")
    assert not refuses_data(caught.value)
    assert reason(caught.value).startswith("InterfaceError: ")


async def test_an_argument_that_asyncpg_refuses_is_the_data(connection: Connection) -> None:
    with pytest.raises(asyncpg.DataError) as caught:
        await connection.fetchval("SELECT $1::integer", "seven")
    assert refuses_data(caught.value)
