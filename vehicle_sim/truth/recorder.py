"""Records what really happens in one run, on disk and in memory."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

from vehicle_sim.truth.live import LiveView
from vehicle_sim.truth.meter import Meter
from vehicle_sim.truth.records import Fault, Run
from vehicle_sim.truth.store import Store, folder_of
from vehicle_sim.truth.witness import Witness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from fleetcell.contract.ledger import Ranges
    from vehicle_sim.links.link import Link
    from vehicle_sim.links.transport import Modem
    from vehicle_sim.provisioning import Platform
    from vehicle_sim.session import VehicleUnit
    from vehicle_sim.spool import Spool
    from vehicle_sim.unit import PresencePolicy

_LOOK_S: Final = 1.0  # between two looks at each link
_SLICE: Final = 200  # units looked at in one go
_CHECKPOINT_S: Final = 30.0


class Recorder:
    """The record of a run, from before its units connect until they are gone.

    Args:
        directory: a folder of this run's own is made in it.
        platform: whose live view is watched.
        presence: the timers of the units.
        kind, link, seed, rate_hz: as the run was asked for.
    """

    def __init__(
        self,
        directory: Path,
        platform: Platform,
        presence: PresencePolicy,
        *,
        kind: str,
        link: str,
        seed: int | None,
        rate_hz: float | None = None,
    ) -> None:
        began_at = time.time()
        self.meter = Meter()
        self.run = Run(
            kind=kind,
            link=link,
            seed=seed,
            api_url=platform.api_url,
            began_at=began_at,
            rate_hz=rate_hz,
            keep_alive_s=presence.keep_alive_s,
            update_interval_s=presence.update_interval_s,
        )
        self.live = LiveView(platform.api_url, platform.api_key, began_at)
        self._store = Store(folder_of(directory, began_at))
        self._witnesses: dict[str, Witness] = {}
        self._spools: dict[str, Spool] = {}
        self._links: dict[str, Link] = {}

    @property
    def folder(self) -> Path:
        """Where the record is."""
        return self._store.folder

    # -- what is told -------------------------------------------------------------------------------

    def witness(self, vehicle: str, spool: Spool, modem: Modem | None) -> Witness:
        """Who sees what a unit does; the same for all its lives."""
        witness = self._witnesses.get(vehicle)
        if witness is None:
            witness = self._witnesses[vehicle] = Witness(vehicle, modem, self._store.note)
        witness.powered_up(spool.boots)
        self._spools[vehicle] = spool
        if modem is not None:
            self._links[vehicle] = modem.link
        return witness

    def tore(self, vehicle: str, boot: str, seqs: Ranges) -> None:
        """A power loss took readings from the disk of a unit."""
        self._witnesses[vehicle].tore(boot, seqs)

    def stands(self, vehicle: str, lat: float, lon: float) -> None:
        """A vehicle is here now, degrees."""
        self.live.stands(vehicle, lat, lon)

    def fault(self, who: str, kind: str) -> None:
        """Somebody broke something on purpose, now; `who`: a vehicle, or a service of the platform."""
        self._store.note(Fault(time.time(), who, kind))

    # -- while it goes on ---------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def recording(self, units: Mapping[str, VehicleUnit]) -> AsyncIterator[None]:
        """Record while the block runs; at its end all units are gone.

        Raises:
            TruthError: the record cannot be written.
        """
        self._store.open()
        self._checkpoint()
        tasks = [asyncio.create_task(self.live.watch()), asyncio.create_task(self._follow(units))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            self.run.ended_at = time.time()
            self._checkpoint()
            self._store.close()
        for result in ended:
            if isinstance(result, Exception):
                raise result

    async def _follow(self, units: Mapping[str, VehicleUnit]) -> None:
        """Look whether the links pass packets, and write down what there is."""
        loop = asyncio.get_running_loop()
        checkpoint = loop.time() + _CHECKPOINT_S
        while True:
            began = loop.time()
            for index, unit in enumerate(list(units.values())):
                if unit.modem is not None:
                    unit.look()
                if index % _SLICE == _SLICE - 1:
                    await asyncio.sleep(0)
            self._store.flush()
            if loop.time() >= checkpoint:
                self._checkpoint()
                checkpoint = loop.time() + _CHECKPOINT_S
            await asyncio.sleep(max(0.0, began + _LOOK_S - loop.time()))

    def _checkpoint(self) -> None:
        for vehicle, witness in self._witnesses.items():
            witness.settle(self._spools[vehicle].boots)
        self.run.vehicles = sorted(self._witnesses)
        self.run.up, self.run.down = self.meter.read(list(self._links.values()))
        self.run.errors = self.live.errors
        boots = (boot for witness in self._witnesses.values() for boot in witness.boots.values())
        self._store.replace(self.run, boots)
