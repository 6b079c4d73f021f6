"""Running a program as another user than root, with no more rights than it needs.

PostgreSQL refuses to run as root. As root it therefore runs as the system user `postgres`, or `nobody` where
there is none. That user often cannot reach what it must: a data folder or a virtual environment below a home
with mode 700. Folders that are not ours keep their modes; the program gets one capability instead, to pass
through folders (CAP_DAC_READ_SEARCH, or CAP_DAC_OVERRIDE in containers that lack the former), and only where
that is necessary.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ingest.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Sequence

USERS: Final = ("postgres", "nobody")
CAPABILITIES: Final = {"dac_read_search": 2, "dac_override": 1}  # bit numbers: linux/capability.h


@dataclass(frozen=True, slots=True)
class Account:
    """The user and the group that a program runs as."""

    uid: int
    gid: int


def is_root() -> bool:
    """Whether this process has to hand its programs to somebody else."""
    return os.geteuid() == 0


def account_of(path: Path) -> Account:
    """The account that a path belongs to; of a path of root, or where there is none, a system user's."""
    if path.exists():
        status = path.stat()
        if status.st_uid != 0:
            return Account(status.st_uid, status.st_gid)
    for name in USERS:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(user.pw_uid, user.pw_gid)
    raise DatabaseError(
        f"PostgreSQL does not run as root, and this system has no user {' or '.join(USERS)}: "
        "run fleetcell as an ordinary user, or name a database with --dsn"
    )


def command_prefix(account: Account, folders: Sequence[Path]) -> list[str]:
    """What to put before a command to run it as this account, able to reach what is in these folders.

    Raises:
        DatabaseError: setpriv is missing, or a folder cannot be reached and there is no capability to give.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise DatabaseError(
            "PostgreSQL does not run as root, and the program setpriv (util-linux) is missing: install it, "
            "run fleetcell as an ordinary user, or name a database with --dsn"
        )
    plain = _setpriv(setpriv, account)
    hidden = [folder for folder in folders if not _reaches(plain, folder)]
    if not hidden:
        return plain
    for capability in _capabilities():
        able = _setpriv(setpriv, account, capability)
        if all(_reaches(able, folder) for folder in hidden):
            return able
    raise DatabaseError(
        f"PostgreSQL does not run as root, and the user with id {account.uid} cannot reach {hidden[0]}: "
        "move it to a folder that others may pass through, run fleetcell as an ordinary user, or name a "
        "database with --dsn"
    )


def _setpriv(program: str, account: Account, capability: str | None = None) -> list[str]:
    granted = "-all" if capability is None else f"-all,+{capability}"
    return [
        program,
        f"--reuid={account.uid}",
        f"--regid={account.gid}",
        "--clear-groups",
        "--no-new-privs",
        f"--inh-caps={granted}",
        # PostgreSQL asks access(2) for its programs, which leaves out the capabilities of users other than
        # root, unless this bit is set.
        *([f"--ambient-caps={granted}", "--securebits=+no_setuid_fixup"] if capability else []),
    ]


def _capabilities() -> list[str]:
    """Those of CAPABILITIES that this process may give away."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    held = {line.split(":")[0]: line.split()[-1] for line in status.splitlines() if line.startswith("Cap")}
    usable = int(held["CapPrm"], 16) & int(held["CapBnd"], 16)
    return [name for name, bit in CAPABILITIES.items() if usable >> bit & 1]


def _reaches(prefix: Sequence[str], folder: Path) -> bool:
    argv = [*prefix, "test", "-x", str(folder)]
    return subprocess.run(argv, cwd="/", capture_output=True, check=False).returncode == 0
