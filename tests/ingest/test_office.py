"""Who holds a region's office, and how soon another one has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ingest import office
from ingest.database import connect

if TYPE_CHECKING:
    import pytest

    from ingest.database import Connection

PROMISED_S = 2.0  # another registrar has taken over


async def _nobody_else() -> None:
    raise AssertionError("the office is free")


async def test_the_first_question_after_the_other_is_gone_has_the_office(
    connection: Connection, plain_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So taking over lasts as long as the pause between two questions. The rest is this machine's speed."""
    assert office.STAND_BY_S <= PROMISED_S / 4
    monkeypatch.setattr(office, "STAND_BY_S", 0)
    first, another = await connect(plain_dsn), await connect(plain_dsn)
    await office.take(first, "helsinki", _nobody_else)
    await office.take(another, "espoo", _nobody_else)
    questions = 0

    async def stand_by() -> None:
        nonlocal questions
        questions += 1
        if questions == 3:
            await _end(connection, first)

    await office.take(connection, "helsinki", stand_by)
    assert questions == 3
    another.terminate()


async def _end(witness: Connection, connection: Connection) -> None:
    """Lose a connection, as when its process is killed; returns when the server has noticed."""
    pid = connection.get_server_pid()
    connection.terminate()
    async with asyncio.timeout(60):
        while await witness.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid):
            await asyncio.sleep(0.01)
