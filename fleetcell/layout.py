"""The data directory of `fleetcell up`: where everything is, its secrets, and the lock on it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from filelock import FileLock, Timeout

from fleetcell.contract.credentials import KEY_BYTES, new_secret
from fleetcell.contract.errors import FleetcellError
from fleetcell.contract.messages import RegionEntry  # noqa: TC001 - msgspec reads it

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE_FILE: Final = 0o600
PRIVATE_DIR: Final = 0o700


class AlreadyRunningError(FleetcellError):
    """`fleetcell up` is running on this data directory already."""


class NotRunningError(FleetcellError):
    """Nothing is running on this data directory. Start it with `fleetcell up`."""


class UpFile(msgspec.Struct, frozen=True):
    """`<data>/run/up.json`: where the parts of a running platform are. Holds no secret."""

    pid: int
    started_at: str
    api_url: str
    broker_url: str
    mqtt_url: str | None
    region: str
    admin_key_file: str
    roads_file: str | None = None
    regions: dict[str, RegionEntry] | None = None  # the directory, for simulated vehicles


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step; only its owner may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths below one data directory."""

    root: Path

    @property
    def run(self) -> Path:
        """Process ids, addresses and the credentials file: made anew by each start."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """One log a service."""
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        """Keys; readable by the owner alone."""
        return self.root / "secrets"

    @property
    def postgres(self) -> Path:
        """The embedded database."""
        return self.root / "postgres"

    @property
    def admin_key(self) -> Path:
        """The API key of the administrator."""
        return self.root / "admin.key"

    @property
    def up_file(self) -> Path:
        """Addresses of a running platform."""
        return self.run / "up.json"

    @property
    def credentials(self) -> Path:
        """Who may connect to the broker; written by ingest."""
        return self.run / "credentials.json"

    @property
    def service_credentials(self) -> Path:
        """The service accounts that ingest puts into it."""
        return self.run / "services.json"

    def pid_file(self, service: str) -> Path:
        """Where a service's process id is."""
        return self.run / f"{service}.pid"

    def log_file(self, service: str) -> Path:
        """Where a service's log is."""
        return self.logs / f"{service}.log"

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            FleetcellError: the directory cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for folder in (self.run, self.logs, self.secrets):
                folder.mkdir(exist_ok=True)
            self.secrets.chmod(PRIVATE_DIR)
        except OSError as error:
            raise FleetcellError(f"cannot use the data directory {self.root}: {error.strerror}") from error

    def key(self, name: str) -> Path:
        """A file with a random key as text, made when it is missing."""
        path = self.secrets / f"{name}.key"
        if not path.exists():
            write_private(path, secrets.token_hex(KEY_BYTES).encode() + b"\n")
        return path

    def secret(self, name: str) -> str:
        """A secret text that is the same at each start."""
        path = self.secrets / f"{name}.secret"
        if not path.exists():
            write_private(path, new_secret().encode())
        return path.read_text().strip()

    def lock(self) -> FileLock:
        """Hold the directory.

        Raises:
            AlreadyRunningError: another `fleetcell up` holds it.
        """
        lock = FileLock(self.run / "up.lock", mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            where = ""
            with contextlib.suppress(FleetcellError):  # it may be just starting
                where = f" at {self.read_up_file().api_url}"
            raise AlreadyRunningError(
                f"`fleetcell up` is running on {self.root} already{where}; "
                "stop it first, or give another --data"
            ) from None
        return lock

    def write_up_file(self, content: UpFile) -> None:
        """Tell the other commands where the platform is."""
        write_private(self.up_file, json.dumps(msgspec.to_builtins(content), indent=1).encode() + b"\n")

    def read_up_file(self) -> UpFile:
        """Where the running platform is.

        Raises:
            NotRunningError: there is none.
        """
        try:
            return msgspec.json.decode(self.up_file.read_bytes(), type=UpFile)
        except (OSError, msgspec.MsgspecError):
            raise NotRunningError(
                f"no platform is running on {self.root}; start it with `fleetcell up --data {self.root}`"
            ) from None

    def read_admin_key(self) -> str:
        """The administrator's API key; made when it is missing."""
        if not self.admin_key.exists():
            write_private(self.admin_key, new_secret().encode() + b"\n")
        return self.admin_key.read_text().strip()


def environment_of(values: dict[str, Any]) -> dict[str, str]:
    """This process's environment with `FLEETCELL_` variables set on top; None removes one."""
    merged = dict(os.environ)
    for name, value in values.items():
        variable = f"FLEETCELL_{name.upper()}"
        if value is None:
            merged.pop(variable, None)
        else:
            merged[variable] = str(value)
    return merged
