"""The whole database into one file and back, by pg_dump and pg_restore.

The programs must know the server: those of the embedded server's wheel, of PATH, or of Debian's folders,
the first whose major version is the server's, or else a newer one.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from ingest.database import connected, migrate
from ingest.embedded import program_of_wheel
from ingest.errors import DatabaseError
from ingest.statements import statement
from ingest.tier import ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from ingest.database import Connection
    from ingest.tier import Tier

DEBIAN: Final = "/usr/lib/postgresql/{major}/bin"
# Entries of a dump that only the extension's owner could restore. The extension is there before.
_EXTENSION: Final = re.compile(r"^\d+; \d+ \d+ (COMMENT - )?EXTENSION ", re.MULTILINE)
_RESTORED: Final = "made by fleetcell restore"  # no fingerprint: grants are made anew by the next migrate


async def backup(dsn: str, file: Path) -> int:
    """Write the database into `file`, in pg_dump's custom format; its size in bytes.

    Writers go on meanwhile: the file has the database as it was at the beginning. A failure leaves no file,
    and a file that was there as it was.

    Raises:
        DatabaseError: the server or pg_dump refuses, or no pg_dump fits.
        OSError: the file cannot be written.
    """
    async with connected(dsn, "fleetcell db backup") as connection:
        found = await ask(connection)
    program = find_program("pg_dump", found.major)
    with _whole(file) as target:
        await _run([str(program), "--format=custom", "--no-password"], dsn, output=target)
        return os.fstat(target).st_size


@contextmanager
def _whole(file: Path) -> Iterator[int]:
    """A file descriptor for what becomes `file` when it is complete; mode 0600."""
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}-", delete=False) as target:
        try:
            yield target.fileno()
            os.fsync(target.fileno())
            Path(target.name).rename(file)
        except BaseException:
            Path(target.name).unlink(missing_ok=True)
            raise


async def restore(dsn: str, file: Path, *, replace: bool = False) -> Tier:
    """Make the database what it was, and bring it to the schema of this release.

    One transaction: a failure leaves the database as it was (with `replace`: empty). The live feed gets a new
    generation, so pages take a new snapshot.

    Args:
        dsn: of the owner; where the dump has TimescaleDB, of a superuser. Then the owners are those of the
            dump, and their roles must exist.
        file: of `backup`.
        replace: remove what is there.

    Raises:
        DatabaseError: the database is in use or not empty, the file is no dump, or pg_restore refuses.
        OSError: the file cannot be read.
    """
    async with connected(dsn, "fleetcell db restore") as connection:
        program = find_program("pg_restore", (await ask(connection)).major)
        entries = await _entries(program, file)
        await _check_unused(connection)
        await _make_room(connection, replace=replace)
        timescale = " EXTENSION - timescaledb" in entries
        superuser = await connection.fetchval(statement("is_superuser"))
        with tempfile.TemporaryDirectory() as folder:
            chosen = Path(folder) / "entries"
            chosen.write_text("".join(_wanted(entries)), encoding="utf-8")
            argv = [str(program), "--no-password", "--no-privileges", "--single-transaction"]
            if not superuser:
                argv.append("--no-owner")  # all is ours, whatever the owner was called
            async with _restoring(connection, timescale=timescale):
                with file.open("rb") as source:
                    await _run([*argv, f"--use-list={chosen}"], dsn, input_=source.fileno())
        await connection.execute(statement("new_generation"))
        await connection.execute(f"COMMENT ON SCHEMA api IS '{_RESTORED}'")
        if superuser:  # what he made would run with his rights: the owner migrates, at the start of ingest
            return (await ask(connection)).tier
    return await migrate(dsn)


def find_program(name: str, major: int) -> Path:
    """The program for a server of this major version.

    Raises:
        DatabaseError: none fits; says which there are, and what to install.
    """
    found: dict[Path, int] = {}
    for path in _candidates(name, major):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        if version := re.search(r"\) (\d+)", said):
            found[path] = int(version[1])
    fitting = [path for path, version in found.items() if version == major]
    newer = [path for path, version in found.items() if version > major]
    if fitting or newer:
        return (fitting or newer)[0]
    there = ", ".join(f"{path} is {version}" for path, version in found.items()) or "there is none"
    raise DatabaseError(
        f"the server is PostgreSQL {major}, and {name} of that version is needed ({there}): "
        f"install postgresql-client-{major}, or put its folder into PATH"
    )


def _candidates(name: str, major: int) -> Iterator[Path]:
    with suppress(DatabaseError):  # not installed
        yield program_of_wheel(name)
    for folders in (None, DEBIAN.format(major=major)):
        if path := shutil.which(name, path=folders):
            yield Path(path)


async def _entries(program: Path, file: Path) -> str:
    """The table of contents of a dump."""
    with file.open("rb") as source:
        process = await asyncio.create_subprocess_exec(
            program,
            "--list",
            stdin=source,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        listed, errors = await process.communicate()
    entries = listed.decode(errors="replace")
    if process.returncode != 0 or " TABLE fleet vehicle " not in entries:
        why = errors.decode(errors="replace").strip() or "it has no tables of fleetcell"
        raise DatabaseError(f"{file} is not a backup of fleetcell: {why}")
    return entries


def _wanted(entries: str) -> Iterator[str]:
    for line in entries.splitlines(keepends=True):
        if not _EXTENSION.match(line):
            yield line


async def _check_unused(connection: Connection) -> None:
    users = await connection.fetch(statement("other_sessions"))
    if users:
        names = ", ".join(sorted({row["application_name"] or row["usename"] for row in users}))
        raise DatabaseError(f"the database is in use ({names}): stop the services first")


async def _make_room(connection: Connection, *, replace: bool) -> None:
    if await connection.fetchval("SELECT to_regnamespace('fleet') IS NULL"):
        return
    if not replace:
        raise DatabaseError("the database is not empty: --replace removes what is there first")
    await connection.execute(statement("remove_all"))


@asynccontextmanager
async def _restoring(connection: Connection, *, timescale: bool) -> AsyncIterator[None]:
    """TimescaleDB's own state around a restore."""
    if not timescale:
        yield
        return
    found = await ask(connection)
    if found.available is None or not found.preloaded:
        raise DatabaseError("this backup is of TimescaleDB, which this server does not have or does not load")
    await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    await connection.execute("SELECT timescaledb_pre_restore()")
    try:
        yield
    finally:
        await connection.execute("SELECT timescaledb_post_restore()")


async def _run(
    argv: Sequence[str],
    dsn: str,
    *,
    input_: int = subprocess.DEVNULL,
    output: int = subprocess.DEVNULL,
) -> None:
    """Run a client program on the database; the password is in its environment, never in its arguments."""
    parts = urlsplit(dsn)
    user, at, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    shown = parts._replace(netloc=f"{name}{at}{host}").geturl()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    process = await asyncio.create_subprocess_exec(
        *argv,
        f"--dbname={shown}",
        stdin=input_,
        stdout=output,
        stderr=asyncio.subprocess.PIPE,
        env=environment | {"PGPASSWORD": unquote(password), "LC_ALL": "C"},
    )
    try:
        _, errors = await process.communicate()
    except BaseException:
        process.terminate()
        await process.wait()
        raise
    if process.returncode != 0:
        tail = " / ".join(errors.decode(errors="replace").strip().splitlines()[-3:])
        raise DatabaseError(f"{Path(argv[0]).name}: {tail or f'status {process.returncode}'}")
