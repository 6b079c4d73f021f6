"""What the simulator's tests share."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tests.vehicle_sim.garage import opened
from tests.vehicle_sim.small_platform import BrokerProcess, SmallPlatform

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.vehicle_sim.garage import Garage

_regions = itertools.count(1)


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One broker process for all tests that leave it alone."""
    broker = BrokerProcess(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
async def platform(tmp_path: Path, shared_broker: BrokerProcess) -> AsyncIterator[SmallPlatform]:
    """A running platform: a region and a data directory of its own, on the shared broker."""
    small = SmallPlatform(shared_broker, tmp_path / "data", f"region-{next(_regions)}")
    await small.start()
    yield small
    await small.stop()


@pytest.fixture
async def mortal(tmp_path: Path) -> AsyncIterator[SmallPlatform]:
    """A running platform with a broker of its own, to be killed and started again."""
    broker = BrokerProcess(tmp_path / "broker")
    broker.start()
    small = SmallPlatform(broker, tmp_path / "data", f"region-{next(_regions)}")
    await small.start()
    yield small
    await small.stop()
    broker.kill()


@pytest.fixture
async def garage(platform: SmallPlatform, tmp_path: Path) -> AsyncIterator[Garage]:
    """A garage on the shared broker."""
    async with opened(platform, tmp_path) as made:
        yield made


@pytest.fixture
async def mortal_garage(mortal: SmallPlatform, tmp_path: Path) -> AsyncIterator[Garage]:
    """A garage on a broker that may be killed."""
    async with opened(mortal, tmp_path) as made:
        yield made
