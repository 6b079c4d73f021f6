"""The regions of one `fleetcell up`: what each is called, serves and hands out, and its addresses.

The first region's services keep their plain names (`broker`, `ingest`); those of the others carry the
region's (`broker-espoo`), in process ids, logs and ports alike.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fleetcell.contract.directory import split_box
from fleetcell.contract.errors import ConfigError
from fleetcell.contract.messages import RegionEntry
from fleetcell.contract.topics import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MOST: Final = 100  # 127.21.0.0/16 to 127.120.0.0/16
_FIRST_POOL: Final = 21
_STOPS: Final = {  # in the order of stopping; SIGINT is PostgreSQL's fast shutdown
    "sim": signal.SIGTERM,
    "dashboard": signal.SIGTERM,
    "ingest": signal.SIGTERM,
    "broker": signal.SIGTERM,
    "postgres": signal.SIGINT,
}


@dataclass(frozen=True, slots=True)
class Region:
    """One region; its ports are set when they are known, and none is where the broker is another one."""

    name: str
    first: bool
    cells: list[str]
    address_pool: str

    def service(self, kind: str) -> str:
        """The name of its broker or ingest."""
        return kind if self.first else f"{kind}-{self.name}"

    def entry(self, url: str) -> RegionEntry:
        """Its entry in the directory."""
        return RegionEntry(url, self.cells, self.address_pool)


def make_regions(names: Iterable[str], bounds: tuple[float, float, float, float] | None) -> list[Region]:
    """The regions, which share the area of the roads from west to east.

    Args:
        names: of the regions.
        bounds: of the roads: west, south, east, north in degrees. None where one region serves everything.

    Raises:
        ConfigError: a name twice, or too many.
        TopicError: no name of a region.
    """
    listed = [check_name(name, "--regions") for name in names]
    if len(set(listed)) < len(listed) or not 1 <= len(listed) <= MOST:
        raise ConfigError(f"--regions {','.join(listed)}: 1 to {MOST} names, each once")
    cells = split_box(bounds, listed) if bounds is not None else {}
    return [
        Region(name, index == 0, cells.get(name, []), f"127.{_FIRST_POOL + index}.0.0/16")
        for index, name in enumerate(listed)
    ]


def stop_signal(service: str) -> signal.Signals:
    """How a service is asked to stop."""
    return _STOPS[service.partition("-")[0]]


def in_stop_order(services: Iterable[str]) -> list[str]:
    """The services in the order of stopping: who writes before who is written to."""
    kinds = list(_STOPS)
    known = [service for service in services if service.partition("-")[0] in _STOPS]
    return sorted(known, key=lambda service: (kinds.index(service.partition("-")[0]), service))


def left_behind(run: Path) -> dict[str, signal.Signals]:
    """What a killed `fleetcell up` may have left running, by its pid files, in the order of stopping."""
    return {
        service: stop_signal(service) for service in in_stop_order(path.stem for path in run.glob("*.pid"))
    }
