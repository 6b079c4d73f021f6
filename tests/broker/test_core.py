"""The core without sockets and clock: deadlines, kept sessions, plugins that fail."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
from amqtt.events import BrokerEvents
from hypothesis import given
from hypothesis import strategies as st

from broker.limits import Limits
from broker.session import Link
from broker.topics import MAX_BYTES, Topic
from tests.broker import raw_client as raw
from tests.broker.bench import Bench

if TYPE_CHECKING:
    pass


def test_connect_must_come_in_time() -> None:
    bench = Bench(Limits(connect_timeout_s=5))
    link = bench.open()
    bench.send(link, b"\x10")
    bench.sweep(4.9)
    assert link.end is None
    bench.sweep(0.1)
    assert str(link.end) == "connect timeout"
    assert link.abort
    assert bench.core.links == set()


def test_keep_alive_is_one_and_a_half_times_the_clients() -> None:
    bench = Bench()
    silent, other = bench.login("a", keep_alive=10), bench.login("b", keep_alive=0)
    bench.sweep(14.9)
    assert silent.end is None
    bench.send(silent, b"\xc0")  # half a PINGREQ is a sign of life too
    bench.sweep(14.9)
    assert silent.end is None
    bench.sweep(0.2)
    assert silent.end == "keep-alive"
    bench.sweep(100_000)
    assert other.end is None


def test_what_a_broker_that_stood_still_did_not_read_is_no_silence() -> None:
    bench = Bench(Limits(connect_timeout_s=5))
    opening, quiet, dead = bench.open(), bench.login("a", keep_alive=2), bench.login("b", keep_alive=2)
    bench.now += 1.9  # their PINGREQ is due soon, and the broker is stopped
    bench.now += 3.5
    bench.core.stood_still(3.5, bench.now)
    bench.sweep(0)
    assert (opening.end, quiet.end, dead.end) == (None, None, None)
    bench.send(quiet, raw.PINGREQ_PACKET)  # it waited in the socket
    bench.sweep(1.0)
    assert (quiet.end, dead.end) == (None, None)
    bench.sweep(0.2)  # 3.1 s in which it was listened to
    assert (quiet.end, dead.end) == (None, "keep-alive")
    bench.sweep(1.7)
    assert (opening.end, quiet.end) == (None, None)
    bench.sweep(0.3)
    assert (opening.end, quiet.end) == ("connect timeout", "keep-alive")


def test_nobody_is_heard_in_the_future_because_the_broker_stood_still() -> None:
    bench = Bench()
    link = bench.login("a", keep_alive=2)
    bench.core.stood_still(10, bench.now)
    bench.sweep(2.9)
    assert link.end is None
    bench.sweep(0.2)
    assert link.end == "keep-alive"


def test_a_kept_session_expires() -> None:
    bench = Bench(Limits(session_expiry_s=60))
    link = bench.login("a", clean=False)
    bench.send(link, raw.subscribe_packet([("x", 1)]))
    bench.core.lost(link)
    bench.sweep(0)
    bench.sweep(59)
    assert bench.core.router.tree.match("x")
    again = bench.login("a", clean=False)
    bench.sweep(1_000)
    bench.core.lost(again)
    bench.sweep(0)
    bench.sweep(61)
    assert bench.core.sessions == {}
    assert not bench.core.router.tree.match("x")


def test_a_kept_session_that_overflows_while_away_is_forgotten() -> None:
    bench = Bench(Limits(queue_messages=3))
    link = bench.login("a", clean=False)
    bench.send(link, raw.subscribe_packet([("x", 1)]))
    bench.core.lost(link)
    for _ in range(4):
        bench.core.publish("x", b"", 1)
    assert bench.core.sessions == {}
    again = bench.login("a", clean=False)
    assert Bench.taken(again)[:4] == b"\x20\x02\x00\x00"  # told by session present = 0


def test_queued_bytes_are_bounded_too() -> None:
    bench = Bench(Limits(queue_bytes=1_000))
    link = bench.login("a")
    bench.send(link, raw.subscribe_packet([("x", 1)]))
    link.paused = True
    for _ in range(3):
        bench.core.publish("x", bytes(300), 1)
    assert link.end is None
    bench.core.publish("x", bytes(300), 1)
    assert link.end == "too slow"


def test_wills_that_overflow_others_do_not_recurse() -> None:
    bench = Bench(Limits(queue_messages=0))
    links = [bench.login(f"c{n}", will=raw.Will("x", b"lost", 1)) for n in range(50)]
    for link in links:
        bench.send(link, raw.subscribe_packet([("x", 1)]))
        link.paused = True
    bench.core.publish("x", b"start", 1)
    assert {link.end for link in links} == {"too slow"}
    assert bench.core.sessions == {}


def test_a_client_that_sends_much_lets_the_others_have_their_turns() -> None:
    bench = Bench(Limits(messages_per_s=0))
    subscriber, link = bench.login("s"), bench.login("a")
    bench.send(subscriber, raw.subscribe_packet([("x", 0)]))
    Bench.taken(subscriber)
    sent = [raw.publish_packet("x", b"%d" % number) for number in range(2_600)]
    cut = len(b"".join(sent[:2_000])) + 3
    data = b"".join(sent)
    bench.send(link, data[:cut])
    assert link.backlog is not None
    first = Bench.taken(subscriber)
    assert first == b"".join(sent[:500])
    bench.send(link, data[cut:])  # came before its next turn
    assert Bench.taken(subscriber) == b""
    rest = b""
    turns = 0
    while link.backlog is not None:
        bench.core.go_on(link, bench.now)
        rest += Bench.taken(subscriber)
        turns += 1
    assert first + rest == data
    assert turns >= 5


def test_a_backlog_of_a_client_that_is_gone_is_not_worked_on() -> None:
    bench = Bench()
    subscriber, link = bench.login("s"), bench.login("a")
    bench.send(subscriber, raw.subscribe_packet([("x", 0)]))
    bench.send(link, raw.publish_packet("x", b"") * 600)
    Bench.taken(subscriber)
    bench.core.lost(link)
    bench.core.go_on(link, bench.now)
    assert link.backlog is None
    assert Bench.taken(subscriber) == b""


def test_subscriptions_are_bounded() -> None:
    bench = Bench(Limits(subscriptions=2))
    link = bench.login("a")
    Bench.taken(link)
    bench.send(link, raw.subscribe_packet([("a", 0), ("b", 0), ("c", 0), ("a", 1)], 1))
    assert Bench.taken(link) == b"\x90\x06\x00\x01\x00\x00\x80\x01"


def test_filters_beyond_what_a_session_may_have_are_refused_without_a_look() -> None:
    bench = Bench(Limits(subscriptions=1_000, messages_per_s=0))
    link = bench.login("a")
    Bench.taken(link)
    bench.access.asked.clear()
    filters = [(f"f{number}", 1) for number in range(20_000)]
    bench.send(link, raw.subscribe_packet(filters, 1))
    assert Bench.taken(link)[-20_000:] == bytes([1] * 1_000 + [0x80] * 19_000)
    assert len(bench.access.asked) == 1_000
    assert bench.counters.denied["subscription limit"] == 19_000


@pytest.mark.parametrize("leave", [False, True])
def test_a_filter_counts_as_a_packet(leave: bool) -> None:
    """A client with packets of many filters has no more of a turn, and no higher rate, than others."""
    bench = Bench(Limits(messages_per_s=100))
    link = bench.login("a")
    names = [f"f{number}" for number in range(100)]
    packet = (
        raw.unsubscribe_packet(names, 1) if leave else raw.subscribe_packet([(name, 0) for name in names], 1)
    )
    Bench.taken(link)
    bench.send(link, packet * 50)
    kind = raw.UNSUBACK if leave else raw.SUBACK
    assert Bench.taken(link).count(bytes([kind << 4])) == 5
    assert link.backlog is not None
    assert 2.9 < link.wait_s < 3.1  # five hundred at a hundred a second, but two hundred at once


def test_topics_of_absurd_depth_are_refused() -> None:
    bench = Bench()
    for packet in (raw.publish_packet("/" * 60_000, b""), raw.subscribe_packet([("+/" * 20_000 + "+", 0)])):
        link = bench.login("a")
        bench.send(link, packet)
        assert link.end == "protocol error"


def test_topics_of_absurd_length_are_refused() -> None:
    bench = Bench()
    longest = "x" * MAX_BYTES
    for too_long in (longest + "x", "é" * (MAX_BYTES // 2) + "x"):
        for packet in (raw.publish_packet(too_long, b""), raw.subscribe_packet([(too_long, 0)])):
            link = bench.login("a")
            bench.send(link, packet)
            assert link.end == "protocol error"
        link = bench.open()
        bench.send(link, raw.connect_packet("a", "a", "good", will=raw.Will(too_long, b"", 0)))
        assert Bench.taken(link) == b"\x20\x02\x00\x05"
    link = bench.login("a", will=raw.Will(longest, b"", 0))
    bench.send(link, raw.publish_packet(longest, b"") + raw.subscribe_packet([(longest, 0)]))
    assert link.end is None


def test_topics_that_nobody_uses_again_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """While no subscription changes; pseudonyms of vehicles make topics without end."""
    monkeypatch.setattr("broker.router._KNOWN_TOPICS", 10)
    monkeypatch.setattr("broker.core._TOPICS_OF_SESSION", 10)
    bench = Bench()
    subscriber, publisher = bench.login("s"), bench.login("a")
    bench.send(subscriber, raw.subscribe_packet([("once/#", 0)]))
    Bench.taken(subscriber)
    for number in range(500):
        bench.send(publisher, raw.publish_packet(f"once/{number}", b""))
    assert len(Bench.messages(subscriber)) == 500
    kept = [held for held in gc.get_objects() if isinstance(held, Topic) and held.name.startswith("once/")]
    assert len(kept) <= 30


def test_a_gateway_that_answers_each_vehicle_of_a_region_is_asked_about_each_topic_once() -> None:
    bench = Bench(Limits(messages_per_s=0))
    gateway, unit = bench.login("gateway-1"), bench.login("unit-1")
    for link, asked in ((gateway, 1), (unit, 3)):  # of a vehicle, that many are not kept
        bench.access.asked.clear()
        for _ in range(3):
            for vehicle in range(1_500):
                bench.send(link, raw.publish_packet(f"{vehicle}/ack", b""))
        assert len(bench.access.asked) == 1_500 * asked


def test_amqtts_events_are_told_to_plugins_that_watch() -> None:
    bench = Bench(watched=frozenset(BrokerEvents))
    link = bench.login("a")
    bench.send(link, raw.subscribe_packet([("x", 1)]))
    bench.send(link, raw.publish_packet("x", b"1", 1, retain=True))
    bench.send(link, raw.unsubscribe_packet(["x"]))
    bench.send(link, raw.DISCONNECT_PACKET)
    events = [event for event, told in bench.told if "$SYS" not in topic_of(told)]
    assert events == [
        BrokerEvents.CLIENT_CONNECTED,
        BrokerEvents.CLIENT_SUBSCRIBED,
        BrokerEvents.RETAINED_MESSAGE,
        BrokerEvents.MESSAGE_RECEIVED,
        BrokerEvents.CLIENT_UNSUBSCRIBED,
        BrokerEvents.CLIENT_DISCONNECTED,
    ]
    (received,) = [arguments for event, arguments in bench.told if event is BrokerEvents.MESSAGE_RECEIVED]
    assert (received["client_id"], received["message"].topic, received["message"].data) == ("a", "x", b"1")


def topic_of(told: dict[str, Any]) -> str:
    return str(getattr(told.get("retained_message"), "topic", ""))


names = st.sampled_from(["x", "$y", "+", ""])
qos = st.integers(0, 2)
hostile = st.one_of(
    st.binary(max_size=40),
    st.builds(raw.connect_packet, st.sampled_from("ab"), st.just("a"), st.sampled_from(["good", "bad"])),
    st.builds(raw.publish_packet, names, st.binary(max_size=9), qos),
    st.builds(lambda f, q: raw.subscribe_packet([(f, q)]), st.sampled_from(["x", "#", "a#"]), qos),
    st.builds(raw.acknowledgement_packet, st.integers(4, 7), st.integers(0, 3)),
    st.builds(raw.unsubscribe_packet, st.just(["x"])),
    st.just(raw.PINGREQ_PACKET),
)


@given(st.lists(st.tuples(st.integers(0, 2), st.lists(hostile, max_size=4).map(b"".join)), max_size=20))
def test_no_bytes_of_others_disturb_a_healthy_client(sent: list[tuple[int, bytes]]) -> None:
    bench = Bench()
    healthy = bench.login("healthy")
    links = [bench.open() for _ in range(3)]
    for index, data in sent:
        if links[index].end is not None:
            links[index] = bench.open()
        bench.send(links[index], data)
    Bench.taken(healthy)
    bench.send(healthy, raw.PINGREQ_PACKET)
    assert Bench.taken(healthy) == b"\xd0\x00"
    for link in links:
        bench.core.lost(link)
    bench.core.lost(healthy)
    assert bench.core.links == set()
    assert bench.core.sessions == {}
    assert bench.core.router.tree.empty


def payloads(link: Link) -> list[bytes]:
    """The payloads of the PUBLISH packets that a link was sent."""
    found = []
    data = Bench.taken(link)
    while data:
        size = data[1]
        if data[0] >> 4 == raw.PUBLISH:
            body = data[2 : 2 + size]
            at = 2 + int.from_bytes(body[:2], "big") + (2 if data[0] & 6 else 0)
            found.append(body[at:])
        data = data[2 + size :]
    return found


def link_name(link: Link) -> str:
    assert link.session is not None
    return link.session.client_id


def publish(bench: Bench, *sent: bytes) -> None:
    for payload in sent:
        bench.core.publish("t/1", payload, 1)


def test_those_who_share_a_subscription_take_turns() -> None:
    bench = Bench()
    workers = [bench.login(name) for name in "abc"]
    alone = bench.login("alone")
    bench.send(alone, raw.subscribe_packet([("t/+", 1)]))
    for worker in workers:
        bench.send(worker, raw.subscribe_packet([("$share/g/t/+", 1)]))
    sent = [b"%d" % n for n in range(9)]
    publish(bench, *sent)
    shares = [payloads(worker) for worker in workers]
    assert [len(share) for share in shares] == [3, 3, 3]
    assert sorted(payload for share in shares for payload in share) == sent
    assert payloads(alone) == sent


def test_turns_are_of_the_group_not_of_the_topic() -> None:
    bench = Bench()
    workers = [bench.login(name) for name in "ab"]
    for worker in workers:
        bench.send(worker, raw.subscribe_packet([("$share/g/#", 0)]))
    for n in range(10):
        bench.core.publish(f"vehicle/{n}", b"x", 0)  # each topic once
    assert [len(payloads(worker)) for worker in workers] == [5, 5]


def test_groups_are_apart() -> None:
    bench = Bench()
    links = {name: bench.login(name) for name in "abc"}
    for name, group in (("a", "g"), ("b", "g"), ("c", "other")):
        bench.send(links[name], raw.subscribe_packet([(f"$share/{group}/t/1", 1)]))
    publish(bench, b"1", b"2")
    assert sorted(payloads(links["a"]) + payloads(links["b"])) == [b"1", b"2"]
    assert payloads(links["c"]) == [b"1", b"2"]


def test_a_member_that_went_gets_nothing_and_the_others_all() -> None:
    bench = Bench()
    gone, kept, there = bench.login("gone"), bench.login("kept", clean=False), bench.login("there")
    for link in (gone, kept, there):
        bench.send(link, raw.subscribe_packet([("$share/g/t/1", 1)]))
        bench.taken(link)
    bench.core.lost(gone)  # a clean session
    bench.core.lost(kept)  # one that could be resumed, but somebody is there
    publish(bench, b"1", b"2", b"3")
    assert payloads(there) == [b"1", b"2", b"3"]
    bench.core.lost(there)
    publish(bench, b"4")
    again = bench.login("kept", clean=False)
    assert payloads(again) == [b"4"]
    bench.send(again, raw.unsubscribe_packet(["$share/g/t/1"]))
    publish(bench, b"5")
    assert payloads(again) == []
    assert bench.core.router.tree.empty


def test_of_those_who_share_the_one_that_can_take_a_message_gets_it() -> None:
    bench = Bench(Limits(window=2, queue_messages=10, high_water=0.5))
    near, busy, free = (bench.login(name) for name in ("near-its-limit", "busy", "free"))
    for link in (near, busy, free):
        bench.send(link, raw.subscribe_packet([("$share/g/t/1", 1), (link_name(link), 1)]))
        bench.taken(link)
    for link, count in ((near, 2 + 5), (busy, 2 + 1)):  # the window, and what waits behind it
        for _ in range(count):
            bench.core.publish(link_name(link), b"", 1)
        bench.taken(link)
    publish(bench, b"1", b"2")
    assert payloads(free) == [b"1", b"2"]
    free.paused = True
    publish(bench, b"3", b"4", b"5", b"6")  # to those that are not near their limit, in turn
    waiting = {link_name(link): bench.core.sessions[link_name(link)].waiting for link in (near, busy, free)}
    assert waiting == {"near-its-limit": 7, "busy": 3 + 2, "free": 2 + 2}
    for link in (busy, free):
        bench.core.lost(link)
    publish(bench, b"7")
    assert bench.core.sessions["near-its-limit"].waiting == 8  # better than nobody


def test_a_shared_subscription_brings_nothing_retained_and_may_stand_beside_a_plain_one() -> None:
    bench = Bench()
    bench.core.publish("t/1", b"old", 1, retain=True)
    link = bench.login("a")
    bench.send(link, raw.subscribe_packet([("$share/g/t/1", 1)]))
    assert payloads(link) == []
    bench.send(link, raw.subscribe_packet([("t/1", 0)]))
    assert payloads(link) == [b"old"]
    publish(bench, b"new")
    assert payloads(link) == [b"new", b"new"]  # once for each: they are two subscriptions


def test_a_topic_that_falls_silent_does_not_keep_sessions_that_are_gone() -> None:
    bench = Bench()
    subscriber, publisher = bench.login("unit-1"), bench.login("unit-2")
    bench.send(subscriber, raw.subscribe_packet([("#", 1)]))
    bench.send(publisher, raw.publish_packet("once", b"x", 0))
    topic = bench.core.router.topic("once")
    assert topic.subscribers
    bench.core.lost(subscriber)
    bench.send(publisher, raw.publish_packet("other", b"x", 0))
    assert topic.subscribers == []
    assert topic.groups == []
