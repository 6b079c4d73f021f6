"""What is done with a command that is due, and with a response; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.commands import CommandEvent, CommandState, Progress
from fleetcell.contract.messages import PresenceState, Response, ResponseState
from fleetcell.contract.presence import Reason
from ingest.dispatch import PAGE_CAP_S, SEND_CAP_S, Due, answered, is_attached, not_taken, plan

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DUE = Due(CommandState.QUEUED, NOW + timedelta(hours=1), None, 0, 0, PresenceState.ONLINE, 7, attached=True)
ACTIVE = (CommandState.QUEUED, CommandState.PAGED, CommandState.SENT, CommandState.DELIVERED)

dues = st.builds(
    Due,
    state=st.sampled_from(ACTIVE),
    not_after=st.sampled_from([NOW - timedelta(seconds=1), NOW, NOW + timedelta(seconds=1)]),
    epoch=st.none() | st.integers(1, 9),
    sent=st.integers(0, 10**6),
    pages=st.integers(0, 10**6),
    vehicle_state=st.sampled_from(PresenceState),
    vehicle_epoch=st.integers(1, 9),
    attached=st.booleans(),
)


def test_an_attached_vehicle_is_sent_it_with_its_session() -> None:
    planned = plan(DUE, NOW, 5)
    assert (planned.state, planned.epoch, planned.sent) == (CommandState.SENT, 7, 1)
    assert planned.next_at == NOW + timedelta(seconds=5)
    assert planned.event is CommandEvent.SENT


@pytest.mark.parametrize("state", [PresenceState.ASLEEP, PresenceState.OFFLINE, PresenceState.UNKNOWN])
def test_one_that_is_away_is_waited_for(state: PresenceState) -> None:
    planned = plan(replace(DUE, vehicle_state=state, attached=False), NOW, 5)
    assert (planned.state, planned.next_at, planned.event) == (CommandState.QUEUED, None, None)


def test_a_suspect_one_is_paged_until_something_was_sent() -> None:
    suspect = replace(DUE, vehicle_state=PresenceState.SUSPECT, attached=False)
    planned = plan(suspect, NOW, 5)
    assert (planned.state, planned.pages, planned.event) == (CommandState.PAGED, 1, CommandEvent.PAGED)
    sent = plan(replace(suspect, state=CommandState.SENT, sent=1), NOW, 5)
    assert (sent.state, sent.next_at, sent.event) == (CommandState.SENT, None, None)


@given(dues, st.floats(0.1, 3600))
def test_nothing_is_done_after_the_deadline_and_no_state_goes_back(due: Due, retry_s: float) -> None:
    planned = plan(due, NOW, retry_s)
    assert ACTIVE.index(planned.state) >= ACTIVE.index(due.state)
    if due.not_after <= NOW:
        assert (planned.event, planned.next_at) == (None, None)
    if planned.event is not None:
        assert planned.next_at is not None
        pause = (planned.next_at - NOW).total_seconds()
        assert retry_s - 1e-6 <= pause <= max(SEND_CAP_S, PAGE_CAP_S, retry_s) + 1e-6


def test_pauses_double_up_to_their_cap() -> None:
    pauses = []
    for sent in range(10):
        planned = plan(replace(DUE, state=CommandState.SENT, sent=sent), NOW, 5)
        assert planned.next_at is not None
        pauses.append((planned.next_at - NOW).total_seconds())
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]


@pytest.mark.parametrize(
    ("state", "reason", "lost", "attached"),
    [
        (PresenceState.ONLINE, Reason.ATTACH, False, True),
        (PresenceState.SUSPECT, Reason.FLAPPING, False, True),
        (PresenceState.SUSPECT, Reason.FLAPPING, True, False),
        (PresenceState.SUSPECT, Reason.OVERDUE, False, False),
        (PresenceState.ASLEEP, Reason.SLEEP, False, False),
    ],
)
def test_who_is_attached(state: PresenceState, reason: Reason, lost: bool, attached: bool) -> None:
    assert is_attached(state, reason, lost=lost) is attached


def test_a_refusal_of_another_session_is_no_outcome() -> None:
    refused = Response("a", ResponseState.FAILED, code="epoch", epoch=8)
    assert not_taken(refused, 7)
    assert not not_taken(refused, 8), "it is of an attempt before: this session has been sent it since"
    assert not_taken(Response("a", ResponseState.FAILED, code="epoch"), 7)
    assert not not_taken(refused, None), "that was said already"
    assert not not_taken(Response("a", ResponseState.FAILED, code="require"), 7)
    assert answered(Progress(CommandState.SENT), refused) is None


def test_a_response_is_news_once() -> None:
    done = answered(Progress(CommandState.SENT), Response("a", ResponseState.SUCCEEDED))
    assert done == Progress(CommandState.SUCCEEDED, ResponseState.SUCCEEDED)
    assert answered(done, Response("a", ResponseState.SUCCEEDED)) is None
    assert answered(done, Response("a", ResponseState.FAILED)) is None
