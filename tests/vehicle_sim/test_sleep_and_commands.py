"""Sleep, wake-up, commands and reboot of one unit on a real broker."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fleetcell.contract.messages import ClaimKind, Command
from fleetcell.contract.topics import Channel
from fleetcell.layout import environment_of
from tests.vehicle_sim.garage import make
from vehicle_sim.spool import Spool

if TYPE_CHECKING:
    import pytest

    from tests.vehicle_sim.garage import Garage
    from tests.vehicle_sim.small_platform import SmallPlatform
    from vehicle_sim.session import VehicleUnit


def send(garage: Garage, id_: str, name: str, args: dict[str, Any] | None = None, **more: Any) -> None:
    """Send a command for the session that the register has."""
    send_to(garage.car, garage.platform, id_, name, args, **more)


def send_to(
    car: str, platform: SmallPlatform, id_: str, name: str, args: dict[str, Any] | None = None, **more: Any
) -> None:
    fields: dict[str, Any] = {
        "epoch": platform.gateway.registrations[car].epoch,
        "not_after": datetime.now(UTC) + timedelta(minutes=1),
    }
    command = Command(id_, name, args=args or {}, **fields | more)
    platform.gateway.send(car, Channel.COMMAND, command)


async def answers(garage: Garage, count: int) -> list[tuple[str, str, Any]]:
    """The first answers: id, state, and result or error."""
    return await answers_of(garage.platform, count)


async def answers_of(platform: SmallPlatform, count: int) -> list[tuple[str, str, Any]]:
    gateway = platform.gateway
    await gateway.until(lambda: len(gateway.responses) >= count)
    return [(said["id"], said["state"], said.get("result", said.get("error"))) for said in gateway.responses]


async def until_state(garage: Garage, *wanted: str) -> None:
    gateway = garage.platform.gateway
    await gateway.until(lambda: gateway.state(garage.car) == wanted)


async def until_asleep(garage: Garage, unit: VehicleUnit) -> None:
    """Return when the unit has left, and the register says asleep."""
    await until_state(garage, "asleep", "sleep")
    while not unit.asleep:
        await asyncio.sleep(0.005)


async def test_a_vehicle_that_is_told_to_sleep_does_so_for_its_time_and_comes_back(garage: Garage) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    make(unit, 2)
    send(garage, "c-1", "sleep", {"seconds": 1})
    (_, first, _), (_, second, result) = await answers(garage, 2)
    assert (first, second) == ("accepted", "succeeded")
    assert datetime.fromisoformat(result["wake_at"]) > datetime.now(UTC) - timedelta(seconds=1)
    await until_asleep(garage, unit)
    assert unit.connection_problem is None
    assert gateway.stored(garage.car) == 2, "what was made was acknowledged before"
    make(unit, 3)
    await until_state(garage, "online", "woke")
    await unit.drained()
    assert gateway.stored(garage.car) == 5
    kinds = [claim.kind for _, claim in gateway.claims]
    assert kinds == [ClaimKind.ATTACH, ClaimKind.SLEEP, ClaimKind.ATTACH], "no will in between"
    assert 0 < (gateway.claims[1][1].sleep_s or 0) <= 1
    assert unit.spool.epochs.value == 2
    assert {said["epoch"] for said in gateway.responses} == {1}


async def test_a_parked_vehicle_that_is_driven_away_wakes_before_its_time(garage: Garage) -> None:
    unit = await garage.online()
    unit.rest(3600)
    await until_asleep(garage, unit)
    unit.wake()
    await until_state(garage, "online", "woke")
    await unit.wait_registered()


async def test_a_sleep_that_is_about_to_begin_is_not_begun_anew(garage: Garage) -> None:
    unit = await garage.online()
    unit.rest(3600)
    unit.rest(1800)
    await until_asleep(garage, unit)
    slept = [claim for _, claim in garage.platform.gateway.claims if claim.kind is ClaimKind.SLEEP]
    assert [claim.n for claim in slept] == [2]
    assert (slept[0].sleep_s or 0) > 3500


async def test_a_vehicle_that_is_killed_in_its_sleep_wakes_as_a_new_boot(garage: Garage) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    unit.rest(3600)
    await until_asleep(garage, unit)
    await garage.cut_off(unit)
    assert gateway.state(garage.car) == ("asleep", "sleep"), "no link was lost"
    again = await garage.online()
    assert gateway.state(garage.car) == ("online", "woke")
    assert (again.spool.epochs.value, gateway.registrations[garage.car].epoch) == (2, 2)


async def test_a_sleeping_vehicle_that_is_stopped_says_goodbye(garage: Garage) -> None:
    unit = await garage.online()
    unit.rest(3600)
    await until_asleep(garage, unit)
    await garage.stop(unit)
    assert garage.platform.gateway.state(garage.car) == ("offline", "shutdown")


async def test_a_sleep_is_called_off_by_a_wake_that_comes_in_time(garage: Garage) -> None:
    unit = await garage.online()
    send(garage, "c-1", "sleep", {"seconds": 3600})
    send(garage, "c-2", "wake")  # is there before `state` can show the sleep
    said = await answers(garage, 3)
    assert said[0][:2] == ("c-1", "accepted")
    assert ("c-2", "succeeded", {"called_off": True}) in said
    assert ("c-1", "failed", "a command wants the vehicle awake") in said
    await until_state(garage, "online", "woke")
    unit.rest(3600)  # the vehicle parks, but somebody wants it awake
    send(garage, "c-3", "ping")
    await answers(garage, 4)
    assert garage.platform.gateway.state(garage.car) == ("online", "woke")
    assert not unit.asleep


async def test_a_command_is_done_once_though_it_comes_three_times_and_again_after_a_power_loss(
    garage: Garage,
) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    for _ in range(3):
        send(garage, "c-1", "ping")
    send(garage, "c-2", "set_interval", {"seconds": 20})
    first = (await answers(garage, 4))[0]
    assert first[1] == "succeeded"
    assert first[2]["boot"] == unit.spool.current.boot
    await garage.cut_off(unit)
    await gateway.until(lambda: gateway.state(garage.car)[1] == "lost")
    again = await garage.online()
    send(garage, "c-1", "ping")
    said = await answers(garage, 5)
    assert [answer for answer in said if answer[0] == "c-1"] == [first] * 4, "of the first time"
    send(garage, "c-3", "ping")
    assert (await answers(garage, 6))[-1][2]["boot"] == again.spool.current.boot
    assert sum(claim.update_interval == 20 for _, claim in gateway.claims) == 2, "the change, the attach"


async def test_a_killed_simulator_does_not_do_a_command_again(platform: SmallPlatform) -> None:
    gateway, car = platform.gateway, "taxi-0001"
    first = await start_simulator(platform)
    await gateway.until(lambda: gateway.state(car) == ("online", "attach"))
    for _ in range(3):
        send_to(car, platform, "c-1", "ping")
    send_to(car, platform, "c-2", "lock")
    said = await answers_of(platform, 4)
    first.kill()
    await first.wait()
    await gateway.until(lambda: gateway.state(car)[1] == "lost")
    second = await start_simulator(platform)
    await gateway.until(lambda: gateway.state(car)[0] == "online")
    send_to(car, platform, "c-1", "ping")
    assert [answer for answer in await answers_of(platform, 5) if answer[0] == "c-1"] == [said[0]] * 4
    before = said[0][2]["boot"]
    await gateway.until(lambda: any(boot != before for _, boot in gateway.readings))
    (fresh,) = {boot for _, boot in gateway.readings} - {before}
    assert gateway.readings[car, fresh][1].s["locked"] is True, "as it was left"
    second.kill()
    await second.wait()


async def start_simulator(platform: SmallPlatform) -> asyncio.subprocess.Process:
    """`fleetcell sim run` with one vehicle, as a process."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fleetcell", "sim", "run", "--vehicles", "1",
        env=environment_of({"data_dir": platform.layout.root}),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def test_an_interval_is_changed_at_once_and_kept(garage: Garage) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    send(garage, "c-1", "set_interval", {"seconds": 1})
    await gateway.until(lambda: any(claim.update_interval is None for _, claim in gateway.claims))
    attach, *told, following = [claim for _, claim in gateway.claims]
    assert (attach.kind, following.kind) == (ClaimKind.ATTACH, ClaimKind.UPDATE)
    assert told, "the interval was not told"
    for claim in told:  # until the answer came
        assert (claim.kind, claim.update_interval, claim.keep_alive) == (ClaimKind.UPDATE, 1, 20)
    await garage.stop(unit)
    seen = len(gateway.claims)
    await garage.online()
    assert gateway.claims[seen][1].update_interval == 1


