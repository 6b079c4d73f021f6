"""A process of simulated units, each behind a link of its own, that does as it is told and says when.

    python -m benchmarks._presence_units < orders > news

The first line of the orders is the `Crew`, each further line an `Order`; news are `News`, a line each, with
times of the system's monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks._presence_link import Link
from fleetcell.service import configure_logging
from vehicle_sim.fleet import allow_open_files
from vehicle_sim.gateway_link import LinkOptions
from vehicle_sim.session import VehicleUnit
from vehicle_sim.spool import Spool
from vehicle_sim.tally import Tally

FILES_PER_UNIT = 9  # three of its own, its connection, the listener and the two ends of a link, to spare
HELD_DOWN_S = 3.0  # after a reset, so that it can be seen before the unit is back


class Crew(msgspec.Struct, frozen=True):
    """The units of one process."""

    broker_url: str
    region: str
    folder: str
    secrets: dict[str, str]
    spread_s: float
    seed: int


class Order(msgspec.Struct, frozen=True):
    """`what` to do: stop, reset, swallow, heal, strand, sleep, bytes (of all)."""

    what: str
    unit: str = ""
    seconds: float = 0.0


class News(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has just happened. `began` and `ended` are a session's; `done` is an order's moment.

    `region`: of those that drive from one to another (`_presence_roamers`).
    """

    at: float
    what: str
    unit: str = ""
    order: str = ""
    region: str | None = None
    bytes: dict[str, int] | None = None


def tell(news: News) -> None:
    """One line, at once."""
    sys.stdout.buffer.write(msgspec.json.encode(news) + b"\n")
    sys.stdout.buffer.flush()


class Unit:
    """One simulated unit and its link."""

    def __init__(self, name: str, secret: str, crew: Crew) -> None:
        self.name = name
        self._crew = crew
        self._secret = secret
        url = urlsplit(crew.broker_url)
        broker = (url.hostname or "127.0.0.1", url.port or 9001)
        self.link = Link(broker, lambda: self._say("began"), lambda: self._say("ended"))
        self._unit: VehicleUnit | None = None

    async def run(self, delay_s: float) -> None:
        """Live."""
        await asyncio.sleep(delay_s)
        port = await self.link.open()
        crew, rng = self._crew, random.Random(f"{self._crew.seed}:{self.name}")
        spool = Spool(Path(crew.folder) / self.name)
        spool.open()
        url = urlsplit(crew.broker_url)._replace(netloc=f"127.0.0.1:{port}").geturl()
        options = LinkOptions(url, crew.region, roams=False)  # what the directory names is not its link
        self._unit = VehicleUnit(self.name, self._secret, spool, options, Tally(), rng)
        await self._unit.run()

    def obey(self, order: Order) -> None:
        """Do it, and say when."""
        assert self._unit is not None
        self._say("done", order.what)
        match order.what:
            case "stop":
                self._unit.stop()
            case "sleep":
                self._unit.rest(order.seconds)
            case "swallow":
                self.link.dead = True
            case "heal":
                self.link.dead = False
            case "strand":
                self.link.strand()
            case "reset":
                self.link.down = True
                self.link.reset()
                asyncio.get_running_loop().call_later(HELD_DOWN_S, self._get_in)
            case what:
                raise ValueError(what)

    def _get_in(self) -> None:
        self.link.down = False

    def _say(self, what: str, order: str = "") -> None:
        tell(News(time.monotonic(), what, self.name, order))


async def serve() -> None:
    """Run the units until the orders end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    crew = msgspec.json.decode(await reader.readline(), type=Crew)
    allow_open_files(FILES_PER_UNIT * len(crew.secrets))
    units = {name: Unit(name, secret, crew) for name, secret in crew.secrets.items()}
    gap = crew.spread_s / max(1, len(units))
    running = [asyncio.create_task(unit.run(index * gap)) for index, unit in enumerate(units.values())]
    while line := await reader.readline():
        order = msgspec.json.decode(line, type=Order)
        if order.what == "bytes":
            counts = {name: unit.link.bytes for name, unit in units.items()}
            tell(News(time.monotonic(), "bytes", bytes=counts))
        else:
            units[order.unit].obey(order)
    for task in running:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*running, return_exceptions=True)


if __name__ == "__main__":
    configure_logging("error")
    uvloop.run(serve())
