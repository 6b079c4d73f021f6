"""One unit on a real broker: attach, telemetry, acknowledgement, lost links, a clean stop."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fleetcell.contract import ledger
from fleetcell.contract.messages import ClaimKind, Page, PresenceState, Telemetry
from fleetcell.contract.presence import Reason, Registration, to_state
from fleetcell.contract.topics import Channel
from tests.vehicle_sim.garage import NOON_MS, SIGNALS, make
from vehicle_sim.unit import PresencePolicy

if TYPE_CHECKING:
    from tests.vehicle_sim.garage import Garage


async def test_readings_are_stored_once_and_the_spool_is_emptied(garage: Garage) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    make(unit, 25)
    await unit.drained()
    stored = gateway.readings[garage.car, unit.spool.current.boot]
    assert sorted(stored) == list(range(1, 26))
    assert stored[3].s == SIGNALS
    assert stored[3].ts == NOON_MS + 2000
    assert set(gateway.received.values()) == {1}
    assert (garage.tally.made, garage.tally.acked, garage.tally.pending) == (25, 25, 0)


async def test_an_event_shares_the_numbers_of_readings_and_is_kept_until_it_is_acknowledged(
    garage: Garage,
) -> None:
    gateway = garage.platform.gateway
    gateway.deaf = True
    first = garage.start()
    make(first, 2)
    first.report(NOON_MS + 1500, "harsh_brake", {"acceleration": -5.1, "lat": 60.17})
    make(first, 1)
    await asyncio.sleep(0)
    await garage.cut_off(first)
    gateway.deaf = False
    unit = await garage.online()
    unit.report(NOON_MS, "dtc", {"code": "P0300", "active": True})
    await unit.drained()
    boot = first.spool.current.boot
    assert sorted(gateway.readings[garage.car, boot]) == [1, 2, 4]
    (event,) = gateway.events[garage.car, boot].values()
    assert (event.seq, event.kind, event.ts) == (3, "harsh_brake", NOON_MS + 1500)
    assert event.data == {"acceleration": -5.1, "lat": 60.17}
    assert [one.kind for one in gateway.events[garage.car, unit.spool.current.boot].values()] == ["dtc"]
    assert (garage.tally.events, garage.tally.acked, garage.tally.backlog_acked) == (1, 1, 4)


async def test_an_attach_says_who_the_unit_is_and_what_it_will_send(garage: Garage) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    make(unit, 3)
    await unit.drained()
    await garage.stop(unit)
    again = await garage.online()
    attach = gateway.claims[-1][1]
    assert (attach.kind, attach.epoch, attach.n) == (ClaimKind.ATTACH, 2, 1)
    assert (attach.boot, attach.next_seq) == (again.spool.current.boot, 1)
    assert attach.previous is not None
    assert (attach.previous.boot, attach.previous.last_seq) == (unit.spool.current.boot, 3)
    assert (attach.update_interval, attach.keep_alive, attach.address) == (30, 20, None)


async def test_a_clean_stop_is_registered_as_shutdown(garage: Garage) -> None:
    unit = await garage.online()
    await garage.stop(unit)
    assert garage.platform.gateway.state(garage.car) == ("offline", "shutdown")


async def test_a_power_loss_is_registered_as_lost_by_the_will_of_its_epoch(garage: Garage) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    await garage.cut_off(unit)
    await gateway.until(lambda: gateway.state(garage.car) == ("suspect", "lost"))
    will = gateway.claims[-1][1]
    assert will.is_will
    assert will.epoch == 1
    await garage.online()
    assert gateway.state(garage.car) == ("online", "attach")
    assert gateway.registrations[garage.car].epoch == 2


async def test_what_a_lost_boot_left_is_sent_under_its_own_boot(garage: Garage) -> None:
    gateway = garage.platform.gateway
    gateway.deaf = True
    first = garage.start()
    make(first, 12)
    await asyncio.sleep(0)
    await garage.cut_off(first)
    gateway.deaf = False
    second = await garage.online()
    make(second, 2)
    await second.drained()
    assert sorted(gateway.readings[garage.car, first.spool.current.boot]) == list(range(1, 13))
    assert sorted(gateway.readings[garage.car, second.spool.current.boot]) == [1, 2]
    assert (garage.tally.backlog, garage.tally.backlog_acked, garage.tally.acked) == (12, 12, 2)


async def test_a_killed_broker_costs_nothing(mortal_garage: Garage) -> None:
    garage = mortal_garage
    gateway = garage.platform.gateway
    unit = await garage.online()
    make(unit, 5)
    await garage.platform.kill_broker()
    make(unit, 5)
    await garage.platform.start_broker()
    make(unit, 5)
    await unit.drained()
    assert sorted(gateway.readings[garage.car, unit.spool.current.boot]) == list(range(1, 16))
    await unit.wait_registered()
    assert gateway.registrations[garage.car].epoch == unit.spool.epochs.value >= 2
    assert garage.tally.connects == 2


async def test_readings_that_a_hung_gateway_took_no_notice_of_are_sent_again(garage: Garage) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    gateway.deaf = True
    make(unit, 15)
    while unit.resent < 10:
        await asyncio.sleep(0.01)
    assert garage.tally.acked == 0
    gateway.deaf = False
    await unit.drained()
    assert sorted(gateway.readings[garage.car, unit.spool.current.boot]) == list(range(1, 16))


async def test_nothing_is_sent_while_the_gateway_does_not_store(garage: Garage) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    gateway.say_storing(storing=False)
    gateway.send(garage.car, Channel.PAGE, Page("after the status"))
    await gateway.until(lambda: gateway.claims[-1][1].kind is ClaimKind.UPDATE)
    make(unit, 3)
    gateway.send(garage.car, Channel.PAGE, Page("again"))
    await gateway.until(lambda: gateway.claims[-1][1].n == 3)
    assert gateway.claims[-1][1].next_seq == 4
    assert gateway.stored(garage.car) == 0
    gateway.say_storing(storing=True)
    await unit.drained()
    assert gateway.stored(garage.car) == 3


async def test_a_unit_that_lost_its_counter_learns_its_epoch_from_the_retained_state(garage: Garage) -> None:
    gateway = garage.platform.gateway
    for _ in range(3):
        await garage.stop(await garage.online())
    garage.directory = garage.directory.with_name("a-new-computer")
    unit = await garage.online()
    assert unit.spool.epochs.value == gateway.registrations[garage.car].epoch == 4
    assert gateway.state(garage.car)[0] == "online"
    epochs = [claim.epoch for _, claim in gateway.claims if claim.kind is ClaimKind.ATTACH]
    assert epochs == [1, 2, 3, 4], "nothing was claimed with an old epoch"


async def test_a_unit_that_lost_its_counter_learns_it_from_a_republished_state(mortal_garage: Garage) -> None:
    garage = mortal_garage
    gateway = garage.platform.gateway
    for _ in range(2):
        await garage.stop(await garage.online())
    await garage.platform.kill_broker()  # and with it the retained state
    await garage.platform.start_broker()
    await gateway.bridge.wait_connected()
    garage.directory = garage.directory.with_name("a-new-computer")
    unit = await garage.online()
    assert unit.spool.epochs.value == gateway.registrations[garage.car].epoch == 3


async def test_a_rejected_reading_is_found_and_declared_and_the_others_are_stored(garage: Garage) -> None:
    gateway = garage.platform.gateway

    def poisoned(upload: Telemetry) -> bool:
        return any(sample.seq == 6 for sample in upload.samples)

    gateway.rejects = poisoned
    unit = await garage.online()
    make(unit, 10)
    await unit.drained()
    make(unit, 1)
    await unit.drained()
    key = (garage.car, unit.spool.current.boot)
    assert ledger.from_numbers(gateway.readings[key]) == ((1, 5), (7, 11))
    await gateway.until(lambda: gateway.evicted[key] == ((6, 6),))
    assert (garage.tally.rejected, garage.tally.acked, garage.tally.pending) == (1, 10, 0)


async def test_messages_that_make_no_sense_are_counted_and_change_nothing(garage: Garage) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    for channel in (Channel.ACK, Channel.COMMAND, Channel.PAGE):
        gateway.send(garage.car, channel, b"{nonsense")
    gateway.send(garage.car, Channel.ACK, b'{"boot":"' + b"0" * 32 + b'","seq":5,"also":[[9,7]]}')
    gateway.send(garage.car, Channel.PAGE, Page("last"))
    await gateway.until(lambda: gateway.claims[-1][1].kind is ClaimKind.UPDATE)
    assert garage.tally.bad_messages == 4
    assert unit.registered


async def test_a_refused_unit_says_so_and_connects_with_another_secret(garage: Garage) -> None:
    platform = garage.platform
    platform.register(garage.car, "another secret")
    unit = garage.start()
    while not unit.refused:
        await asyncio.sleep(0.01)
    assert "refused" in (unit.connection_problem or "")
    unit.use_secret("another secret")
    await unit.wait_registered()
    assert not unit.refused
    assert unit.connection_problem is None


async def test_a_stop_is_bounded_when_the_register_does_not_answer(garage: Garage) -> None:
    garage.link = replace(garage.link, presence=PresencePolicy(stop_wait_s=0.2))
    unit = await garage.online()
    garage.platform.gateway.deaf = True
    unit.stop()
    assert unit._unit._stop_due <= time.monotonic() + 0.2, "however late the machine is, it waits no longer"
    assert not unit.gone
    await asyncio.wait_for(garage.running.pop(unit), 60)
    assert unit.gone


async def test_a_state_of_the_session_before_changes_nothing(garage: Garage) -> None:
    gateway = garage.platform.gateway
    await garage.cut_off(await garage.online())
    unit = await garage.online()
    old = Registration(PresenceState.OFFLINE, Reason.LOST, since=datetime.now(UTC), epoch=1, lost=True)
    gateway.send(garage.car, Channel.STATE, to_state(garage.car, old, datetime.now(UTC)))
    gateway.send(garage.car, Channel.PAGE, Page("after it"))
    await gateway.until(lambda: gateway.claims[-1][1].kind is ClaimKind.UPDATE)
    assert unit.registered
    assert unit.spool.epochs.value == 2
