"""Real database servers for tests: embedded PostgreSQL 18, and TimescaleDB (Apache build) in a Debian folder.

A server lives as long as the test session; each test gets a database of its own, copied from a migrated
template. `plain_dsn`, `timescale_dsn` and `any_dsn` (both, one after the other) give the owner's DSN;
`plain_database`, ... give the DSNs of every role.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import asyncpg
import psutil
import pytest

from ingest.database import migrate
from ingest.embedded import EmbeddedPostgres
from ingest.tier import Tier
from tests.ports import free_port

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

TEMPLATE = "fleetcell_template"
MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 4 << 30  # a server takes a tenth of that, and there are eight of them at most
READY_S = 60.0
# Data of a test server need not survive the machine.
UNSAFE = (
    "--fsync=off",
    "--synchronous_commit=off",
    "--full_page_writes=off",
    "--max_wal_size=64MB",
    "--max_connections=100",
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Database:
    """A test's own database: a DSN for each role."""

    owner: str
    dashboard: str
    superuser: str
    tier: Tier


class Server(Protocol):
    """A running PostgreSQL with the roles postgres, fleetcell and fleetcell_dashboard."""

    tier: Tier

    def dsn(self, role: str, database: str) -> str:
        """The DSN of a role: "owner", "dashboard" or "superuser"."""


class PlainServer:
    """The embedded PostgreSQL, in a folder of the test session."""

    tier = Tier.PLAIN

    def __init__(self, directory: Path) -> None:
        self._embedded = EmbeddedPostgres(directory)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._embedded.prepare()
        options = {"env": self._embedded.environment(), **self._embedded.popen_options()}
        self._process = _start(_dying_with_us(self._embedded.argv()), self._embedded.directory, **options)
        run(self._embedded.wait_ready(READY_S))

    def stop(self) -> None:
        _stop(self._process)

    def dsn(self, role: str, database: str) -> str:
        return self._embedded.dsn(role).replace("/fleetcell?", f"/{database}?")  # type: ignore[arg-type]


class TimescaleServer:
    """PostgreSQL 17 with TimescaleDB from a debootstrapped Debian 13, on a port of 127.0.0.1.

    Debian's build is the Apache one. FLEETCELL_TIMESCALE_ROOT may name a folder with the other one.

    Raises:
        LookupError: what is missing, and how to get it.
    """

    def __init__(self) -> None:
        self._root = timescale_root()
        licensed = any(self._root.glob("usr/lib/postgresql/*/lib/timescaledb-tsl-*.so"))
        self.tier = Tier.TIMESCALE if licensed else Tier.TIMESCALE_APACHE
        self._programs = next(self._root.glob("usr/lib/postgresql/*/bin"))
        self._passwords = {role: secrets.token_hex(16) for role in ("owner", "dashboard", "superuser")}
        self._home: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start(self, *, preload: bool = True) -> None:
        """Make a cluster and run it."""
        self._home = Path(tempfile.mkdtemp(prefix="fleetcell-", dir=self._root / "tmp"))
        shutil.chown(self._home, *self._postgres_account())
        password = self._home / "password"
        password.write_text(self._passwords["superuser"])
        inside = "/" / self._home.relative_to(self._root)
        arguments = [
            "--auth=scram-sha-256",
            f"--pwfile={inside / 'password'}",
            "--encoding=UTF8",
            "--locale=C",
        ]
        provider = [
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-sync",
            "--username=postgres",
        ]
        subprocess.run(self._command("initdb", *arguments, *provider), check=True, capture_output=True)
        self.run_postgres(preload=preload)
        run(self._make_roles())

    def run_postgres(self, *, preload: bool = True) -> None:
        """Run the cluster until it answers; with the library of TimescaleDB loaded, or without."""
        assert self._home is not None
        self._port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": self._inside(self._home),
            "shared_preload_libraries": "timescaledb" if preload else "",
            "timescaledb.max_background_workers": 0,  # no jobs: they would hold on to the template
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._process = _start(self._command("postgres", *options), self._home)
        run(self._wait_ready())

    def stop_postgres(self) -> None:
        """Stop the server; the cluster stays."""
        _stop(self._process)

    def stop(self) -> None:
        """Stop the server and remove the cluster."""
        self.stop_postgres()
        if self._home is not None:
            shutil.rmtree(self._home)

    def dsn(self, role: str, database: str) -> str:
        user = {"owner": "fleetcell", "dashboard": "fleetcell_dashboard", "superuser": "postgres"}[role]
        return f"postgresql://{user}:{self._passwords[role]}@127.0.0.1:{self._port}/{database}"

    async def _wait_ready(self) -> None:
        async with asyncio.timeout(READY_S):
            while not await self._answers():
                await asyncio.sleep(0.05)

    async def _make_roles(self) -> None:
        async with connected(self.dsn("superuser", "postgres")) as connection:
            for role, user in (("owner", "fleetcell"), ("dashboard", "fleetcell_dashboard")):
                await connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{self._passwords[role]}'")

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "PostgreSQL in the Debian folder ended"
        try:
            connection = await asyncpg.connect(self.dsn("superuser", "postgres"))
        except (OSError, asyncpg.CannotConnectNowError):
            return False
        await connection.close()
        return True

    def _inside(self, path: Path) -> str:
        """The path as programs in the folder see it."""
        return f"/{path.relative_to(self._root)}"

    def _command(self, program: str, *arguments: str) -> list[str]:
        assert self._home is not None
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT"]
        chroot = ["chroot", str(self._root), *user]
        return [
            *chroot,
            self._inside(self._programs / program),
            "-D",
            self._inside(self._home / "data"),
            *arguments,
        ]

    def _postgres_account(self) -> tuple[int, int]:
        """The numbers of the folder's own user postgres."""
        for line in (self._root / "etc/passwd").read_text().splitlines():
            name, _, uid, gid, *_ = line.split(":")
            if name == "postgres":
                return int(uid), int(gid)
        raise LookupError(f"{self._root} has no user postgres")


