"""What comes on DENM topics, and how much of it is looked at."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell import uper
from fleetcell.contract.v2x import codec
from ingest.hazards import intake
from ingest.hazards.intake import SENDER_BURST, WAITING, Intake
from ingest.hazards.limits import Bucket, SenderRates
from tests.ingest.hazards.denms import NOW_MS, STATION, denm, topic_text


class Desk:
    """An intake, and the reasons that it gave."""

    def __init__(self, per_s: float = 100.0) -> None:
        self.reasons = Counter[str]()
        self.intake = Intake(per_s, lambda reason: self.reasons.update([reason]), 0.0)

    def take(self, payload: bytes, topic: str | None = None, now: float = 0.0) -> bool:
        text = topic_text() if topic is None else topic
        return self.intake.take(text, payload, now, NOW_MS + round(now * 1000))


def test_a_warning_waits_once_however_often_it_is_repeated() -> None:
    desk = Desk()
    payload = codec.encode(denm())
    assert [desk.take(payload, now=n / 10) for n in range(5)] == [True, False, False, False, False]
    assert desk.reasons == {"repeated": 4}
    update = denm(at_ms=NOW_MS + 300)
    assert desk.take(codec.encode(update), now=0.6)
    assert not desk.take(payload, now=0.7), "an older one of the same"
    end = denm(at_ms=NOW_MS + 300, ends="isCancellation")
    assert [desk.take(codec.encode(end), now=0.8) for _ in range(2)] == [True, False]
    assert [report.reference_ms - NOW_MS for report in desk.intake.waiting] == [0, 300, 300]


def test_forgotten_warnings_are_those_that_had_no_news_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "KNOWN", 2)
    desk = Desk()

    def comes(sequence: int, later_ms: int = 0) -> bool:
        return desk.take(codec.encode(denm(sequence=sequence, at_ms=NOW_MS + later_ms)), now=1.0)

    assert comes(1)
    assert comes(2)
    assert comes(1, 300), "an update of the first: of the second there is older news"
    assert comes(3)
    assert not comes(1, 300), "still known"
    assert not comes(3)
    assert comes(2), "forgotten for the third"
    assert not comes(3), "for the second the first was forgotten: its news was the oldest by then"
    assert desk.reasons == {"repeated": 3}


def test_what_was_not_stored_may_come_again() -> None:
    desk = Desk()
    assert desk.take(codec.encode(denm()))
    desk.intake.forget(desk.intake.waiting.popleft())
    assert desk.take(codec.encode(denm()))


@given(st.binary(max_size=400) | st.just(b"{" * 5000) | st.just(b" " * 20_000))
def test_any_payload_is_dropped_and_counted(payload: bytes) -> None:
    desk = Desk()
    assert not desk.take(payload)
    assert desk.reasons == {"undecodable": 1}


@given(st.text(max_size=60) | st.sampled_from(["", "fleet/v1/x/v2x/denm", "fleet/v1/x/car/event"]))
def test_any_topic_is_dropped_and_counted(topic: str) -> None:
    desk = Desk()
    assert not desk.take(codec.encode(denm()), topic)
    assert desk.reasons == {"topic": 1}


def test_a_warning_under_a_false_pseudonym_or_on_a_cam_topic_is_dropped() -> None:
    desk = Desk()
    payload = codec.encode(denm())
    assert not desk.take(payload, topic_text(station=STATION + 1))
    assert not desk.take(payload, topic_text().replace("/denm/", "/cam/"))
    assert not desk.take(payload, topic_text().replace("/denm/", "/denm/7/"))
    assert desk.reasons == {"sender": 2, "topic": 1}


def test_uper_is_read_where_the_extra_is_and_counted_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    payload = uper.encode(denm())
    monkeypatch.setattr(uper, "available", lambda: False)
    assert not desk.take(payload, topic_text(uper=True))
    monkeypatch.undo()
    assert desk.take(payload, topic_text(uper=True))
    (report,) = desk.intake.waiting
    plain = Desk()
    assert plain.take(codec.encode(denm()))
    assert [report] == list(plain.intake.waiting)
    assert not desk.take(b"\x00\x01", topic_text(uper=True))
    assert desk.reasons == {"no_uper": 1, "undecodable": 1}


def test_one_sender_cannot_keep_it_busy() -> None:
    desk = Desk()
    for number in range(1000):
        desk.take(codec.encode(denm(sequence=number)))
    assert len(desk.intake.waiting) == SENDER_BURST
    assert desk.reasons == {"sender_rate": 1000 - SENDER_BURST}
    assert desk.take(codec.encode(denm(sequence=1001)), now=1.0), "after a while it may again"


def test_nor_can_many_and_what_waits_is_bounded() -> None:
    desk = Desk(per_s=2.0)
    for station in range(500):
        desk.take(codec.encode(denm(station=station)), topic_text(station=station))
    assert len(desk.intake.waiting) == 2.0 * 60
    assert desk.reasons == {"region_rate": 500 - 120}
    full = Desk(per_s=1e6)
    for station in range(WAITING + 10):
        full.take(codec.encode(denm(station=station)), topic_text(station=station))
    assert len(full.intake.waiting) == WAITING
    assert full.reasons == {"region_rate": 10}


@given(st.lists(st.floats(0, 10), max_size=200), st.floats(0.1, 50), st.floats(1, 50))
def test_a_bucket_gives_its_burst_and_its_rate_and_no_more(
    gaps: list[float], rate: float, burst: float
) -> None:
    bucket = Bucket(rate, burst, 0.0)
    now, given_out = 0.0, 0
    for gap in gaps:
        now += gap
        given_out += bucket.take(now)
    assert given_out <= burst + rate * now + 1e-6
    if gaps and burst >= 1:
        assert given_out >= min(len(gaps), 1)


def test_forgotten_senders_are_those_heard_longest_ago() -> None:
    rates = SenderRates(0.0, 1.0, most=2)
    assert [rates.take(name, 0.0) for name in ("a", "b", "a", "c")] == [True, True, False, True]
    assert not rates.take("a", 0.0), "b was forgotten for c"
    assert rates.take("b", 0.0)
