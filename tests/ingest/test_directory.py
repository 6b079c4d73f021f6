"""The directory on a region's broker: from the settings, the database and a file."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import h3
import pytest
from structlog.testing import capture_logs

from fleetcell.contract.errors import ConfigError
from fleetcell.contract.messages import Directory, RegionEntry, decode
from fleetcell.contract.topics import DIRECTORY_TOPIC
from fleetcell.settings import IngestSettings, load
from ingest.app import Service
from ingest.directory import merged, own_entry, read_directory
from tests.ingest.platform import Platform

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ingest.database import Connection

CENTRE = h3.latlng_to_cell(60.17, 24.94, 7)
WEST = h3.latlng_to_cell(60.17, 24.65, 7)
LOOK = "SELECT pg_notify('fleetcell_directory', '')"
PATIENCE_S = 60


class Readers:
    """What is said on a broker's directory topic."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        self.put = self._said.put_nowait

    async def until(self, wanted: Callable[[dict[str, RegionEntry]], bool]) -> dict[str, RegionEntry]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                regions = decode(Directory, await self._said.get()).regions
                if wanted(regions):
                    return regions


@asynccontextmanager
async def gateway(dsn: str, tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Platform, Readers]]:
    platform, readers = Platform(dsn, tmp_path, **settings), Readers()
    await platform.start()
    try:
        async with platform.watch(DIRECTORY_TOPIC, readers.put):
            yield platform, readers
    finally:
        await platform.stop()


async def test_a_region_is_in_the_directory_with_those_of_its_database_and_of_the_file(
    plain_dsn: str, connection: Connection, tmp_path: Path
) -> None:
    listed = tmp_path / "directory.json"
    turku = {"url": "wss://turku.example:9443/mqtt", "cells": [h3.latlng_to_cell(60.45, 22.27, 6)]}
    listed.write_text(json.dumps({"regions": {"turku": turku}}))
    whole = h3.cell_to_children(CENTRE, 8)
    async with gateway(
        plain_dsn,
        tmp_path,
        region_cells=whole,
        address_pool="127.21.0.0/16",
        broker_public_url="wss://helsinki.example/mqtt",
        directory_file=listed,
    ) as (_platform, readers):
        found = await readers.until(lambda regions: bool(regions["helsinki"].storing))
        assert found["helsinki"] == RegionEntry(
            "wss://helsinki.example/mqtt", [CENTRE], "127.21.0.0/16", storing=True
        )
        assert found["turku"] == RegionEntry(turku["url"], turku["cells"])  # type: ignore[arg-type]
        await connection.execute(
            "INSERT INTO fleet.region (name, url, cells) VALUES ('espoo', 'ws://espoo/mqtt', $1)", [WEST]
        )
        await connection.execute(LOOK)
        found = await readers.until(lambda regions: "espoo" in regions)
        assert found["espoo"] == RegionEntry("ws://espoo/mqtt", [WEST], storing=False)
        listed.write_text("{")
        os.utime(listed, (1, 1))
        await connection.execute("UPDATE fleet.region SET url = 'ws://moved/mqtt' WHERE name = 'espoo'")
        await connection.execute(LOOK)
        found = await readers.until(lambda regions: regions["espoo"].url == "ws://moved/mqtt")
        assert "turku" in found, "a broken file changes nothing"
        listed.write_text(json.dumps({"regions": {}}))
        os.utime(listed, (2, 2))
        await connection.execute(LOOK)
        assert set(await readers.until(lambda regions: "turku" not in regions)) == {"helsinki", "espoo"}


async def test_a_region_that_cannot_store_stays_in_the_directory_and_says_so(
    plain_dsn: str, connection: Connection, tmp_path: Path
) -> None:
    async with gateway(plain_dsn, tmp_path, region_cells=[CENTRE]) as (platform, readers):
        await readers.until(lambda regions: bool(regions["helsinki"].storing))
        assert platform.service is not None
        platform.service.gateway.failed("the disk is full")
        found = await readers.until(lambda regions: regions["helsinki"].storing is False)
        assert found["helsinki"].cells == [CENTRE]


