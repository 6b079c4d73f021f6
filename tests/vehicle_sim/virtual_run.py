"""A minute of twelve vehicles in a storm, put together as `sim run` does, but in virtual time.

Writes all that was decided: `python -m tests.vehicle_sim.virtual_run SEED LOOKS_A_SECOND`.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vehicle_sim.faults import hits, occurrences, read
from vehicle_sim.links import load as links_of
from vehicle_sim.links.air import Direction
from vehicle_sim.mobility import FAULTY_CLOCKS, Drive, GnssErrors, Traffic, kind_of
from vehicle_sim.roads import load
from vehicle_sim.run import vehicle_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vehicle_sim.links.link import Link

VEHICLES = 12
SECONDS = 60
NOON_MS = 1_780_000_000_000
FAULTS = Path(__file__).parents[2] / "docs" / "faults.example.yaml"


def decisions(seed: int, looks_a_second: int) -> Iterator[str]:
    """A line for each."""
    network = load()
    traffic, links = Traffic(network, seed, 8.0), links_of("storm", seed, network.roads)
    names = list(itertools.islice(vehicle_names(), VEHICLES))
    drives = {
        name: Drive(
            network,
            f"{seed}:{name}",
            kind=kind_of(name),
            traffic=traffic,
            gnss=GnssErrors(),
            clock=FAULTY_CLOCKS,
        )
        for name in names
    }
    modems = {name: links.make(name) for name in names}
    flows = {name: link.open(0.0) for name, link in modems.items()}
    for second in range(1, SECONDS + 1):
        for name, drive in drives.items():
            signals, link = drive.advance(1.0), modems[name]
            yield from arrived(name, link, second - 1, looks_a_second)
            dated = drive.dated(NOON_MS + second * 1000)
            yield f"reading {name} {second} {dated} {sorted(signals.items())}"
            lon, lat = signals.get("lon"), signals.get("lat")
            if isinstance(lon, float) and isinstance(lat, float):
                link.move(lon, lat, float(second))
            yield f"modem {name} {second} {link.reception}"
            link.send(Direction.UP, flows[name], repr(signals).encode(), float(second))
    for name, link in modems.items():
        yield from (f"link {name} {event}" for event in link.events)
    planned = itertools.takewhile(lambda one: one.at_s < 1200, occurrences(read(FAULTS), seed))
    for one in planned:
        yield f"fault {hits(one, dict.fromkeys(names, 'helsinki'), {'helsinki': 'broker'})}"


def arrived(name: str, link: Link, begin: int, looks: int) -> Iterator[str]:
    """What has crossed the link in the second from `begin` on."""
    for look in range(1, looks + 1):
        for found in link.advance(begin + look / looks):
            yield f"arrived {name} {found.at} {found.direction.name} {found.data!r}"


if __name__ == "__main__":
    for line in decisions(int(sys.argv[1]), int(sys.argv[2])):
        sys.stdout.write(f"{line}\n")
