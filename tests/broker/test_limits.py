"""What one client may cost: rates, back-pressure, windows, and the way back. No sockets, no clock."""

from __future__ import annotations

from collections import Counter

import pytest

from broker.accept import Gate, address_key
from broker.counters import Counters
from broker.limits import Limits
from broker.session import Link
from tests.broker import raw_client as raw
from tests.broker.bench import Bench


def work_off(bench: Bench, link: Link) -> float:
    """Give a link its turns when they are due, until it has no backlog; the seconds it took."""
    start = bench.now
    for _ in range(10_000):
        if link.backlog is None:
            return bench.now - start
        bench.now += link.wait_s
        bench.core.go_on(link, bench.now)
    pytest.fail("the backlog does not end")


# -- messages a second ------------------------------------------------------------------------------------


def test_a_client_that_sends_too_much_waits_and_loses_nothing() -> None:
    bench = Bench(Limits(messages_per_s=100))
    gateway, unit = bench.login("gateway-1"), bench.login("unit-1")
    bench.send(gateway, raw.subscribe_packet([("x", 0)]))
    Bench.taken(gateway)
    sent = [b"%d" % number for number in range(1_500)]
    bench.send(unit, b"".join(raw.publish_packet("x", payload) for payload in sent))
    assert unit.backlog is not None  # which is what stops the reading
    took = work_off(bench, unit)
    assert [message.payload for message in Bench.messages(gateway)] == sent
    assert took == pytest.approx(13, abs=0.2)  # 1,500, of which two seconds' worth go at once
    assert bench.counters.throttled > 0
    assert unit.end is None


def test_a_client_within_its_rate_never_waits() -> None:
    bench = Bench(Limits(messages_per_s=100))
    unit = bench.login("unit-1")
    for _ in range(50):
        bench.send(unit, raw.publish_packet("x", b"") * 100)
        assert unit.backlog is None
        bench.now += 1.0
    assert bench.counters.throttled == 0


def test_packets_of_every_kind_count() -> None:
    bench = Bench(Limits(messages_per_s=100))
    unit = bench.login("unit-1")
    bench.send(unit, raw.subscribe_packet([("x", 0)]) * 201)
    assert unit.backlog is not None


@pytest.mark.parametrize(("name", "rate"), [("gateway-1", 10), ("unit-1", 0)], ids=["gateway", "no limit"])
def test_who_has_no_rate(name: str, rate: float) -> None:
    bench = Bench(Limits(messages_per_s=rate))
    link = bench.login(name)
    for _ in range(20):
        bench.send(link, raw.publish_packet("x", b"") * 499)
    assert link.backlog is None


def test_a_client_that_waits_long_is_not_taken_for_silent() -> None:
    bench = Bench(Limits(messages_per_s=1))
    unit = bench.login("unit-1", keep_alive=10)
    bench.send(unit, raw.publish_packet("x", b"") * 62)
    assert unit.wait_s == pytest.approx(61, abs=0.01)  # CONNECT counts too
    bench.sweep(60)
    assert unit.end is None
    bench.now += 1.1
    bench.core.go_on(unit, bench.now)
    bench.sweep(14)
    assert unit.end is None
    bench.sweep(2)
    assert unit.end == "keep-alive"


# -- units wait for a gateway that is behind ----------------------------------------------------------------


class Behind(Bench):
    """A gateway whose socket takes nothing, and units that publish to it; its queue takes 100 messages."""

    def __init__(self, hold_s: float = 10) -> None:
        super().__init__(
            Limits(queue_messages=100, high_water=0.5, hold_s=hold_s, window=10, messages_per_s=0)
        )
        self.gateway = self.login("gateway-1")
        self.send(self.gateway, raw.subscribe_packet([("x", 1)]))
        self.gateway.paused = True
        self.unit = self.login("unit-1", keep_alive=4)

    def publish(self, count: int, link: Link | None = None) -> None:
        self.send(link or self.unit, raw.publish_packet("x", b"", 1) * count)

    @property
    def queued(self) -> int:
        return self.core.sessions["gateway-1"].waiting

    def catch_up(self) -> None:
        """The gateway takes and acknowledges all."""
        session = self.core.sessions["gateway-1"]
        self.core.resumed(self.gateway)
        while session.waiting:
            for message in Bench.messages(self.gateway):
                self.send(self.gateway, raw.acknowledgement_packet(raw.PUBACK, message.packet_id))


def test_units_wait_for_a_gateway_that_is_behind_and_it_keeps_its_session() -> None:
    bench = Behind()
    bench.publish(500)
    other = bench.login("unit-2")
    bench.publish(500, other)
    assert bench.queued == 51  # the second unit is stopped by its first message
    assert (bench.unit.held_for, other.held_for) == (bench.core.sessions["gateway-1"],) * 2
    assert (bench.counters.pressed, bench.counters.held) == (1, 2)
    for _ in range(20):
        bench.now += 0.1
        bench.core.go_on(bench.unit, bench.now)
        bench.core.go_on(other, bench.now)
    assert bench.queued == 51
    done = 0
    while bench.unit.backlog is not None or other.backlog is not None:
        bench.catch_up()
        bench.gateway.paused = True
        for link in (bench.unit, other):
            bench.core.go_on(link, bench.now)
        done += 1
        assert done < 100
    bench.catch_up()
    assert bench.gateway.end is None
    assert bench.counters.received == 1_000
    assert bench.counters.sent == 1_000


