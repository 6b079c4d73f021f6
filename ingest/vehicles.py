"""Vehicle names to ids, remembered: what a service asks for at every message."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ingest.database import statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ingest.database import Connection

UNKNOWN_FOR_S = 1.0  # how long a name that was not found is not asked for again


class Vehicles:
    """The vehicles that may send. `forget` when a credential changed: revoked ones are unknown then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ids: dict[str, int] = {}
        self._unknown: dict[str, float] = {}

    def forget(self) -> None:
        """Ask again for every name."""
        self._ids.clear()
        self._unknown.clear()

    def known(self, names: set[str]) -> dict[str, int] | None:
        """The ids of all these names, where each of them has been found before."""
        try:
            return {name: self._ids[name] for name in names}
        except KeyError:
            return None

    async def resolve(self, connection: Connection, names: Iterable[str]) -> dict[str, int]:
        """The ids of the names that may send; one query for those not seen before."""
        now = self._clock()
        wanted = set(names)
        missing = [
            name
            for name in wanted
            if name not in self._ids and self._unknown.get(name, -1e9) < now - UNKNOWN_FOR_S
        ]
        if missing:
            rows = await connection.fetch(statement("find_vehicles"), missing)
            found = {row["name"]: row["id"] for row in rows}
            self._ids |= found
            self._unknown = {name: at for name, at in self._unknown.items() if at >= now - UNKNOWN_FOR_S}
            self._unknown |= {name: now for name in missing if name not in found}
        return {name: self._ids[name] for name in wanted if name in self._ids}
