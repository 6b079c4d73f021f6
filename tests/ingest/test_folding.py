"""What was heard of one vehicle, before and after its gateway was blind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.messages import Claim, ClaimKind, PresenceState
from fleetcell.contract.presence import Reason, Registration, Timers, fold, returned
from ingest.claims import Said, Sign
from ingest.folding import Ear, Return, take

START = datetime(2026, 11, 20, tzinfo=UTC)
TIMERS = Timers()
DEAF_AT, BACK_AT = 1000.0, 1100.0


def when(at: float) -> datetime:
    return START + timedelta(seconds=at)


def claim(kind: str, epoch: int = 1, n: int | None = 2, **fields: object) -> Claim:
    return Claim(ClaimKind(kind), epoch, START, n=n, **fields)  # type: ignore[arg-type]


def will(epoch: int = 1) -> Claim:
    return claim("detach", epoch, None, reason="lost")


ATTACHED, _ = fold(None, claim("attach", n=1), when(0), TIMERS, region="north")
BACK = Ear("north", TIMERS, when, Return(DEAF_AT), blind_window=True)


def became(claims: list[Said], sign: Sign | None = None, *, due: bool = True) -> list[str]:
    taken = take(ATTACHED, claims, sign, BACK, seen_address=None, due=due)
    assert taken.registration == (taken.changes[-1][1] if taken.changes else taken.registration)
    return [f"{change.after} ({change.reason}) {change.at - START}" for _, _, change in taken.changes]


def test_who_speaks_after_blindness_was_unknown_before() -> None:
    blind = f"unknown (gateway) {when(DEAF_AT) - START}"
    back = when(BACK_AT) - START
    assert became([Said(claim("attach", 2, 1), BACK_AT)]) == [blind, f"online (attach) {back}"]
    assert became([Said(claim("update"), BACK_AT)]) == [blind, f"online (update) {back}"]
    assert became([], Sign(1, BACK_AT)) == [blind, f"online (telemetry) {back}"]
    assert became([Said(claim("sleep", sleep_s=60.0), BACK_AT)]) == [blind, f"asleep (sleep) {back}"]


def test_who_has_been_told_is_not_told_again() -> None:
    assert became([Said(claim("update"), BACK_AT)], due=False) == []
    told = Return(DEAF_AT, after=7, spoken={9})
    assert [told.is_due(vehicle_id) for vehicle_id in (7, 8, 9)] == [False, True, False]


def test_what_was_heard_before_does_not_settle_what_came_after() -> None:
    taken = take(ATTACHED, [Said(claim("update"), DEAF_AT - 1)], None, BACK, seen_address=None, due=True)
    assert not taken.told
    assert taken.registration.deadline == when(DEAF_AT - 1 + 75)
    assert became([Said(claim("update"), DEAF_AT - 1), Said(claim("update", n=3), BACK_AT)]) == [
        f"unknown (gateway) {when(DEAF_AT) - START}",
        f"online (update) {when(BACK_AT) - START}",
    ]


def test_a_will_or_an_old_session_settles_nothing_and_leaves_it_to_be_paged() -> None:
    for said in (will(), claim("update", 0, 9)):
        taken = take(ATTACHED, [Said(said, BACK_AT)], None, BACK, seen_address=None, due=True)
        assert taken.told
        assert (taken.registration.state, taken.registration.reason) == ("unknown", "gateway")
        assert taken.registration.deadline == when(BACK_AT + 75)


def test_a_vehicle_of_another_region_was_not_lost_sight_of_here() -> None:
    away, _ = fold(None, claim("attach", n=1), when(0), TIMERS, region="south")
    taken = take(away, [Said(claim("attach", 2, 1), BACK_AT)], None, BACK, seen_address=None, due=True)
    assert [(change.after, change.reason) for _, _, change in taken.changes] == [("online", "handover")]


spoken = st.builds(
    lambda kind, epoch, n: (
        will(epoch)
        if n is None
        else claim(kind, epoch, n, sleep_s=60.0 if kind == "sleep" else None, reason=None)
    ),
    st.sampled_from(["attach", "update", "sleep", "detach"]),
    st.integers(1, 3),
    st.integers(2, 6) | st.none(),
)


@given(st.lists(spoken, min_size=1, max_size=8), st.booleans())
def test_told_by_its_own_word_or_by_its_part_it_ends_the_same(claims: list[Claim], signs: bool) -> None:
    """Whether a claim comes before the vehicle's part of the settling or after it makes no difference."""
    said = [Said(one, BACK_AT) for one in claims]
    sign = Sign(1, BACK_AT) if signs else None
    first = take(ATTACHED, said, sign, BACK, seen_address=None, due=True)
    told, _ = returned(ATTACHED, when(BACK_AT), TIMERS, since=when(DEAF_AT))
    second = take(told, said, sign, BACK, seen_address=None, due=False)
    assert first.registration == second.registration
    assert (first.answer, first.stale) == (second.answer, second.stale)


def test_nothing_heard_changes_nothing() -> None:
    held = Registration(state=PresenceState.OFFLINE, reason=Reason.SHUTDOWN, region="north")
    assert take(held, [], None, BACK, seen_address=None, due=True).registration is held
