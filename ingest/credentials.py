"""The exporter of credentials: what the database says of units, as the file that the broker watches."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from fleetcell.contract.credentials import CredentialsFile, ServiceCredential, decode_file, encode_file
from fleetcell.contract.errors import ConfigError
from fleetcell.flag import set_within
from fleetcell.layout import write_private
from ingest.database import statement
from ingest.failures import FAILURES, reason

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.pools import Database

log = structlog.get_logger()

EVERY_S: Final = 5.0  # where a notification was lost: a revoked unit is out within 5 s all the same


class CredentialsExporter:
    """Keeps the credentials file equal to the database.

    Args:
        database: where the units are.
        target: the file to write; its folder is made.
        services: a credentials file whose service accounts go into it; None where there are none.
    """

    def __init__(self, database: Database, target: Path, services: Path | None) -> None:
        self._database = database
        self._target = target
        self._services = services
        self._wake = asyncio.Event()
        self._failing = False

    def wake(self) -> None:
        """A credential has changed."""
        self._wake.set()

    async def run(self) -> None:
        """Export until cancelled; while the database is away the file stays as it is."""
        while True:
            self._wake.clear()
            try:
                await self.export()
            except (*FAILURES, ConfigError) as error:
                if not self._failing:
                    log.warning("credentials not exported", reason=reason(error))
                self._failing = True
            else:
                self._failing = False
            await set_within(self._wake, EVERY_S)

    async def export(self) -> bool:
        """Write the file if it has to change; whether it was.

        Raises:
            ConfigError: the file of the service accounts is not valid.
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: no database, or no folder.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(statement("credentials"))
        content = encode_file(
            CredentialsFile({row["name"]: row["mac"] for row in rows}, self._service_accounts())
        )
        with suppress(FileNotFoundError):
            if self._target.read_bytes() == content:
                return False
        write_private(self._target, content)
        log.info("credentials exported", units=len(rows))
        return True

    def _service_accounts(self) -> dict[str, ServiceCredential]:
        return {} if self._services is None else decode_file(self._services.read_bytes()).services
