"""Passwords of people: argon2id, and a limit on guessing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher

from dashboard.auth import Principal, SignInError, role_of
from fleetcell.contract.errors import FleetcellError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboard.database import Database

MAX_FAILURES: Final = 10
WINDOW_S: Final = 300.0
MAX_NAMES: Final = 10_000


class TooManyAttemptsError(FleetcellError):
    """Too many wrong passwords: wait five minutes."""


class Passwords:
    """Checks users' passwords, two at a time: argon2id takes memory and processor time on purpose."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._hasher = PasswordHash((Argon2Hasher(),))
        self._failures: dict[str, list[float]] = {}
        self._slots = asyncio.Semaphore(2)
        self._nobody: str | None = None

    def hash(self, password: str) -> str:
        """The argon2id hash to keep of a password."""
        return self._hasher.hash(password)

    async def check(self, user: str, password: str) -> Principal:
        """Who this is.

        An unknown user takes as long as a wrong password, so that names cannot be found out.

        Raises:
            SignInError: user or password is wrong.
            TooManyAttemptsError: ten were wrong within five minutes.
        """
        now = self._clock()
        recent = [at for at in self._failures.get(user, ()) if now - at < WINDOW_S]
        if len(recent) >= MAX_FAILURES:
            raise TooManyAttemptsError
        row = await self._database.fetch_row("user_get", user)
        kept = row["password_hash"] if row is not None else None
        async with self._slots:
            right = await asyncio.to_thread(self._verify, password, kept)
        if row is None or not right:
            if len(self._failures) >= MAX_NAMES:
                self._failures.clear()
            self._failures[user] = [*recent, now]
            raise SignInError("user or password is wrong")
        self._failures.pop(user, None)
        return Principal(row["name"], role_of(row["role"]), account=("user", row["name"]))

    def _verify(self, password: str, kept: str | None) -> bool:
        if self._nobody is None:
            self._nobody = self.hash("nobody's password")
        try:
            return self._hasher.verify(password, kept or self._nobody) and kept is not None
        except PwdlibError:
            return False
