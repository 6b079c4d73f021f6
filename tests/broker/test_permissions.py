"""Permissions that change while a session lasts: every answer that was kept is asked anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from amqtt.contexts import Action

from broker.limits import Limits
from fleetcell.contract.credentials import ServiceCredential, mac
from fleetcell.contract.topics import Role
from tests.broker import raw_client as raw
from tests.broker.bench import Bench
from tests.broker.conftest import KEY, secret

if TYPE_CHECKING:
    from broker.session import Link
    from tests.broker.conftest import Accounts, Clients, RunningBroker


def subscribed(bench: Bench, name: str, *filters: str, clean: bool = True) -> Link:
    link = bench.login(name, clean=clean)
    bench.send(link, raw.subscribe_packet([(topic_filter, 1) for topic_filter in filters]))
    Bench.taken(link)
    return link


def payloads(link: Link) -> list[bytes]:
    return [message.payload for message in Bench.messages(link)]


def test_answers_are_kept_with_the_session() -> None:
    bench = Bench()
    reader, writer = subscribed(bench, "unit-1", "x"), bench.login("unit-2")
    bench.access.asked.clear()
    for _ in range(100):
        bench.send(writer, raw.publish_packet("x", b"", 1))
    assert sorted(bench.access.asked) == [(Action.PUBLISH, "x"), (Action.RECEIVE, "x")]
    assert len(payloads(reader)) == 100


def test_a_publish_permission_that_ends() -> None:
    bench = Bench()
    reader, writer = subscribed(bench, "unit-1", "x"), bench.login("unit-2")
    bench.send(writer, raw.publish_packet("x", b"1"))
    bench.access.denied.add((Action.PUBLISH, "x"))
    bench.send(writer, raw.publish_packet("x", b"2"))  # the answer is kept until a change is told
    bench.core.recheck()
    bench.send(writer, raw.publish_packet("x", b"3"))
    bench.access.denied.clear()
    bench.core.recheck()
    bench.send(writer, raw.publish_packet("x", b"4"))
    assert payloads(reader) == [b"1", b"2", b"4"]


def test_a_receive_permission_that_ends() -> None:
    bench = Bench()
    reader = subscribed(bench, "unit-1", "#")
    bench.core.publish("x", b"1", 1)
    bench.access.denied.add((Action.RECEIVE, "x"))
    bench.core.recheck()
    bench.core.publish("x", b"2", 1)
    bench.core.publish("y", b"3", 1)
    assert payloads(reader) == [b"1", b"3"]


def test_what_is_retained_is_asked_for_each_message() -> None:
    """A filter that is allowed may match what is not."""
    bench = Bench()
    for name in ("a/open", "a/secret"):
        bench.core.publish(name, b"kept", 1, retain=True)
    bench.access.denied.add((Action.RECEIVE, "a/secret"))
    link = bench.login("a")
    bench.send(link, raw.subscribe_packet([("a/#", 1)]))
    assert [message.topic for message in Bench.messages(link)] == ["a/open"]


def test_a_dollar_topic_is_refused_whatever_the_rules_allow() -> None:
    bench = Bench()
    gateway, link = bench.login("gateway-1"), bench.login("unit-1")
    bench.send(gateway, raw.subscribe_packet([("$SYS/#", 1)]))
    Bench.taken(gateway)
    bench.send(link, raw.publish_packet("$SYS/fleetcell/session/unit-2", b"forged", 1, packet_id=1))
    assert Bench.taken(gateway) == b""
    assert link.end is None
    assert bench.counters.denied["publish"] == 1


def test_a_subscription_that_is_not_allowed_any_more() -> None:
    bench = Bench()
    reader = subscribed(bench, "unit-1", "x", "y")
    bench.access.denied.add((Action.SUBSCRIBE, "x"))
    bench.core.recheck()
    for topic in ("x", "y"):
        bench.core.publish(topic, topic.encode(), 1)
    assert payloads(reader) == [b"y"]
    assert list(bench.core.sessions["unit-1"].subscriptions) == ["y"]


@pytest.mark.parametrize("where", ["queued at QoS 1", "queued at QoS 0", "sent and not acknowledged"])
def test_what_waits_is_not_delivered_after_the_permission_ended(where: str) -> None:
    bench = Bench(Limits(window=2))
    qos = 0 if where == "queued at QoS 0" else 1
    reader = subscribed(bench, "unit-1", "x", "y", clean=False)
    reader.paused = where != "sent and not acknowledged"
    for topic in ("x", "y"):
        bench.core.publish(topic, topic.encode(), qos)
    if where == "sent and not acknowledged":  # then the link broke, and it is to be repeated
        bench.core.lost(reader)
    bench.access.denied.add((Action.RECEIVE, "x"))
    bench.core.recheck()
    if where == "sent and not acknowledged":
        reader = bench.login("unit-1", clean=False)
    else:
        bench.core.resumed(reader)
    assert payloads(reader) == [b"y"]
    assert bench.counters.withheld == 1
    session = bench.core.sessions["unit-1"]
    for packet_id in range(1, 4):
        bench.send(reader, raw.acknowledgement_packet(raw.PUBACK, packet_id))
    assert (session.waiting, session.bytes) == (0, 0)


def test_what_was_kept_is_asked_when_the_session_resumes() -> None:
    bench = Bench()
    reader = subscribed(bench, "unit-1", "x", "y", clean=False)
    bench.core.lost(reader)
    for topic in ("x", "y"):
        bench.core.publish(topic, topic.encode(), 1)
    bench.access.denied.add((Action.RECEIVE, "x"))
    again = bench.login("unit-1", clean=False)
    assert payloads(again) == [b"y"]


# -- with the credentials file -----------------------------------------------------------------------------


async def test_a_change_that_another_client_brought_in_ends_sessions_too(
    clients: Clients, accounts: Accounts
) -> None:
    """A CONNECT reads the file anew; the sessions are checked against it all the same."""
    for _ in range(5):
        unit = await clients.login("veh1")
        old = accounts.units.pop("veh1")
        accounts.write()
        await clients.login("veh2")  # at once: before the broker's next look at the file
        await unit.wait_closed()
        accounts.units["veh1"] = old
        accounts.write()


async def test_a_revoked_dashboard_gets_nothing_of_what_was_queued(
    clients: Clients, accounts: Accounts, running: RunningBroker
) -> None:
    state = "fleet/v1/helsinki/veh1/state"
    gateway = await clients.login("gateway")
    dashboard = await clients.login("dashboard", (state, 1), clean=False)
    await dashboard.disconnect()
    gateway.publish(state, b"secret", 1)
    await gateway.ping()
    assert running.do(lambda: running.broker.core.sessions["dashboard"].waiting) == 1
    accounts.services["dashboard"] = ServiceCredential(Role.DASHBOARD, mac(KEY, "rotated"))
    accounts.write()
    again = await clients.tcp()
    assert (await again.login("dashboard", secret("dashboard"), clean=False)).body[1] == 5
    fresh = await clients.tcp()
    answer = await fresh.login("dashboard", "rotated", clean=False)
    assert answer.body[1] == 0
    assert answer.body[0] == 0  # nor does the new credential find the session of the old one
    assert await fresh.all_messages() == []
