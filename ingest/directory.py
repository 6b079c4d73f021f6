"""The region's copy of the directory: read from the database and a file, published retained on its broker.

A region registers itself in the database; regions on one database learn of each other there, and those with
a database each from a file that an operator keeps (FLEETCELL_DIRECTORY_FILE). While the database is away the
directory stays as it was last read.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from fleetcell.contract.addresses import pool_of, read_pool
from fleetcell.contract.directory import Regions, compact, read_cells
from fleetcell.contract.errors import ConfigError, FleetcellError
from fleetcell.contract.messages import Directory, RegionEntry, encode
from fleetcell.contract.topics import DIRECTORY_TOPIC, check_name
from fleetcell.flag import set_within
from fleetcell.mqtt import parse_url
from ingest.database import statement
from ingest.failures import FAILURES, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fleetcell.mqtt import MqttBridge
    from fleetcell.settings import IngestSettings
    from ingest.metrics import Metrics
    from ingest.pools import Database

log = structlog.get_logger()

CHANNEL: Final = "fleetcell_directory"
LOOK_S: Final = 2.0  # where a notification was lost, and for what nobody notifies: the file, who stores
SILENT_S: Final = 10.0  # a gateway without a heartbeat for so long does not store

Entries = dict[str, RegionEntry]


class DirectoryFile(msgspec.Struct, frozen=True):
    """The file of FLEETCELL_DIRECTORY_FILE: as the message on `fleet/v1/directory`, without its time."""

    regions: dict[str, RegionEntry]


def own_entry(settings: IngestSettings) -> RegionEntry:
    """What this region says of itself.

    Raises:
        ConfigError: the file of its cells is not one.
    """
    cells = list(settings.region_cells)
    path = settings.region_cells_file
    if path is not None:
        try:
            cells += read_cells(path.read_text(encoding="utf-8"))
        except (OSError, ConfigError, UnicodeDecodeError) as error:
            raise ConfigError(f"FLEETCELL_REGION_CELLS_FILE {path}: {error}") from None
    url = settings.broker_public_url or settings.broker_url
    return RegionEntry(url, compact(cells), settings.address_pool)


def read_directory(path: Path) -> Entries:
    """The regions of a directory file.

    Raises:
        ConfigError: it is not one; the message says where.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=DirectoryFile).regions
        return {check_name(name, "region"): _checked(entry) for name, entry in found.items()}
    except (OSError, ValueError, FleetcellError) as error:  # msgspec's errors are ValueErrors
        raise ConfigError(f"FLEETCELL_DIRECTORY_FILE {path}: {error}") from None


def _checked(entry: RegionEntry) -> RegionEntry:
    parse_url(entry.url)
    if entry.address_pool is not None:
        read_pool(entry.address_pool)
    return msgspec.structs.replace(entry, cells=compact(entry.cells), storing=None)


def merged(own: Mapping[str, RegionEntry], stored: Entries, listed: Entries) -> Entries:
    """One directory of all: what a region says of itself goes before the database, that before the file."""
    return dict(sorted({**listed, **stored, **own}.items()))


class RegionDirectory:
    """Keeps the retained directory of one broker true.

    Args:
        region: whose broker.
        own: what the region says of itself.
        file: regions that are not in the database; None where there is none.
        database: where regions on the same database are.
        storing: whether this region stores now.
        speaks: whether it is this worker that speaks for the region.
        metrics: counted there.

    Raises:
        ConfigError: the file is not one.
    """

    def __init__(
        self,
        region: str,
        own: RegionEntry,
        file: Path | None,
        database: Database,
        storing: Callable[[], bool],
        speaks: Callable[[], bool],
        metrics: Metrics,
    ) -> None:
        self._region = region
        self._own = own
        self._file = file
        self._database = database
        self._storing = storing
        self._speaks = speaks
        self._metrics = metrics
        self._listed = {} if file is None else read_directory(file)
        self._read_at = None if file is None else file.stat().st_mtime_ns
        self._stored: Entries = {}
        self._published: Entries | None = None
        self._contested: dict[str, set[str]] = {}
        self._addresses: dict[str, str] = {}  # where clients connect from
        self._foreign: dict[str, str] = {}  # those from another region's pool
        self._wake = asyncio.Event()

    @property
    def entries(self) -> Entries:
        """All regions, as far as is known here."""
        own = msgspec.structs.replace(self._own, storing=self._storing())
        return merged({self._region: own}, self._stored, self._listed)

    def wake(self) -> None:
        """A region has changed its entry."""
        self._wake.set()

    def republish(self) -> None:
        """Publish it again: the broker may be a new one."""
        self._published = None
        self._wake.set()

    def seen(self, client: str, address: str | None) -> None:
        """A client connected from an address, or is gone (None); another region's is told and counted."""
        if address is None:
            self._addresses.pop(client, None)
            self._foreign.pop(client, None)
        else:
            self._addresses[client] = address
            self._judge({client: address}, self.entries)

    def _judge(self, addresses: Mapping[str, str], entries: Entries) -> None:
        pools = {name: entry.address_pool for name, entry in entries.items() if entry.address_pool}
        for client, address in addresses.items():
            region = pool_of(address, pools)
            if region in (None, self._region) or self._foreign.get(client) == address:
                continue
            self._foreign[client] = address
            self._metrics.foreign_addresses.inc()
            log.warning("connected from another region's pool", client=client, address=address, pool=region)

    async def run(self, bridge: MqttBridge) -> None:
        """Register, read and publish until cancelled."""
        failing = False
        while True:
            self._wake.clear()
            if self._speaks():
                self._read_file()
                try:
                    async with asyncio.timeout(2 * LOOK_S):
                        await self._exchange()
                except FAILURES as error:
                    if not failing:
                        log.warning("the directory stays as it was read", reason=reason(error))
                    failing = True
                else:
                    failing = False
                self._publish(bridge)
            await set_within(self._wake, LOOK_S)

    async def _exchange(self) -> None:
        own = self._own
        async with self._database.connection() as connection:
            await connection.execute(
                statement("register_region"), self._region, own.url, own.cells, own.address_pool
            )
            rows = await connection.fetch(statement("regions"), SILENT_S)
        self._stored = {
            row["name"]: RegionEntry(row["url"], row["cells"], row["address_pool"], row["storing"])
            for row in rows
        }

    def _read_file(self) -> None:
        """Take a changed file; one that is not readable now is told once and changes nothing."""
        if self._file is None:
            return
        try:
            changed_at = self._file.stat().st_mtime_ns
        except OSError:
            return  # it is being replaced, or was removed: what it said still holds
        if changed_at == self._read_at:
            return
        self._read_at = changed_at
        try:
            self._listed = read_directory(self._file)
        except ConfigError as error:
            log.error("the directory file was not taken", reason=str(error))  # noqa: TRY400 - no fault here

    def _publish(self, bridge: MqttBridge) -> None:
        entries = self.entries
        if entries == self._published:
            return
        message = encode(Directory(entries, datetime.now(UTC)))
        if bridge.publish_nowait(DIRECTORY_TOPIC, message, qos=1, retain=True):
            self._published = entries
            self._judge(self._addresses, entries)
            self._warn_of_contests(entries)

    def _warn_of_contests(self, entries: Entries) -> None:
        contested = Regions({name: entry.cells for name, entry in entries.items()}).contested
        self._metrics.contested_cells.set(len(contested))
        if contested != self._contested:
            self._contested = contested
            for cell, names in contested.items():
                log.warning("regions claim the same cell; the first has it", cell=cell, regions=sorted(names))