def test_units_go_on_at_half_of_the_high_water_mark_and_not_before() -> None:
    bench = Behind()
    bench.publish(60)
    bench.core.resumed(bench.gateway)  # ten go into the window, 40 wait behind it
    sent = Bench.messages(bench.gateway)
    for acknowledged in range(1, 16):
        assert bench.unit.backlog is not None, acknowledged
        bench.send(bench.gateway, raw.acknowledgement_packet(raw.PUBACK, sent.pop(0).packet_id))
        sent += Bench.messages(bench.gateway)
        bench.core.go_on(bench.unit, bench.now)
    assert bench.unit.backlog is None  # 25 waited
    assert bench.core.sessions["gateway-1"].waiting == 60 - 15


def test_units_do_not_wait_for_ever_for_a_gateway_that_is_stuck() -> None:
    bench = Behind(hold_s=10)
    bench.publish(60)
    bench.now += 9.9
    bench.core.go_on(bench.unit, bench.now)
    bench.core.sweep(bench.now)
    assert bench.unit.backlog is not None
    assert bench.unit.end is None  # nor is a unit taken for silent that was not read
    bench.now += 0.2
    bench.core.go_on(bench.unit, bench.now)
    assert bench.unit.backlog is None
    bench.publish(41)
    assert bench.gateway.end == "too slow"
    assert bench.unit.end is None


def test_units_go_on_when_the_gateway_is_gone() -> None:
    bench = Behind()
    bench.publish(60)
    bench.core.lost(bench.gateway)
    bench.core.go_on(bench.unit, bench.now)
    assert bench.unit.backlog is None


def test_only_units_wait_and_only_for_gateways() -> None:
    bench = Behind()
    service = bench.login("gateway-2")
    bench.publish(60, service)
    assert service.held_for is None
    dashboard = bench.login("dashboard-1")
    bench.send(dashboard, raw.subscribe_packet([("y", 1)]))
    dashboard.paused = True
    bench.send(bench.unit, raw.publish_packet("y", b"", 1) * 60)
    assert bench.unit.held_for is None


def test_a_will_to_a_gateway_that_is_behind_stops_nobody_else() -> None:
    bench = Behind()
    other = bench.login("unit-2", will=raw.Will("x"))
    bench.publish(50)
    bench.core.lost(other)
    assert bench.queued == 51
    third = bench.login("unit-3")
    bench.send(third, raw.publish_packet("z", b"", 1))
    assert third.held_for is None


# -- windows ----------------------------------------------------------------------------------------------


def test_qos_2_messages_without_their_pubrel_are_bounded() -> None:
    bench = Bench(Limits(window=5))
    unit = bench.login("unit-1")
    for packet_id in range(1, 6):
        bench.send(unit, raw.publish_packet("x", b"", 2, packet_id=packet_id))
    bench.send(unit, raw.publish_packet("x", b"", 2, packet_id=3, dup=True))  # known, so not one more
    assert unit.end is None
    bench.send(unit, raw.acknowledgement_packet(raw.PUBREL, 1))
    bench.send(unit, raw.publish_packet("x", b"", 2, packet_id=6))
    assert unit.end is None
    bench.send(unit, raw.publish_packet("x", b"", 2, packet_id=7))
    assert unit.end == "protocol error"


def test_unacknowledged_bytes_are_bounded_with_the_queued_ones() -> None:
    bench = Bench(Limits(queue_bytes=1_000))
    link = bench.login("unit-1")
    bench.send(link, raw.subscribe_packet([("x", 1)]))
    for _ in range(4):
        bench.core.publish("x", bytes(300), 1)
    assert link.end is None
    bench.core.publish("x", bytes(300), 1)  # all were sent, none acknowledged
    assert link.end == "too slow"


def test_acknowledged_bytes_are_free_again() -> None:
    bench = Bench(Limits(queue_bytes=1_000))
    link = bench.login("unit-1")
    bench.send(link, raw.subscribe_packet([("x", 2)]))
    for qos in (1, 2) * 20:
        bench.core.publish("x", bytes(600), qos)
        (message,) = Bench.messages(link)
        for kind in (raw.PUBACK,) if qos == 1 else (raw.PUBREC, raw.PUBCOMP):
            bench.send(link, raw.acknowledgement_packet(kind, message.packet_id))
    assert link.end is None
    assert bench.core.sessions["unit-1"].bytes == 0


# -- places -------------------------------------------------------------------------------------------------


def test_places_are_counted_by_listener_and_address_and_given_back_once() -> None:
    counters, addresses = Counters(), Counter[str]()
    limits = Limits(connections_per_address=2)
    first, second = Gate(limits, counters, addresses, 3), Gate(limits, counters, addresses, 0)
    places = [first.enter("10.0.0.1", 0), second.enter("10.0.0.1", 0)]
    assert all(places)
    assert first.enter("10.0.0.1", 0) is None  # both listeners count
    assert first.enter("10.0.0.2", 0)
    assert first.enter("10.0.0.3", 0)
    assert first.enter("10.0.0.4", 0) is None
    assert counters.sockets_refused == {"address full": 1, "listener full": 1}
    for place in places:
        assert place is not None
        place.leave()
        place.leave()
    assert (first.open, second.open) == (2, 0)
    assert addresses == {"10.0.0.2": 1, "10.0.0.3": 1}
    assert first.enter("10.0.0.1", 0)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_one_address(address: str, key: str) -> None:
    assert address_key(address) == key


def test_a_ping_of_one_who_waits_is_answered_when_it_goes_on() -> None:
    bench = Behind()
    bench.publish(60)
    bench.send(bench.unit, raw.PINGREQ_PACKET)
    Bench.taken(bench.unit)
    bench.catch_up()
    bench.core.go_on(bench.unit, bench.now)
    assert Bench.taken(bench.unit).endswith(b"\xd0\x00")
