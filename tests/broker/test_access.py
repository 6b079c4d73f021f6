"""Who may connect, publish, subscribe and receive what; and what happens when that changes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from fleetcell.contract.credentials import ServiceCredential, mac
from fleetcell.contract.topics import Role
from tests.broker.conftest import KEY, secret
from tests.broker.raw_client import PUBACK, Will, publish_packet

if TYPE_CHECKING:
    from tests.broker.conftest import Accounts, Clients, RunningBroker
    from tests.broker.raw_client import Message, RawClient

PRESENCE = "fleet/v1/helsinki/veh1/presence"
EVERYTHING = "fleet/v1/helsinki/#"
SESSIONS = "$SYS/fleetcell/session/+"


@pytest.mark.parametrize(
    ("name", "password", "client_id"),
    [
        pytest.param("veh1", "secret-of-veh2", None, id="another's secret"),
        pytest.param("veh1", "", None, id="empty secret"),
        pytest.param("nobody", "x", None, id="unknown name"),
        pytest.param("", "", "veh1", id="empty name"),
        pytest.param("veh1", "secret-of-veh1", "veh2", id="another's client id"),
        pytest.param("gateway", "secret-of-gateway", "veh1", id="a service as a vehicle"),
    ],
)
async def test_who_may_not_connect(clients: Clients, name: str, password: str, client_id: str | None) -> None:
    client = await clients.tcp()
    assert (await client.login(name, password, client_id=client_id)).body == b"\x00\x05"
    await client.wait_closed()


async def test_a_client_id_in_use_by_another_account_is_refused(clients: Clients) -> None:
    first = await clients.login("gateway", client_id="shared")
    other = await clients.tcp()
    assert (await other.login("dashboard", secret("dashboard"), client_id="shared")).body[1] == 2
    await first.ping()


async def test_a_vehicle_gets_its_client_id_even_from_a_service(clients: Clients, accounts: Accounts) -> None:
    service = await clients.login("gateway", client_id="veh9")
    accounts.units["veh9"] = mac(KEY, secret("veh9"))
    accounts.write()
    await clients.login("veh9")
    await service.wait_closed()


@pytest.mark.parametrize(
    "topic",
    [
        "fleet/v1/helsinki/veh2/presence",
        "fleet/v1/helsinki/veh1/state",
        "fleet/v1/helsinki/gateway",
        "fleet/v1/directory",
        "$SYS/fleetcell/session/veh1",
        "anything/else",
    ],
)
async def test_a_publish_that_is_not_allowed_is_acknowledged_and_dropped(
    clients: Clients, running: RunningBroker, topic: str
) -> None:
    gateway = await clients.login("gateway", (EVERYTHING, 1), ("fleet/v1/directory", 1), ("$SYS/#", 1))
    unit = await clients.login("veh1")
    await gateway.all_messages()  # of the sessions
    unit.publish(topic, b"forged", 1, retain=True)
    await unit.expect(PUBACK)
    unit.publish(PRESENCE, b"genuine", 1)
    await unit.expect(PUBACK)
    assert [message.payload for message in await gateway.all_messages()] == [b"genuine"]
    assert running.do(lambda: running.broker.counters.denied["publish"]) == 1
    assert running.do(lambda: running.broker.core.router.retained.get(topic)) is None or topic.startswith("$")


async def test_what_a_unit_publishes_is_never_retained_nor_its_will(
    clients: Clients, running: RunningBroker
) -> None:
    gateway = await clients.login("gateway", (PRESENCE, 1))
    unit = await clients.login("veh1", will=Will(PRESENCE, b"lost", retain=True))
    unit.publish(PRESENCE, b"claim", 1, retain=True)
    await unit.expect(PUBACK)
    unit.abort()
    assert [(await gateway.message()).payload for _ in range(2)] == [b"claim", b"lost"]
    assert running.do(lambda: running.broker.core.router.retained.get(PRESENCE)) is None


async def test_a_dashboard_sees_state_but_no_telemetry(clients: Clients) -> None:
    dashboard = await clients.login("dashboard")
    assert await dashboard.subscribe(
        ("fleet/v1/+/+/state", 1), ("fleet/v1/+/+/telemetry", 1), ("fleet/v1/#", 1), (SESSIONS, 1)
    ) == [1, 0x80, 0x80, 0x80]


async def test_a_gateway_is_bound_to_its_region(clients: Clients) -> None:
    gateway = await clients.login("gateway")
    assert await gateway.subscribe(("fleet/v1/turku/#", 1), ("fleet/v1/+/+/presence", 1)) == [0x80, 0x80]


async def test_a_removed_credential_ends_the_session(clients: Clients, accounts: Accounts) -> None:
    gateway = await clients.login("gateway", ("fleet/v1/helsinki/+/presence", 1))
    unit = await clients.login("veh1", ws=True, will=Will(PRESENCE, b"lost"))
    other = await clients.login("veh2")
    del accounts.units["veh1"]
    accounts.write()
    async with asyncio.timeout(5):  # the promise; it takes half a second
        await unit.wait_closed()
    assert (await gateway.message()).payload == b"lost"
    again = await clients.tcp()
    assert (await again.login("veh1", secret("veh1"))).body[1] == 5
    await other.ping()


async def test_a_removed_credential_ends_a_kept_session_too(
    clients: Clients, accounts: Accounts, running: RunningBroker
) -> None:
    unit = await clients.login("veh1", ("fleet/v1/helsinki/veh1/command", 1), clean=False)
    await unit.disconnect()
    del accounts.units["veh1"]
    accounts.write()
    await running.until(lambda: "veh1" not in running.broker.core.sessions)


@pytest.mark.parametrize("change", ["secret", "role"])
async def test_a_changed_credential_ends_the_session(
    clients: Clients, accounts: Accounts, change: str
) -> None:
    client = await clients.login("dashboard")
    new = (
        ServiceCredential(Role.DASHBOARD, mac(KEY, "rotated"))
        if change == "secret"
        else ServiceCredential(Role.GATEWAY, mac(KEY, secret("dashboard")), "helsinki")
    )
    accounts.services["dashboard"] = new
    accounts.write()
    await client.wait_closed()


async def test_a_new_credential_is_good_at_once(clients: Clients, accounts: Accounts) -> None:
    client = await clients.tcp()
    assert (await client.login("veh9", secret("veh9"))).body[1] == 5
    accounts.units["veh9"] = mac(KEY, secret("veh9"))
    accounts.write()
    await clients.login("veh9")  # without waiting for the next look at the file


async def test_a_broken_credentials_file_changes_nothing(
    clients: Clients, accounts: Accounts, running: RunningBroker
) -> None:
    unit = await clients.login("veh1")
    accounts.file.write_bytes(b'{"units": {"veh2": ')
    store = running.broker.plugins_manager.get_plugin("CredentialsPlugin").store
    await running.until(lambda: store.failures == 1)
    await unit.ping()
    await clients.login("veh2")
    del accounts.units["veh1"]
    accounts.write()
    await unit.wait_closed()


async def test_the_gateway_learns_the_address_of_each_session(clients: Clients) -> None:
    registrar = await clients.login("gateway", (SESSIONS, 1))
    await registrar.all_messages()  # of its own session
    start = datetime.now(UTC)
    unit = await clients.login("veh1", ws=True)
    unit.publish(PRESENCE, b"attach", 1)
    notice = await registrar.message()
    assert (notice.topic, notice.retain) == ("$SYS/fleetcell/session/veh1", False)
    content = json.loads(notice.payload)
    assert content["address"] == "127.0.0.1"
    assert start - timedelta(milliseconds=1) <= datetime.fromisoformat(content["connected_at"])
    assert datetime.fromisoformat(content["connected_at"]) <= datetime.now(UTC)
    registrar.acknowledge(notice)

    late = await clients.login("gateway", client_id="registrar-2")
    assert await late.subscribe(("$SYS/fleetcell/session/veh1", 1)) == [1]
    (kept,) = await late.all_messages()
    assert (kept.payload, kept.retain) == (notice.payload, True)

    second = await clients.login(
        "veh1"
    )  # a take-over: the notice of the new one, never an empty one after it
    await unit.wait_closed()
    last = (await of("veh1", registrar))[-1]
    assert json.loads(last.payload)["connected_at"] >= content["connected_at"]
    await second.disconnect()
    gone = (await of("veh1", registrar))[-1]
    assert gone.payload == b""


async def of(vehicle: str, client: RawClient) -> list[Message]:
    """What came about the sessions of a vehicle."""
    found = await client.all_messages()
    for message in found:
        client.acknowledge(message)
    return [message for message in found if message.topic.endswith("/" + vehicle)]


async def test_units_see_no_sessions(clients: Clients) -> None:
    unit = await clients.login("veh1")
    assert await unit.subscribe((SESSIONS, 1), ("$SYS/fleetcell/session/veh1", 1)) == [0x80, 0x80]


async def test_thousands_of_foreign_topics_cost_one_session_little(
    clients: Clients, running: RunningBroker
) -> None:
    unit = await clients.login("veh1")
    unit.send(b"".join(publish_packet(f"forged/{n}", b"x") for n in range(3_000)))
    await unit.ping()
    assert running.do(lambda: running.broker.counters.denied["publish"]) == 3_000
    assert running.do(lambda: len(running.broker.core.sessions["veh1"].topics)) <= 1_000
