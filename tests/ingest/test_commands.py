"""Commands through a real broker, ingest and database, to units that are driven by hand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import pytest_asyncio

from fleetcell.contract.messages import ClaimKind, PresenceState, Response, ResponseState, encode
from fleetcell.contract.topics import Channel
from tests.ingest.commands import happens, queue, reaches, steps
from tests.ingest.platform import Platform
from tests.postgres_servers import PlainServer, connected, fresh_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ingest.app import Service
    from ingest.database import Connection
    from tests.mosquitto_server import Mosquitto

ACCEPTED, SUCCEEDED, FAILED = ResponseState.ACCEPTED, ResponseState.SUCCEEDED, ResponseState.FAILED
SLEEP_S = 3600
HEARD = "SELECT deadline - interval '75 s' FROM fleet.registration"  # update interval and grace


@pytest_asyncio.fixture
async def platform(plain_dsn: str, tmp_path: Path) -> AsyncIterator[Platform]:
    """Ingest on the embedded broker; an unanswered command comes again soon."""
    platform = Platform(plain_dsn, tmp_path, command_retry_s=0.2)
    await platform.start()
    yield platform
    await platform.stop()


@pytest_asyncio.fixture(params=["embedded", "mosquitto"])
async def either(request: pytest.FixtureRequest, plain_dsn: str, tmp_path: Path) -> AsyncIterator[Platform]:
    """The same on each of two brokers."""
    other: Mosquitto | None = request.getfixturevalue("mosquitto") if request.param == "mosquitto" else None
    url = other.mqtt_url if other else None
    changes = {"broker_url": url} if url else {}
    platform = Platform(plain_dsn, tmp_path, url, command_retry_s=0.2, **changes)
    await platform.start()
    yield platform
    await platform.stop()


async def test_at_once_to_a_vehicle_that_is_online(platform: Platform, connection: Connection) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    made = await queue(connection, "car", "set_interval", args={"seconds": 30}, require={"speed": {"max": 0}})
    command = await unit.command()
    assert (command.id, command.name, command.epoch) == (str(made), "set_interval", unit.epoch)
    assert (command.args, command.require) == ({"seconds": 30}, {"speed": {"max": 0}})
    await unit.respond(command.id, ACCEPTED)
    await reaches(connection, made, "delivered")
    await unit.respond(command.id, SUCCEEDED, result={"seconds": 30.0})
    row = await reaches(connection, made, "succeeded")
    assert (row["outcome"], row["result"], row["error"]) == ("succeeded", '{"seconds": 30.0}', None)
    happened = [event for event in await steps(connection, made) if event != "sent"]
    assert happened == ["queued", "accepted", "succeeded"]


async def test_a_sleeping_vehicle_gets_it_when_it_wakes(either: Platform, connection: Connection) -> None:
    unit = await either.unit("car")
    await unit.attach()
    claim = await unit.claim(ClaimKind.SLEEP, sleep_s=SLEEP_S)
    await unit.state(lambda state: state.n == claim.n and state.state is PresenceState.ASLEEP)
    await unit.disconnect()
    late = await queue(connection, "car", "locate", ttl_s=0.05)
    made = await queue(connection, "car", "unlock")
    later = [await queue(connection, "car", name) for name in ("wake", "ping")]
    await reaches(connection, late, "expired")  # so the queue was looked at while the vehicle slept
    assert await steps(connection, made) == ["queued"]
    await unit.connect()
    await unit.attach()
    command = await unit.command()
    assert (command.id, command.epoch) == (str(made), unit.epoch)
    await unit.respond(command.id, SUCCEEDED, result={"locked": False})
    await reaches(connection, made, "succeeded")
    row = await reaches(connection, late, "expired")
    assert row["error"] == "the vehicle could not be reached in time"
    await unit.command(lambda command: command.id == str(later[-1]))
    came = dict.fromkeys(command.id for command in unit.commands())  # each once, though it may come again
    assert list(came) == [str(number) for number in (made, *later)], "the oldest first, the late one never"


async def test_a_lost_vehicle_is_paged_and_gets_it_in_its_next_session(
    plain_dsn: str, tmp_path: Path, connection: Connection
) -> None:
    platform = Platform(plain_dsn, tmp_path, command_retry_s=0.2, linger_s=60)
    await platform.start()
    try:
        unit = await platform.unit("car")
        await unit.attach()
        await unit.vanish()
        await platform.history("car", ["online (attach)", "suspect (lost)"])
        made = await queue(connection, "car")
        await reaches(connection, made, "paged")
        await happens(connection, made, "paged", 2)
        await unit.connect()
        await unit.attach()
        assert (await unit.command()).epoch == unit.epoch
        assert (await reaches(connection, made, "sent"))["pages"] >= 2
        assert _service(platform).metrics.commands_paged._value.get() >= 2
    finally:
        await platform.stop()


async def test_unanswered_it_comes_again_with_the_same_id_and_in_each_session(
    either: Platform, connection: Connection
) -> None:
    unit = await either.unit("car")
    await unit.attach()
    made = await queue(connection, "car")
    await happens(connection, made, "sent", 2)
    await unit.vanish()
    await unit.connect()
    await unit.attach()
    again = await unit.command(lambda command: command.epoch == unit.epoch)
    assert {command.id for command in unit.commands()} == {again.id}
    await unit.respond(again.id, SUCCEEDED)
    await reaches(connection, made, "succeeded")
    await unit.respond(again.id, SUCCEEDED)  # to the repetition
    await unit.respond(again.id, FAILED, error="no, I did not")
    other = await queue(connection, "car")
    await unit.respond((await unit.command(lambda command: command.id == str(other))).id, SUCCEEDED)
    await reaches(connection, other, "succeeded")
    assert (await steps(connection, made))[-1] == "succeeded"
    assert (await steps(connection, made)).count("succeeded") == 1


async def test_killed_between_marking_and_publishing_it_is_sent_again(
    either: Platform, connection: Connection
) -> None:
    unit = await either.unit("car")
    await unit.attach()
    service = _service(either)
    await either.kill_service()
    made = await queue(connection, "car")
    marked = await service.commands.mark(connection)  # committed, and then nothing more
    assert [row["id"] for row, _ in marked] == [made]
    assert (await steps(connection, made))[-1] == "sent"
    assert unit.commands() == []
    unit.forget()
    await either.start_service()
    await unit.raw(Channel.PAGE)
    await unit.claim(ClaimKind.UPDATE)
    command = await unit.command()
    assert command.id == str(made)
    await unit.respond(command.id, SUCCEEDED)
    await reaches(connection, made, "succeeded")


async def test_what_was_accepted_and_never_ended_expires_and_a_late_outcome_is_kept(
    platform: Platform, connection: Connection
) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    made = await queue(connection, "car", "reboot")
    command = await unit.command()
    await unit.respond(command.id, ACCEPTED)
    await reaches(connection, made, "delivered")
    await connection.execute("UPDATE fleet.command SET give_up_at = clock_timestamp()")
    _service(platform).commands.wake()
    row = await reaches(connection, made, "expired")
    assert (row["outcome"], row["error"]) == (
        "accepted",
        "accepted by the vehicle, which did not say in time what became of it",
    )
    await unit.respond(command.id, SUCCEEDED, result={"boot": "b"})
    await happens(connection, made, "succeeded")
    row = await reaches(connection, made, "expired")
    assert (row["outcome"], row["result"], row["error"]) == ("succeeded", '{"boot": "b"}', None)


async def test_a_refusal_of_another_session_is_no_outcome(platform: Platform, connection: Connection) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    made = await queue(connection, "car")
    command = await unit.command()
    await unit.respond(command.id, FAILED, code="epoch", error="for another", epoch=unit.epoch + 1)
    await happens(connection, made, "not_taken")
    await unit.command(lambda again: len(unit.commands()) > 1)
    await unit.respond(command.id, FAILED, code="require", error="speed is 50, above 0")
    row = await reaches(connection, made, "failed")
    assert (row["code"], row["error"]) == ("require", "speed is 50, above 0")


async def test_bad_responses_are_counted_and_change_nothing(
    platform: Platform, connection: Connection
) -> None:
    car, bus = await platform.unit("car"), await platform.unit("bus")
    await car.attach()
    await bus.attach()
    made = await queue(connection, "car")
    command = await car.command()
    await bus.respond(command.id, SUCCEEDED)
    await car.respond(str(uuid4()), SUCCEEDED)
    for bad in (
        b"no",
        encode(Response("not-a-uuid", SUCCEEDED)),
        encode(Response(command.id, SUCCEEDED, result="\0")),
        encode(Response(command.id, SUCCEEDED, result="x" * 9000)),
        encode(Response(command.id, SUCCEEDED, result="x" * 20_000)),
    ):
        await car.send(Channel.RESPONSE, bad)
    refused = _service(platform).metrics.responses_refused
    wanted = {"other vehicle": 1, "unknown": 1, "malformed": 4, "size": 1}
    await platform.until(
        lambda: {why: refused.labels(why)._value.get() for why in wanted} == wanted, timeout_s=60
    )
    assert (await reaches(connection, made, "sent"))["outcome"] is None
    await car.respond(command.id, SUCCEEDED)
    await reaches(connection, made, "succeeded")


async def test_what_the_database_refuses_costs_only_itself(
    platform: Platform, connection: Connection
) -> None:
    await connection.execute("ALTER TABLE fleet.command ADD CONSTRAINT lucky CHECK (error <> 'thirteen')")
    unit = await platform.unit("car")
    await unit.attach()
    made = [await queue(connection, "car") for _ in range(3)]
    await unit.command(lambda command: command.id == str(made[2]))
    commands = _service(platform).commands  # all three in one batch, which the broker cannot promise
    for number, error in zip(made, ("one", "thirteen", "two"), strict=True):
        commands._responses.append((unit.name, Response(str(number), FAILED, error=error)))
    commands.wake()
    await reaches(connection, made[0], "failed")
    await reaches(connection, made[2], "failed")
    await reaches(connection, made[1], "sent")
    refused = _service(platform).metrics.responses_refused
    await platform.until(lambda: refused.labels("malformed")._value.get() == 1, timeout_s=60)


async def test_a_response_is_a_sign_of_life(platform: Platform, connection: Connection) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    await queue(connection, "car")
    command = await unit.command()
    await connection.execute("UPDATE fleet.registration SET deadline = clock_timestamp()")
    await unit.state(lambda state: state.state is PresenceState.SUSPECT)
    await unit.respond(command.id, SUCCEEDED)
    await platform.becomes(connection, "SELECT state = 'online' AND n = 1 FROM fleet.registration")


async def test_it_waits_while_the_broker_is_away(platform: Platform, connection: Connection) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    await platform.stop_broker()
    await platform.until(lambda: _service(platform).healthy() is not None)
    late = await queue(connection, "car", ttl_s=0.05)
    made = await queue(connection, "car")
    await reaches(connection, late, "expired")
    assert await steps(connection, made) == ["queued"], "nothing is said to be sent that cannot be"
    await platform.start_broker()
    await unit.disconnect()
    await unit.connect()
    await asyncio.wait_for(_service(platform).registrar.wait_hearing(), 60)
    await unit.attach()
    assert (await unit.command()).id == str(made)


async def test_a_response_is_kept_while_the_database_is_away_and_is_a_sign_of_life_when_it_came(
    plain_server: PlainServer, tmp_path: Path
) -> None:
    with fresh_database(plain_server) as database:
        platform = Platform(database.owner, tmp_path, command_retry_s=3600)
        await platform.start()
        try:
            unit = await platform.unit("car")
            await unit.attach()
            async with connected(database.owner) as connection:
                made = await queue(connection, "car")
                attached = await connection.fetchval(HEARD)
            command = await unit.command()
            await asyncio.to_thread(plain_server.stop)
            try:
                await unit.gateway(lambda status: not status.storing)
                await unit.respond(command.id, SUCCEEDED)
                await platform.until(lambda: bool(_service(platform).commands._responses), timeout_s=60)
            finally:
                away_until = datetime.now(UTC)
                plain_server.start()  # not in a thread: the server ends with the thread that started it
            async with connected(database.owner) as connection:
                await reaches(connection, made, "succeeded")
                async with asyncio.timeout(60):
                    while (heard := await connection.fetchval(HEARD)) == attached:
                        await asyncio.sleep(0.01)
            assert attached < heard < away_until, "not when it could be stored"
        finally:
            await platform.stop()


async def test_of_another_region_it_is_none_of_ours_until_the_vehicle_comes(
    platform: Platform, connection: Connection
) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    await connection.execute("UPDATE fleet.registration SET region = 'espoo'")
    late = await queue(connection, "car", ttl_s=0.05)
    made = await queue(connection, "car")
    await reaches(connection, late, "expired")
    assert await steps(connection, made) == ["queued"]
    await unit.vanish()
    await unit.connect()
    await unit.claim(ClaimKind.ATTACH)
    assert (await unit.command()).id == str(made)


async def test_an_idle_fleet_is_left_alone(platform: Platform, connection: Connection) -> None:
    """Nothing under way: the next look is a minute away, and updates of vehicles cause none."""
    unit = await platform.unit("car")
    await unit.attach()
    commands = _service(platform).commands
    await platform.until(lambda: not commands._look and not commands._changed)
    due_at = commands._due_at
    claim = await unit.claim(ClaimKind.UPDATE, update_interval=60)
    await unit.state(lambda state: state.n == claim.n)
    assert not commands._wake.is_set()
    assert commands._due_at == due_at


def _service(platform: Platform) -> Service:
    assert platform.service is not None
    return platform.service
