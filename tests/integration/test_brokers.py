"""One vehicle's life on each broker, with the configuration of deploy/brokers: real ingest, real PostgreSQL.

Attach, telemetry stored and acknowledged, link lost, offline, back, commands, take-over; and what others
may not.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from broker.auth_service import serve
from broker.credentials import CredentialStore
from broker.other_brokers import Judge
from fleetcell.contract.messages import (
    Claim,
    ClaimKind,
    Command,
    PresenceState,
    Response,
    ResponseState,
    encode,
)
from fleetcell.contract.topics import Channel, vehicle_topic
from fleetcell.mqtt import Backoff, MqttBridge
from tests.broker_servers import Server, start_deployed_mosquitto
from tests.ingest.commands import queue, reaches, steps
from tests.ingest.platform import Platform, Unit, secret
from tests.ingest.units import REGION, new_boot, sample, telemetry
from tests.postgres_servers import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from uuid import UUID

    from fleetcell.mqtt import Message
    from ingest.database import Connection

pytestmark = pytest.mark.integration

ACCOUNTS = ("car", "other", f"ingest-{REGION}", f"registrar-{REGION}")
LINGER = timedelta(seconds=0.3)
STEADY: dict[str, Any] = {
    "linger_s": LINGER.total_seconds(),
    "hysteresis_s": 0,  # the vehicle comes and goes often here: that is no flapping link
}
LACKS = {  # what ingest must say at start
    "embedded": set[str](),
    "mosquitto": {"address"},
    "ejabberd": {"address", "share"},
    "rabbitmq": {"address", "share"},
}
SAID = {
    "address": "the broker does not tell where clients connect from: no seen address",
    "share": "telemetry is not shared: the registrar's worker takes all of it, others stand by",
}


@asynccontextmanager
async def platform_on(
    name: str, dsn: str, folder: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Platform]:
    """Ingest on that broker."""
    server: Server | None = None
    answers: asyncio.Server | None = None
    match name:
        case "embedded":
            platform = Platform(dsn, folder, **STEADY)
        case "mosquitto":
            server = start_deployed_mosquitto(folder / name, {name: secret(name) for name in ACCOUNTS})
            platform = Platform(
                dsn, folder, server.ws_url, broker_url=f"ws://127.0.0.1:{server.auth_port}/mqtt", **STEADY
            )
        case _:
            other: Server = request.getfixturevalue(f"{name}_server")
            home = Path(other.directory) / "platform"
            home.mkdir(exist_ok=True)
            platform = Platform(dsn, home, other.ws_url, **STEADY)
            if other.auth_port:
                judge = Judge(CredentialStore(platform.credentials_file, home / "credentials.key"))
                answers = await serve(judge, "127.0.0.1", other.auth_port)
    try:
        await platform.start()
        yield platform
    finally:
        await platform.stop()
        if answers is not None:
            answers.close()
        if server is not None:
            server.stop()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", LACKS)
async def test_the_life_of_a_vehicle(
    name: str, plain_dsn: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with platform_on(name, plain_dsn, tmp_path, request) as platform:
            async with connected(platform.dsn) as connection:
                await a_life(platform, connection)
                await nothing_of_others(platform, connection)
            service = platform.service
            assert service is not None
            assert service._shared is ("share" not in LACKS[name])
            wanted = {SAID[lack] for lack in LACKS[name]}
            await platform.until(lambda: wanted <= {line["event"] for line in logs})
    said = {line["event"] for line in logs}
    assert {lack for lack, words in SAID.items() if words in said} == LACKS[name]


async def a_life(platform: Platform, connection: Connection) -> None:
    unit = await platform.unit("car")
    await unit.gateway(lambda status: status.storing)
    state = await unit.attach()
    assert (state.state, state.reason) == (PresenceState.ONLINE, "attach")
    boot = new_boot()
    await unit.send(Channel.TELEMETRY, telemetry(boot, [sample(1), sample(2), sample(3)]))
    assert (await unit.ack(lambda ack: ack.boot == boot)).seq == 3
    assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 3
    await unit.vanish()
    so_far = ["online (attach)", "suspect (lost)", "offline (lost)"]
    await platform.history("car", so_far)
    unit.forget()
    await unit.connect()
    await unit.state(lambda state: state.state is PresenceState.OFFLINE)  # retained, by name
    await commands(connection, unit)
    unit.not_again()
    newer = Unit("car", lambda: platform.url)
    newer.epoch = unit.epoch
    await newer.connect()  # the old connection is still there: a take-over
    assert (await newer.attach()).epoch == newer.epoch
    await unit.vanish()  # it was closed; whatever becomes of its will, that carries an older epoch
    claim = await newer.claim(ClaimKind.UPDATE, update_interval=60)
    await newer.state(lambda state: (state.epoch, state.n) == (claim.epoch, claim.n))
    await taken_over(connection)
    await newer.disconnect()


async def taken_over(connection: Connection) -> None:
    """The register knows what came of the old session, and nothing of it after the new one's claim."""
    query = "SELECT state, reason, at FROM api.presence_events WHERE vehicle = 'car' ORDER BY cursor OFFSET 3"
    rows = await connection.fetch(query)
    began, *since = [f"{row['state']} ({row['reason']})" for row in rows]
    assert began == "online (attach)"
    if since == ["online (replaced)"]:  # the new one's claim came first
        return
    # The old one's will came first: a lost link, but no outage, unless the machine was so busy that by the
    # register's own clock the linger was over before the claim came.
    if since == ["suspect (lost)", "online (attach)"]:
        return
    assert since == ["suspect (lost)", "offline (lost)", "online (attach)"]
    _, lost, gone, back = (row["at"] for row in rows)
    assert gone - lost == LINGER <= back - lost


