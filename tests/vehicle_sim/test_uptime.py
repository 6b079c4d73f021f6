"""A unit tells its uptime beside the times of its clock, of the boot that is running."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tests.vehicle_sim.garage import NOON_MS, SIGNALS, make

if TYPE_CHECKING:
    from fleetcell.contract.messages import Telemetry
    from tests.vehicle_sim.garage import Garage


async def test_readings_and_events_of_this_moment_tell_their_uptime(garage: Garage) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    began = unit.spool.current.boot
    now = time.monotonic()
    unit.record(0, SIGNALS, now + 1.5)  # the clock says 1970
    unit.report(0, "dtc", {"code": "P0300"}, now + 2.0)
    make(unit, 1)  # as in a replay: of another time
    await unit.drained()
    first, replayed = gateway.readings[garage.car, began][1], gateway.readings[garage.car, began][3]
    event = gateway.events[garage.car, began][2]
    assert first.up is not None
    assert event.up is not None
    assert event.up - first.up == 500
    assert 1500 <= first.up < 120_000
    assert event.sent is not None
    assert replayed.up is None
    assert (first.ts, event.ts, replayed.ts) == (0, 0, NOON_MS)


async def test_only_the_running_boot_says_when_it_sent(garage: Garage) -> None:
    gateway = garage.platform.gateway
    gateway.deaf = True
    first = garage.start()
    first.record(0, SIGNALS, time.monotonic())
    await asyncio.sleep(0)
    await garage.cut_off(first)
    gateway.deaf = False
    seen: list[Telemetry] = []

    def look(upload: Telemetry) -> bool:
        seen.append(upload)
        return False

    gateway.rejects = look
    unit = await garage.online()
    unit.record(0, SIGNALS, time.monotonic())
    await unit.drained()
    sent = {upload.boot: upload.sent for upload in seen}
    assert sent[first.spool.current.boot] is None
    assert sent[unit.spool.current.boot] is not None
    assert gateway.readings[garage.car, first.spool.current.boot][1].up is not None
