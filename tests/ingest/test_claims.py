"""What the registrar keeps while it cannot write."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.messages import Claim, ClaimKind, Previous
from fleetcell.contract.presence import Registration, Timers, fold
from ingest.claims import MANY, Heard, Said, Sign, essential

NOW = datetime(2026, 11, 20, tzinfo=UTC)
spoken = st.builds(
    Claim,
    st.sampled_from(ClaimKind),
    st.integers(1, 3),
    st.just(NOW),
    n=st.integers(1, 5),
    sleep_s=st.just(60.0),
)
wills = st.builds(
    Claim, st.just(ClaimKind.DETACH), st.integers(1, 3), st.just(NOW), n=st.none(), reason=st.just("lost")
)


def outcome(claims: list[Claim]) -> tuple[object, ...]:
    held = Registration()
    for claim in claims:
        held, _ = fold(held, claim, NOW, Timers(hysteresis_s=0), region="helsinki")
    return held.state, held.epoch, held.n, held.lost, held.ended


def kept(claims: list[Claim]) -> list[Claim]:
    return [said.claim for said in essential([Said(claim, 0) for claim in claims])]


@given(st.lists(spoken | wills, min_size=1, max_size=20))
def test_the_essential_claims_lead_where_all_of_them_do(claims: list[Claim]) -> None:
    assert len(kept(claims)) <= 2
    epochs = {(claim.epoch, claim.n): claim for claim in claims}
    distinct = [
        epochs[claim.epoch, claim.n] for claim in claims
    ]  # a unit never says two things with one number
    assert outcome(kept(distinct)) == outcome(distinct)


def test_an_interval_that_was_told_once_is_kept() -> None:
    told = Claim(ClaimKind.ATTACH, 1, NOW, n=1, update_interval=600)
    assert [one.update_interval for one in kept([told, claim(2), claim(3)])] == [600]
    assert [one.update_interval for one in kept([told, claim(1, epoch=2)])] == [None]


def test_a_keep_alive_that_was_told_once_is_kept_and_the_newest_counts() -> None:
    told = Claim(ClaimKind.ATTACH, 1, NOW, n=1, keep_alive=600)
    off = Claim(ClaimKind.UPDATE, 1, NOW, n=3, keep_alive=0)
    assert [one.keep_alive for one in kept([told, claim(2), claim(4)])] == [600]
    assert [one.keep_alive for one in kept([off, told, claim(4)])] == [0]
    assert [one.keep_alive for one in kept([told, claim(1, epoch=2)])] == [None]


def claim(n: int, *, epoch: int = 1, next_seq: int | None = None) -> Claim:
    return Claim(ClaimKind.UPDATE, epoch, NOW, n=n, boot="a" * 32, next_seq=next_seq)


def test_it_is_bounded_and_keeps_the_newest() -> None:
    heard = Heard()
    for n in range(1, 1000):
        heard.add("car", claim(n), n)
    assert len(heard.claims["car"]) <= MANY
    assert heard.claims["car"][-1] == (claim(999), 999)


def test_numbers_that_exist_are_remembered_whatever_becomes_of_the_claim() -> None:
    heard = Heard()
    first = Claim(ClaimKind.ATTACH, 1, NOW, n=1, boot="a" * 32, next_seq=5, previous=Previous("b" * 32, 7))
    heard.add("car", first, 0)
    for n in range(2, 60):
        heard.add("car", claim(n, next_seq=1), n)
    assert heard.claimed == {("car", "a" * 32): 4, ("car", "b" * 32): 7}


def test_what_was_taken_can_be_put_back() -> None:
    heard = Heard()
    for name in ("a", "b", "c"):
        heard.add(name, claim(1, next_seq=3), 0)
    heard.sign("d", Sign(1, 10.0))
    taken = heard.take(2)
    assert list(taken.claims) == ["a", "b"]
    assert not taken.signs
    heard.add("a", claim(2), 0)
    heard.put_back(taken)
    assert [said.claim.n for said in heard.claims["a"]] == [1, 2]
    assert heard.names() == {"a", "b", "c", "d"}
    everything = heard.take(10)
    assert not heard
    assert everything.signs == {"d": Sign(1, 10.0)}
    assert len(everything.claimed) == 3
