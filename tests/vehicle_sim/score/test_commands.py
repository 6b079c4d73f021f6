"""Commands: what reached the units and what they said, against what the platform shows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.score.commands import Commands, Said, compare
from vehicle_sim.score.statistics import Spread
from vehicle_sim.truth.records import Answered, Happened, Ordered

BEGAN = 100.0


def came(id_: str, at: float = 101.0) -> Happened:
    return Ordered("car", at, id_, "ping")


def said(id_: str, state: str = "succeeded", *, final: bool = True) -> Happened:
    return Answered("car", 102.0, id_, state, final)


def test_what_was_done_and_is_shown_so_agrees() -> None:
    happened = [
        came("a"),
        said("a", "accepted", final=False),
        said("a"),
        came("b", 103.0),
        said("b", "failed"),
    ]
    shown = {"a": Said("succeeded", "succeeded", 100.5), "b": Said("expired", "failed", 101.0)}
    found = compare(happened, shown, BEGAN)
    assert found == Commands(received=2, answered=2, agreed=2, to_unit_s=Spread(2, 0.5, 2.0, 2.0))


def test_a_command_that_the_platform_tells_otherwise_differs() -> None:
    shown = {"a": Said("failed", "failed", 100.5)}
    assert compare([came("a"), said("a")], shown, BEGAN).differing == 1


def test_what_a_unit_refused_as_late_agrees_with_what_expired() -> None:
    found = compare([came("a"), said("a", "expired")], {"a": Said("expired", None, 100.5)}, BEGAN)
    assert (found.agreed, found.differing, found.open) == (1, 0, 0)


def test_a_command_that_is_still_under_way_is_open() -> None:
    found = compare([came("a"), said("a")], {"a": Said("sent", None, 100.5)}, BEGAN)
    assert (found.open, found.differing, found.agreed) == (1, 0, 0)


def test_a_command_that_the_platform_does_not_know_is_unknown() -> None:
    assert compare([came("a"), said("a")], {}, BEGAN).unknown == 1


def test_success_of_a_command_that_never_came_is_told_unless_it_is_of_an_earlier_run() -> None:
    new, old = Said("succeeded", "succeeded", 101.0), Said("succeeded", "succeeded", 99.0)
    assert compare([], {"a": new, "b": old}, BEGAN).not_received == 1


def test_a_command_that_comes_again_is_received_once() -> None:
    found = compare(
        [came("a"), came("a", 105.0), said("a")], {"a": Said("succeeded", "succeeded", 100.0)}, BEGAN
    )
    assert (found.received, found.again, found.agreed) == (1, 1, 1)
    assert found.to_unit_s is not None
    assert found.to_unit_s.max == 1.0


@given(st.dictionaries(st.text(max_size=3), st.sampled_from(["agreed", "open", "differing", "unknown"])))
def test_every_answer_is_judged_once(fates: dict[str, str]) -> None:
    shown = {
        "agreed": Said("succeeded", "succeeded", 100.0),
        "open": Said("delivered", None, 100.0),
        "differing": Said("expired", None, 100.0),
    }
    happened = [one for id_ in fates for one in (came(id_), said(id_))]
    found = compare(happened, {id_: shown[fate] for id_, fate in fates.items() if fate in shown}, BEGAN)
    assert (found.received, found.answered) == (len(fates), len(fates))
    for fate in ("agreed", "open", "differing", "unknown"):
        assert getattr(found, fate) == list(fates.values()).count(fate)
