"""A session's window, queues and redelivery: what a client gets, whatever its link does."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.limits import Limits
from broker.packets import DUP, PUBACK, PUBCOMP, PUBREC, PUBREL, RETAIN, Acknowledge, Decoder, Publish
from broker.session import Link, Session
from broker.stock import Stock
from broker.topics import Message, Topic

WINDOW = 3
TOPIC = Topic("t")


def new_link() -> Link:
    return Link(1_000, ("", 0), lambda _link: None, 0.0, datetime(2026, 1, 1, tzinfo=UTC))


def new_session(**limits: Any) -> tuple[Session, Link]:
    session = Session("c", cast("Any", None), Limits(**limits), Stock(), clean=False)
    link = new_link()
    session.resume(link)
    return session, link


def read(link: Link) -> list[Any]:
    data = b"".join(link.out)
    link.out.clear()
    return list(Decoder(10_000).feed(data))


def text(number: int) -> bytes:
    return str(number).encode()


class ClientOfSession(RuleBasedStateMachine):
    """Messages at QoS 1 go to a client whose link stalls, breaks and comes back at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.session, self.link = new_session(window=WINDOW)
        self.sent = 0
        self.got: list[int] = []
        self.unacknowledged: deque[int] = deque()

    @rule(count=st.integers(1, 5))
    def publish(self, count: int) -> None:
        for _ in range(count):
            assert self.session.deliver(Message(TOPIC, text(self.sent), 1), 1)
            self.sent += 1
        self.take()

    @precondition(lambda self: self.unacknowledged)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        packet_id = data.draw(st.sampled_from(list(self.unacknowledged)))
        self.unacknowledged.remove(packet_id)
        self.session.acknowledged(PUBACK, packet_id)
        self.take()

    @rule(packet_id=st.integers(1, 65_535), kind=st.sampled_from([PUBACK, PUBREC, PUBCOMP]))
    def acknowledge_what_was_never_sent(self, packet_id: int, kind: int) -> None:
        if packet_id not in self.unacknowledged:
            self.session.acknowledged(kind, packet_id)
            self.link.out.clear()  # at most a PUBREL, which the client passes over

    @rule()
    def stall(self) -> None:
        self.link.paused = True

    @rule()
    def go_on(self) -> None:
        self.link.paused = False
        self.session.pump()
        self.take()

    @rule()
    def reconnect(self) -> None:
        self.session.link = None
        self.link = new_link()
        self.unacknowledged.clear()
        self.session.resume(self.link)
        self.take()

    def take(self) -> None:
        if self.link.paused:
            return
        for packet in read(self.link):
            assert isinstance(packet, Publish)
            self.got.append(int(packet.payload))
            self.unacknowledged.append(packet.packet_id)

    @invariant()
    def the_window_holds(self) -> None:
        assert len(set(self.unacknowledged)) == len(self.unacknowledged) <= WINDOW

    def teardown(self) -> None:
        """In the end all have come, first time in their order."""
        self.go_on()
        while self.unacknowledged:
            self.session.acknowledged(PUBACK, self.unacknowledged.popleft())
            self.take()
        first_time = list(dict.fromkeys(self.got))
        assert first_time == list(range(self.sent))
        assert self.session.waiting == 0


ClientOfSession.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestClientOfSession = ClientOfSession.TestCase


def test_packet_ids_go_round_and_pass_over_those_in_flight() -> None:
    session, link = new_session(window=2)
    session.deliver(Message(TOPIC, b"stays", 1), 1)
    seen = []
    for _ in range(65_540):
        session.deliver(Message(TOPIC, b"", 1), 1)
        seen.append(read(link)[-1].packet_id)
        session.acknowledged(PUBACK, seen[-1])
    assert 1 not in seen
    assert 0 not in seen
    assert len(set(seen)) == 65_534


def test_qos_2_to_the_client() -> None:
    session, link = new_session()
    session.deliver(Message(TOPIC, b"x", 2), 2)
    (publish,) = read(link)
    session.acknowledged(PUBACK, publish.packet_id)  # not for QoS 2
    session.acknowledged(PUBCOMP, publish.packet_id)  # too early
    assert session.waiting == 1
    session.acknowledged(PUBREC, publish.packet_id)
    session.acknowledged(PUBREC, publish.packet_id)
    assert read(link) == [Acknowledge(PUBREL, publish.packet_id)] * 2
    session.acknowledged(PUBCOMP, publish.packet_id)
    assert session.waiting == 0


@pytest.mark.parametrize("qos", [0, 1])
def test_the_retain_flag_stays_with_a_message_that_waited(qos: int) -> None:
    session, link = new_session()
    link.paused = True
    session.deliver(Message(TOPIC, b"x", 1), qos, RETAIN)
    assert link.out == []
    link.paused = False
    session.pump()
    (publish,) = read(link)
    assert (publish.retain, publish.qos) == (True, qos)


def test_a_repetition_has_dup() -> None:
    session, link = new_session()
    session.deliver(Message(TOPIC, b"x", 1), 1)
    assert link.out[0][0] & DUP == 0
    again = new_link()
    session.resume(again)
    assert again.out[0][0] & DUP


def test_qos_0_is_dropped_oldest_first() -> None:
    session, link = new_session(drop_messages=2)
    link.paused = True
    for number in range(5):
        assert session.deliver(Message(TOPIC, text(number), 0), 0)
    assert session.dropped == 3
    link.paused = False
    session.pump()
    assert [packet.payload for packet in read(link)] == [b"3", b"4"]


def test_qos_0_is_bounded_by_its_bytes_too() -> None:
    session, link = new_session(drop_bytes=250)
    link.paused = True
    for _ in range(5):
        session.deliver(Message(TOPIC, bytes(97), 0), 0)
    assert (session.dropped, session.waiting) == (3, 2)


def test_nothing_is_kept_at_qos_0_for_one_who_is_away() -> None:
    session, _ = new_session()
    session.link = None
    assert session.deliver(Message(TOPIC, b"x", 0), 0)
    assert session.waiting == 0