async def commands(connection: Connection, unit: Unit) -> None:
    """One that waited for the vehicle and one that goes out at once, each answered."""
    for at_once in (False, True):
        made = await queue(connection, "car", "unlock", require={"speed": 0})
        if not at_once:
            assert await steps(connection, made) == ["queued"]
            await unit.attach()
        command = await unit.command(is_command(made))
        assert (command.name, command.epoch) == ("unlock", unit.epoch)
        await unit.respond(command.id, ResponseState.ACCEPTED)
        await unit.respond(command.id, ResponseState.SUCCEEDED, result={"locked": False})
        assert (await reaches(connection, made, "succeeded"))["result"] == '{"locked": false}'


def is_command(made: UUID) -> Callable[[Command], bool]:
    return lambda command: command.id == str(made)


async def nothing_of_others(platform: Platform, connection: Connection) -> None:
    """Another vehicle can neither speak for this one nor hear what it is told; its secret is needed."""
    car, other = await platform.unit("car"), await platform.unit("other")
    car.epoch = 90
    await car.disconnect()
    await car.connect()
    state = await car.attach()
    car.forget()
    asked = await queue(connection, "car")
    await car.command(is_command(asked))
    at = state.since + timedelta(days=1)
    forged = [
        (
            vehicle_topic(REGION, "car", Channel.PRESENCE),
            encode(Claim(ClaimKind.DETACH, 99, state.since, n=9)),
        ),
        (vehicle_topic(REGION, "car", Channel.STATE), encode(state)),
        (vehicle_topic(REGION, "car", Channel.TELEMETRY), telemetry(new_boot(), [sample(1)])),
        (vehicle_topic(REGION, "car", Channel.COMMAND), encode(Command("forged", "unlock", car.epoch, at))),
        (
            vehicle_topic(REGION, "car", Channel.RESPONSE),
            encode(Response(str(asked), ResponseState.SUCCEEDED, epoch=car.epoch)),
        ),
    ]
    for topic, payload in forged:
        await says(platform, "other", topic, payload)
    heard: list[Message] = []
    spy = MqttBridge(
        platform.url,
        client_id="other",
        username="other",
        password=secret("other"),
        optional=[(f"fleet/v1/{REGION}/car/+", 1), (f"fleet/v1/{REGION}/car/ack", 1)],
        receive=heard.append,
        backoff=Backoff(first=0.05, cap=0.2),
    )
    await other.disconnect()
    spying = asyncio.create_task(spy.run())
    await asyncio.wait_for(spy.wait_connected(), 60)
    boot = new_boot()
    await car.send(Channel.TELEMETRY, telemetry(boot, [sample(1)]))
    await car.ack(lambda ack: ack.boot == boot)
    claim = await car.claim(ClaimKind.UPDATE, update_interval=60)
    after = await car.state(lambda state: (state.epoch, state.n) == (claim.epoch, claim.n))
    assert after.state is PresenceState.ONLINE
    told = await queue(connection, "car")
    await car.command(is_command(told))
    await car.respond(str(told), ResponseState.SUCCEEDED)
    await reaches(connection, told, "succeeded")
    assert heard == []
    assert {command.id for command in car.commands()} == {str(asked), str(told)}
    assert (await reaches(connection, asked, "sent"))["outcome"] is None
    assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 4
    await spy.disconnect()
    await asyncio.gather(spying)
    intruder = MqttBridge(platform.url, client_id="car", username="car", password="guessed")
    trying = asyncio.create_task(intruder.run())
    async with asyncio.timeout(60):
        while intruder.last_error is None:
            await asyncio.sleep(0.01)
    assert not intruder.connected
    intruder.close()
    await trying
    await car.claim(ClaimKind.UPDATE)  # and was not disturbed


async def says(platform: Platform, name: str, topic: str, payload: bytes) -> None:
    """Publish; that it was dropped, or that the connection was ended for it, are both a no."""
    bridge = MqttBridge(
        platform.url,
        client_id=name,
        username=name,
        password=secret(name),
        backoff=Backoff(first=0.05, cap=0.2),
    )
    running = asyncio.create_task(bridge.run())
    await asyncio.wait_for(bridge.wait_connected(), 60)
    bridge.publish_nowait(topic, payload, qos=0)
    await asyncio.sleep(0.1)  # it is on its way; what comes of it is asserted later
    await bridge.disconnect()
    await running