async def test_locked_doors_are_in_the_next_reading_and_stay_locked(garage: Garage) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    make(unit, 1)
    send(garage, "c-1", "lock", require={"speed": {"max": 100}, "state": "online"})
    assert await answers(garage, 1) == [("c-1", "succeeded", {"locked": True})]
    make(unit, 1)
    await unit.drained()
    await garage.stop(unit)
    again = await garage.online()
    make(again, 1)
    await again.drained()
    doors = [
        sample.s.get("locked") for found in gateway.readings.values() for _, sample in sorted(found.items())
    ]
    assert doors == [None, True, True]


async def test_a_precondition_is_checked_against_the_latest_reading(garage: Garage) -> None:
    unit = await garage.online()
    send(garage, "c-1", "lock", require={"speed": 0})
    await answers(garage, 1)
    make(unit, 1)
    send(garage, "c-2", "lock", require={"speed": 0})
    send(garage, "c-3", "locate", require={"speed": {"min": 30, "max": 32}})
    first, second, third = await answers(garage, 3)
    assert first[1:] == ("failed", "speed is not known")
    assert second[1:] == ("failed", "speed is 31.5, not 0")
    assert third[1] == "succeeded"
    assert (third[2]["lat"], third[2]["lon"], third[2]["speed"]) == (60.17, 24.94, 31.5)
    assert datetime.fromisoformat(third[2]["at"]).year == 2026