def timescale_root() -> Path:
    """The Debian folder with PostgreSQL and TimescaleDB.

    Raises:
        LookupError: there is none, or we may not use it.
    """
    default = Path.home() / ".cache" / "fleetcell" / "timescaledb-trixie"
    root = Path(os.environ.get("FLEETCELL_TIMESCALE_ROOT") or default)
    how = "as root on Debian run tools/timescale-root, which needs debootstrap"
    if os.geteuid() != 0:
        raise LookupError(f"needs TimescaleDB, and root to run it in a folder of its own: {how}")
    if not (root / "fleetcell-complete").exists():
        raise LookupError(f"needs TimescaleDB: {how}")
    return root


@contextmanager
def server_folder(otherwise: Path) -> Iterator[Path]:
    """Where a server keeps its data: in memory where there is plenty of it, or in a folder on the disk.

    A database is 450 files. ext4 does not take the inodes of those that went with the database before, and
    searches for others file by file: half a second of CPU for each test. Memory takes 10 ms.
    """
    free = min(psutil.virtual_memory().available, shutil.disk_usage(MEMORY).free) if MEMORY.is_dir() else 0
    if free < MEMORY_NEEDED or not os.access(MEMORY, os.W_OK):
        yield otherwise
        return
    for left in MEMORY.glob("fleetcell-tests-*"):  # by a run that was killed
        if not psutil.pid_exists(int(left.name.split("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"fleetcell-tests-{os.getpid()}-", dir=MEMORY) as folder:
        yield Path(folder)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Connection]:
    """A connection for a few statements."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine from a synchronous fixture, whatever loop the test has."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def _dying_with_us(argv: list[str]) -> list[str]:
    """The command, stopped by the kernel when the tests are killed."""
    program, *rest = argv if Path(argv[0]).name == "setpriv" else ["setpriv", *argv]
    return [program, "--pdeathsig=INT", *rest]


def _start(argv: list[str], folder: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Run a server whose log is in a folder."""
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([*argv, *UNSAFE], stderr=log, **options)


def _stop(process: subprocess.Popen[bytes] | None) -> None:
    """End a server, where one was started, in the way in which it leaves nothing behind."""
    if process is None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _administer(server: Server, *statements: str) -> None:
    async with connected(server.dsn("superuser", "postgres")) as connection:
        for statement in statements:
            await connection.execute(statement)


async def make_template(server: Server) -> None:
    await _administer(server, f"CREATE DATABASE {TEMPLATE} OWNER fleetcell")
    assert await migrate(server.dsn("owner", TEMPLATE)) is server.tier
    await _administer(server, f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")


@contextmanager
def serving(server: PlainServer | TimescaleServer) -> Iterator[None]:
    """Run a server, with a template for the databases of tests, while the block runs."""
    try:
        server.start()
        run(make_template(server))
        yield
    finally:
        server.stop()


_numbers = itertools.count(1)


@contextmanager
def fresh_database(server: Server, *, empty: bool = False) -> Iterator[Database]:
    """A database for one test; empty: without the schema."""
    name = f"test_{next(_numbers)}"
    template = "template1" if empty else TEMPLATE
    # Its files as they are: the other strategy writes each page into the log as well.
    make = f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY OWNER fleetcell"
    run(_administer(server, make))
    try:
        owner, dashboard, superuser = (server.dsn(role, name) for role in ("owner", "dashboard", "superuser"))
        yield Database(owner, dashboard, superuser, server.tier)
    finally:
        run(_administer(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainServer]:
    """Embedded PostgreSQL, running."""
    with server_folder(tmp_path_factory.mktemp("postgres")) as folder:
        server = PlainServer(folder / "postgres")
        with serving(server):
            yield server


@pytest.fixture(scope="session")
def timescale_server() -> Iterator[TimescaleServer]:
    """TimescaleDB, running; the test is skipped where there is none."""
    try:
        server = TimescaleServer()
    except LookupError as missing:
        pytest.skip(str(missing))
    with serving(server):
        yield server


@pytest.fixture(params=["plain", "timescale"])
def any_server(request: pytest.FixtureRequest) -> Server:
    """Each server, one after the other."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def plain_database(plain_server: PlainServer) -> Iterator[Database]:
    """A migrated database on plain PostgreSQL."""
    with fresh_database(plain_server) as database:
        yield database


@pytest.fixture
def timescale_database(timescale_server: TimescaleServer) -> Iterator[Database]:
    """A migrated database on TimescaleDB."""
    with fresh_database(timescale_server) as database:
        yield database


@pytest.fixture
def any_database(any_server: Server) -> Iterator[Database]:
    """A migrated database, on each server."""
    with fresh_database(any_server) as database:
        yield database


@pytest.fixture
def plain_dsn(plain_database: Database) -> str:
    """The owner's DSN of a migrated database on plain PostgreSQL."""
    return plain_database.owner


@pytest.fixture
def timescale_dsn(timescale_database: Database) -> str:
    """The owner's DSN of a migrated database on TimescaleDB."""
    return timescale_database.owner


@pytest.fixture
def any_dsn(any_database: Database) -> str:
    """The owner's DSN of a migrated database, on each server."""
    return any_database.owner