async def test_a_unit_from_the_pool_of_another_region_is_told_and_counted(
    plain_dsn: str, connection: Connection, tmp_path: Path
) -> None:
    await connection.execute(
        "INSERT INTO fleet.region (name, url, cells, address_pool)"
        " VALUES ('lapland', 'ws://lapland/mqtt', '{}', '127.0.0.0/24')"
    )
    with capture_logs() as logs:
        async with gateway(plain_dsn, tmp_path, address_pool="127.21.0.0/16") as (platform, readers):
            await readers.until(lambda regions: "lapland" in regions)
            service = platform.service
            assert service is not None
            await platform.unit("car")
            told = "connected from another region's pool"
            async with asyncio.timeout(PATIENCE_S):
                while not any(log["event"] == told and log["client"] == "car" for log in logs):
                    await asyncio.sleep(0.01)
            assert service.metrics.foreign_addresses._value.get() >= 1


async def test_the_same_cell_of_two_regions_is_told(
    plain_dsn: str, connection: Connection, tmp_path: Path
) -> None:
    await connection.execute(
        "INSERT INTO fleet.region (name, url, cells) VALUES ('espoo', 'ws://espoo/mqtt', $1)", [CENTRE]
    )
    with capture_logs() as logs:
        async with gateway(plain_dsn, tmp_path, region_cells=[CENTRE]) as (platform, readers):
            await readers.until(lambda regions: "espoo" in regions)
            assert platform.service is not None
            assert platform.service.metrics.contested_cells._value.get() == 1
    assert {"espoo", "helsinki"} in [set(log["regions"]) for log in logs if "regions" in log]


def test_what_a_region_says_of_itself_goes_first() -> None:
    own, stored, listed = (RegionEntry(f"ws://{name}/mqtt", []) for name in ("own", "stored", "listed"))
    found = merged({"a": own}, {"a": stored, "b": stored}, {"a": listed, "b": listed, "c": listed})
    assert found == {"a": own, "b": stored, "c": listed}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '{"regions": {"live": {"url": "ws://x/mqtt", "cells": []}}}',
        '{"regions": {"a": {"url": "http://x/mqtt", "cells": []}}}',
        '{"regions": {"a": {"url": "ws://x/mqtt", "cells": ["zz"]}}}',
        '{"regions": {"a": {"url": "ws://x/mqtt", "cells": [], "address_pool": "x"}}}',
    ],
)
def test_a_file_that_is_no_directory_is_refused_by_name(content: str, tmp_path: Path) -> None:
    path = tmp_path / "directory.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"FLEETCELL_DIRECTORY_FILE .*directory\.json"):
        read_directory(path)


def test_wrong_settings_of_a_region_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cells = tmp_path / "cells"
    cells.write_text("not a cell")
    monkeypatch.setenv("FLEETCELL_DSN", "postgresql:///x")
    for name, value in (
        ("REGION_CELLS", "zz"),
        ("ADDRESS_POOL", "10.0.0.1/8"),
        ("BROKER_PUBLIC_URL", "http://x"),
        ("DIRECTORY_FILE", str(tmp_path / "missing")),
    ):
        monkeypatch.setenv(f"FLEETCELL_{name}", value)
        with pytest.raises(ConfigError, match=f"FLEETCELL_{name}"):
            load(IngestSettings)
        monkeypatch.delenv(f"FLEETCELL_{name}")
    monkeypatch.setenv("FLEETCELL_REGION_CELLS_FILE", str(cells))
    settings = load(IngestSettings)
    with pytest.raises(ConfigError, match="FLEETCELL_REGION_CELLS_FILE"):
        own_entry(settings)
    with pytest.raises(ConfigError, match="FLEETCELL_REGION_CELLS_FILE"):
        Service(settings)