async def test_a_reboot_is_a_new_boot_and_told_after_it(garage: Garage) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    make(unit, 3)
    await unit.drained()
    before = unit.spool.current.boot
    send(garage, "c-1", "reboot")
    accepted, done = await answers(garage, 2)
    after = unit.spool.current.boot
    assert accepted[:2] == ("c-1", "accepted")
    assert done == ("c-1", "succeeded", {"boot": after, "previous": before})
    assert after != before
    kinds = [(claim.kind, claim.epoch) for _, claim in gateway.claims]
    assert kinds == [(ClaimKind.ATTACH, 1), (ClaimKind.DETACH, 1), (ClaimKind.ATTACH, 2)]
    attach = gateway.claims[-1][1]
    assert (attach.boot, attach.next_seq) == (after, 1)
    assert attach.previous is not None
    assert (attach.previous.boot, attach.previous.last_seq) == (before, 3)
    await unit.wait_registered()
    make(unit, 2)
    await unit.drained()
    assert sorted(gateway.readings[garage.car, after]) == [1, 2]
    send(garage, "c-1", "reboot")
    assert (await answers(garage, 3))[-1] == done
    assert unit.spool.current.boot == after


async def test_a_reboot_that_the_disk_does_not_take_has_failed_and_the_old_boot_goes_on(
    garage: Garage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    before = unit.spool.current.boot
    monkeypatch.setattr(Spool, "_begin_boot", _no_space)
    send(garage, "c-1", "reboot")
    assert (await answers(garage, 2))[-1][1] == "failed"
    await unit.wait_registered()
    make(unit, 2)
    await unit.drained()
    assert sorted(gateway.readings[garage.car, before]) == [1, 2]


def _no_space(spool: Spool, ordinal: int) -> None:
    raise OSError(28, "No space left on device")


async def test_readings_that_wait_over_a_reboot_are_sent_under_their_own_boot(garage: Garage) -> None:
    gateway = garage.platform.gateway
    unit = await garage.online()
    before = unit.spool.current.boot
    gateway.say_storing(storing=False)
    send(garage, "c-0", "ping")
    await answers(garage, 1)
    make(unit, 3)
    send(garage, "c-1", "reboot")
    await answers(garage, 3)
    make(unit, 2)
    gateway.say_storing(storing=True)
    await unit.drained()
    assert sorted(gateway.readings[garage.car, before]) == [1, 2, 3]
    assert sorted(gateway.readings[garage.car, unit.spool.current.boot]) == [1, 2]


async def test_a_command_for_another_session_or_too_late_is_not_done(garage: Garage) -> None:
    await garage.online()
    send(garage, "c-1", "lock", epoch=7)
    send(garage, "c-2", "lock", not_after=datetime.now(UTC) - timedelta(seconds=1))
    send(garage, "c-3", "honk")
    said = await answers(garage, 3)
    assert [answer[:2] for answer in said] == [("c-1", "failed"), ("c-2", "expired"), ("c-3", "failed")]
    assert said[0][2] == "for session epoch 7, this one is 1"
    assert "honk" in said[2][2]
    assert [found.get("code") for found in garage.platform.gateway.responses] == [
        "epoch",
        "late",
        "unsupported",
    ]
