"""The bound on what waits for all clients together: who has to give way when it is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.limits import Limits
from broker.session import Session
from broker.stock import _ENTRY, _OBJECT, Stock
from broker.topics import Message, Topic
from tests.broker import raw_client as raw
from tests.broker.bench import Bench

if TYPE_CHECKING:
    from broker.session import Link

PAYLOAD = bytes(1_000)
COST = _OBJECT + _ENTRY + len("\0\1a") + len(PAYLOAD)  # of a message on a topic of one letter for one client


def subscriber(bench: Bench, name: str, topic: str, *, will: str | None = None) -> Link:
    """A client whose socket takes nothing."""
    link = bench.login(name, will=raw.Will(will) if will else None)
    bench.send(link, raw.subscribe_packet([(topic, 1)]))
    Bench.taken(link)
    link.paused = True
    return link


def publish(bench: Bench, link: Link, topic: str, count: int, qos: int) -> None:
    for _ in range(count):
        bench.send(link, raw.publish_packet(topic, PAYLOAD, qos))


def test_at_the_bound_the_oldest_qos_0_messages_of_the_largest_queue_go_first() -> None:
    bench = Bench(Limits(total_bytes=20 * COST))
    publisher = bench.login("unit-1")
    large, small, qos1 = (subscriber(bench, f"dashboard-{topic}", topic) for topic in "abc")
    publish(bench, publisher, "b", 3, 0)
    publish(bench, publisher, "c", 5, 1)
    for number in range(12):
        bench.send(publisher, raw.publish_packet("a", b"%04d" % number + PAYLOAD[4:], 0))
    assert bench.core.stock.bytes == 20 * COST
    bench.send(publisher, raw.publish_packet("a", b"last" + PAYLOAD[4:], 0))
    for link in (large, small, qos1):
        bench.core.resumed(link)
    kept = [message.payload[:4] for message in Bench.messages(large)]
    assert kept == [b"%04d" % number for number in range(3, 12)] + [b"last"]  # down to nine tenths: 18
    assert (len(Bench.messages(small)), len(Bench.messages(qos1))) == (3, 5)
    assert bench.core.sessions["dashboard-a"].dropped == 3
    assert bench.counters.evicted == 0


def test_then_the_session_with_the_largest_queue_ends_with_a_reason() -> None:
    bench = Bench(Limits(total_bytes=20 * COST))
    publisher, watcher = bench.login("unit-1"), bench.login("gateway-w")
    bench.send(watcher, raw.subscribe_packet([("will", 1)]))
    Bench.taken(watcher)
    large = subscriber(bench, "dashboard-a", "a", will="will")
    small, skipped = subscriber(bench, "dashboard-b", "b"), subscriber(bench, "dashboard-c", "c")
    publish(bench, publisher, "c", 3, 0)
    publish(bench, publisher, "b", 6, 1)
    publish(bench, publisher, "a", 12, 1)  # 21: the three of QoS 0 make room
    assert bench.core.sessions["dashboard-c"].dropped == 3
    publish(bench, publisher, "a", 2, 1)  # 20: just full
    assert "dashboard-a" in bench.core.sessions
    publish(bench, publisher, "a", 1, 1)
    assert (large.end, large.abort) == ("queues full", True)
    assert "dashboard-a" not in bench.core.sessions  # so session present is 0 when it comes back
    assert (bench.counters.evicted, bench.counters.ended["queues full"]) == (1, 1)
    assert [message.payload for message in Bench.messages(watcher)] == [b"lost"]  # its will
    assert (small.end, skipped.end, publisher.end) == (None, None, None)
    bench.core.resumed(small)
    assert len(Bench.messages(small)) == 6  # nothing of the others is lost
    assert Bench.taken(publisher).count(b"\x40\x02") == 21  # each QoS 1 message was acknowledged


def test_a_kept_session_whose_client_is_away_gives_way_too() -> None:
    bench = Bench(Limits(total_bytes=10 * COST))
    away = bench.login("unit-2", clean=False)
    bench.send(away, raw.subscribe_packet([("a", 1)]))
    bench.core.lost(away)
    for _ in range(11):
        bench.core.publish("a", PAYLOAD, 1)
    assert bench.core.sessions == {}
    assert (bench.counters.evicted, bench.core.stock.bytes) == (1, 0)


def test_a_message_that_waits_for_many_counts_once_with_a_place_for_each() -> None:
    bench = Bench(Limits(total_bytes=0))
    for number in range(100):
        subscriber(bench, f"unit-{number}", "a")
    bench.core.publish("a", PAYLOAD, 1)
    assert bench.core.stock.bytes == COST + 99 * _ENTRY
    assert bench.core.stock.fill == 0.0  # without a limit it is never full


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["publish"] * 4 + ["acknowledge"] * 3 + ["stall", "go on", "lose", "back", "forget", "drop"]
            ),
            st.integers(0, 2),
            st.integers(0, 2),
        ),
        max_size=60,
    )
)
def test_what_is_counted_is_what_waits(steps: list[tuple[str, int, int]]) -> None:
    """Whatever happens to three sessions, kept ones, of which two get the same messages."""
    bench = Bench(Limits(window=2, queue_messages=6, drop_messages=4, total_bytes=0))

    def login(who: int) -> Link:
        link = bench.login(f"c{who}", clean=False)
        bench.send(link, raw.subscribe_packet([("ab"[who // 2], 2)]))
        return link

    links = {who: login(who) for who in range(3)}
    for what, who, qos in steps:
        link = links[who]
        if what == "publish":
            bench.core.publish("ab"[who // 2], bytes(who), qos)
        elif link.end is not None:
            if what == "back":
                links[who] = login(who)
        elif what == "stall":
            link.paused = True
        elif what == "go on":
            bench.core.resumed(link)
        elif what == "lose":
            bench.core.lost(link)
        elif what == "forget" and link.session is not None:
            link.session.forget(lambda _topic: False)
        elif what == "drop" and link.session is not None:
            bench.core.withdraw(link.session)
        elif what == "acknowledge":
            for message in Bench.messages(link):
                kinds = {1: (raw.PUBACK,), 2: (raw.PUBREC, raw.PUBCOMP)}.get(message.qos, ())
                for kind in kinds:
                    bench.send(link, raw.acknowledgement_packet(kind, message.packet_id))
        assert bench.core.stock.bytes == counted(bench)
    for session in list(bench.core.sessions.values()):
        bench.core.withdraw(session)
    assert bench.core.stock.bytes == 0


def counted(bench: Bench) -> int:
    kept: list[Message] = [
        waiting.message
        for session in bench.core.sessions.values()
        for waiting in (*session._waiting, *session._skippable, *session._inflight.values())
        if waiting is not None
    ]
    return len(kept) * _ENTRY + sum(message.size + _OBJECT for message in set(kept))


def test_without_a_queue_there_is_nothing_to_end() -> None:
    stock = Stock(1)
    stock.add(Message(Topic("a"), PAYLOAD, 0))
    no_sessions: list[Session] = []
    stock.skip(no_sessions)
    assert stock.excess > 0
