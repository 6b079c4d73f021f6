"""Which of the three tiers a database is.

TimescaleDB under the Timescale licence, the Apache build of TimescaleDB, or plain PostgreSQL. One schema
and one set of queries; only ingest/sql/tier_*.sql differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ingest.errors import DatabaseError
from ingest.statements import statement

if TYPE_CHECKING:
    import asyncpg


class Tier(StrEnum):
    """What the database can do for telemetry."""

    TIMESCALE = "timescale"  # hypertable, old chunks turned into columns
    TIMESCALE_APACHE = "timescale_apache"  # hypertable
    PLAIN = "plain"  # ordinary table

    @property
    def statements(self) -> tuple[str, ...]:
        """What sets this tier up: names of files in ingest/sql/, in order."""
        return {
            Tier.TIMESCALE: ("tier_timescale_apache", "tier_timescale"),
            Tier.TIMESCALE_APACHE: ("tier_timescale_apache",),
            Tier.PLAIN: ("tier_plain",),
        }[self]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server says of itself and of TimescaleDB (versions; None: not there)."""

    server: str
    major: int
    installed: str | None  # in this database
    available: str | None  # on this server
    preloaded: bool
    license: str | None

    @property
    def tier(self) -> Tier:
        """The tier as it is now, without installing anything.

        Raises:
            DatabaseError: the extension is in the database, but the server does not load its library.
        """
        if self.installed is None:
            return Tier.PLAIN
        if not self.preloaded:
            raise DatabaseError(
                "this database uses TimescaleDB, but the server does not load it: set "
                "shared_preload_libraries = 'timescaledb' in postgresql.conf and restart PostgreSQL"
            )
        return Tier.TIMESCALE if self.license == "timescale" else Tier.TIMESCALE_APACHE

    def __str__(self) -> str:
        """One line for people."""
        timescale = (
            f"TimescaleDB {self.installed}, licence {self.license}" if self.installed else "no TimescaleDB"
        )
        return f"PostgreSQL {self.server}, {timescale} (tier {self.tier})"


async def ask(connection: asyncpg.Connection[asyncpg.Record]) -> Facts:
    """Ask the server what it has."""
    row = await connection.fetchrow(statement("tier_facts"))
    assert row is not None
    return Facts(**row)


async def detect_tier(connection: asyncpg.Connection[asyncpg.Record]) -> Tier:
    """The tier that this database has now; `migrate` may raise it by installing the extension.

    Raises:
        DatabaseError: the extension is in the database, but the server does not load its library.
    """
    return (await ask(connection)).tier
