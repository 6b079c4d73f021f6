"""`fleetcell db verify` and `replay-dead-letters` on a real database."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from fleetcell.cli import app
from fleetcell.contract.messages import Sample
from ingest.batch import Batch, Rejection
from ingest.database import connect
from ingest.derive.recompute import BEGIN, derive_some
from ingest.derive.rules import Rules
from ingest.store import prepare, store
from tests.ingest.units import NOW_US, new_boot, provision, telemetry, topic
from tests.postgres_servers import run


def fleetcell(dsn: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["db", *arguments], env={"FLEETCELL_DSN": dsn})


async def refuse(dsn: str) -> None:
    """A message that could not be read, as a dead letter."""
    connection = await connect(dsn)
    ids = await provision(connection, "car")
    samples = [Sample(n, NOW_US // 1000 + n * 1000, {"speed": 50}) for n in range(1, 60)]
    payload = telemetry(new_boot(), samples)
    await store(connection, prepare(Batch([], [Rejection(topic("car"), payload, "old")], 1), ids))
    await connection.close()


async def change(dsn: str, *, derive: bool) -> None:
    """Derive what is dirty, or spoil what was derived."""
    connection = await connect(dsn)
    if derive:
        assert await derive_some(connection, Rules(), after=BEGIN, delay_s=0, limit=10)
    else:
        await connection.execute("UPDATE fleet.rollup SET moving_s = moving_s + 1")
    await connection.close()


def test_a_dead_letter_becomes_readings_and_what_is_derived_is_verified(plain_dsn: str) -> None:
    run(refuse(plain_dsn))
    tried = fleetcell(plain_dsn, "replay-dead-letters", "--dry-run")
    assert (tried.exit_code, "1 dead letters can be read now" in tried.stderr) == (0, True), tried.stderr
    done = fleetcell(plain_dsn, "replay-dead-letters", "--vehicle", "car")
    assert "59 readings" in done.stderr, done.stderr
    waiting = fleetcell(plain_dsn, "verify")
    assert (waiting.exit_code, "still to be derived" in waiting.stderr) == (0, True), waiting.stderr
    run(change(plain_dsn, derive=True))
    right = fleetcell(plain_dsn, "verify", "--vehicle", "car", "--since", "1d")
    assert (right.exit_code, right.stdout) == (0, ""), right.stderr
    assert "0 differences" in right.stderr
    run(change(plain_dsn, derive=False))
    wrong = fleetcell(plain_dsn, "verify")
    assert wrong.exit_code == 1, wrong.stderr
    assert "car: rollup of 20" in wrong.stdout
    missing = fleetcell(plain_dsn, "verify", "--vehicle", "nobody")
    assert "no readings of nobody" in str(missing.exception)
