"""Connections on a link: the NAT, faults, half-open ones; and that a link decides the same each time."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vehicle_sim.links.virtual import SteadyAir, quiet_link, run_out
from vehicle_sim.links import PROFILES, Links
from vehicle_sim.links.air import Change, Direction, Event, Rrc
from vehicle_sim.links.line import Delivery, Mark
from vehicle_sim.links.link import Link

UP, DOWN = Direction.UP, Direction.DOWN


def sends(link: Link, flow: int, direction: Direction, now: float) -> list[Delivery]:
    """Send one packet; what arrives in the next second."""
    link.send(direction, flow, b"x", now)
    return link.advance(now + 1.0)


def test_a_nat_forgets_a_connection_that_was_idle_for_too_long() -> None:
    link = quiet_link(nat_idle_s=240.0)
    kept, idle = link.open(0.0), link.open(0.0)
    for at in (200.0, 400.0, 600.0):
        assert sends(link, kept, UP if at < 500 else DOWN, at)
    assert not sends(link, idle, DOWN, 601.0)
    assert not sends(link, idle, UP, 602.0)
    assert (link.alive(kept), link.alive(idle)) == (True, False)
    assert link.changes == {Change.NAT_EXPIRED: 1}
    assert link.vanished_bytes == 2 * 41


def test_after_a_nat_was_rebound_the_client_gets_a_reset_and_the_server_nothing() -> None:
    link = quiet_link(nat_rebind_s=120.0, up_s=0.03, down_s=0.02)
    flow = link.open(0.0)
    now, arrived = 0.0, []
    while link.alive(flow):
        now += 5.0
        arrived = sends(link, flow, UP, now)
    (back,) = arrived
    assert (back.direction, back.flow, back.data) == (DOWN, flow, Mark.RST)
    assert back.at - now == pytest.approx(0.05)
    assert link.changes == {Change.NAT_REBOUND: 1}
    assert sends(link, link.open(now + 2), UP, now + 2)  # a new connection is mapped anew


def test_rebinding_comes_as_often_as_the_profile_says() -> None:
    link = quiet_link(nat_rebind_s=300.0)
    for minute in range(0, 100_000, 60):
        link._rebound_between(float(minute), float(minute + 60))
    count = sum(link._rebound_between(t, t + 60.0) for t in map(float, range(0, 600_000, 60)))
    assert count / 600_000 == pytest.approx(1 / 300, rel=0.1)


def test_in_a_black_hole_packets_vanish_without_a_word() -> None:
    link = quiet_link()
    before = link.open(0.0)
    assert sends(link, before, UP, 0.0)
    link.black_hole(10.0, 30.0)
    within = link.open(20.0)
    for flow in (before, within):
        for direction in Direction:
            assert not sends(link, flow, direction, 25.0)
    after = link.open(40.0)
    assert not sends(link, before, UP, 41.0)  # half open for good
    assert sends(link, after, UP, 41.0)
    assert link.changes == {Change.BLACK_HOLE: 1}


def test_a_reset_is_told_to_both_ends() -> None:
    link = quiet_link()
    flow, other = link.open(0.0), link.open(0.0)
    link.reset(5.0)
    told = {(d.flow, d.direction, d.data) for d in link.advance(5.0)}
    assert told == {(f, direction, Mark.RST) for f in (flow, other) for direction in Direction}
    assert not sends(link, flow, UP, 6.0)
    assert not link.alive(flow)


def test_a_suspended_sim_passes_nothing_and_comes_back_with_another_address() -> None:
    link = quiet_link(SteadyAir(1e5, 1e5), promotion_s=0.3, inactivity_s=10.0)
    before = link.open(0.0)
    assert sends(link, before, UP, 0.0)
    link.suspend_sim(10.0)
    within = link.open(11.0)
    assert not sends(link, before, UP, 12.0)
    assert not sends(link, within, UP, 12.0)
    assert link.due == math.inf  # nothing will happen by itself
    link.resume_sim(40.0)
    assert not link.advance(60.0)
    after = link.open(61.0)
    (arrived,) = sends(link, after, UP, 61.0)
    assert arrived.at == pytest.approx(61.3, abs=0.01)  # idle by then: promoted
    assert list(link.changes) == [
        Change.PROMOTED,
        Change.SIM_SUSPENDED,
        Change.RESUMED,
        Change.NEW_ADDRESS,
    ]


def test_a_sim_that_is_taken_again_attaches_first_and_its_radio_is_awake_then() -> None:
    link = quiet_link(promotion_s=0.3, inactivity_s=10.0)
    link.suspend_sim(10.0)
    link.resume_sim(40.0)
    assert link.rrc(45.0) is Rrc.CONNECTED
    flow = link.open(40.1)
    (attaching,) = sends(link, flow, UP, 40.1)
    assert attaching.at == pytest.approx(40.3)
    (awake,) = sends(link, flow, UP, 49.0)
    assert awake.at == pytest.approx(49.0)
    assert link.changes[Change.PROMOTED] == 0, "the attach was all that it waited for"
    (idle,) = sends(link, flow, DOWN, 70.0)
    assert idle.at > 70.29
    assert link.changes[Change.PROMOTED] == 1


def test_a_forgotten_connection_takes_nothing_more() -> None:
    link = quiet_link(up_s=0.1)
    flow = link.open(0.0)
    link.send(UP, flow, b"x", 0.0)
    link.forget(flow)
    assert not link.advance(1.0)
    assert not link.alive(flow)


def test_the_radio_shows_its_state() -> None:
    link = quiet_link(promotion_s=0.3, inactivity_s=10.0)
    assert link.rrc(0.0) is Rrc.IDLE
    link.send(UP, link.open(0.0), b"x", 0.0)
    assert link.rrc(5.0) is Rrc.CONNECTED
    assert link.rrc(11.0) is Rrc.IDLE


def test_with_nothing_to_do_a_link_asks_for_nothing() -> None:
    link = Links(PROFILES["storm"], 5).make("car")
    link.advance(100.0)
    assert link.due == math.inf


def test_a_lost_coverage_may_mean_a_new_address() -> None:
    storm = replace(PROFILES["tunnel"], new_address=1.0)
    link = Links(storm, 5).make("car")
    flow = link.open(0.0)
    assert sends(link, flow, UP, 0.0)
    now = 0.0
    while not link.changes[Change.COVERAGE_BACK]:
        now += 10.0
        link.advance(now)
    assert link.changes[Change.NEW_ADDRESS] == 1
    assert not link.alive(flow)


def test_after_a_short_loss_of_coverage_the_address_is_the_same() -> None:
    tunnel = PROFILES["tunnel"]
    assert tunnel.cells is not None
    patient = replace(tunnel, new_address=1.0, cells=replace(tunnel.cells, radio_link_failure_s=math.inf))
    link = Links(patient, 5).make("car")
    flow = link.open(0.0)
    now = 0.0
    while not link.changes[Change.COVERAGE_BACK]:
        now += 10.0
        link.advance(now)
    assert not link.changes[Change.NEW_ADDRESS]
    assert link.alive(flow)


# -- the same seed, the same decisions -------------------------------------------------------------


traffic = st.lists(
    st.tuples(
        st.floats(0.0, 30.0),
        st.sampled_from(["up", "down", "open", "look", "look"]),
        st.integers(1, 5000),
    ),
    min_size=1,
    max_size=40,
)


def play(
    link: Link, acts: list[tuple[float, str, int]], looks: list[float]
) -> tuple[list[Delivery], list[Event]]:
    """Let acts happen, and look at the link at other moments too."""
    moments = []
    now = 0.0
    for wait, what, count in acts:
        now += wait
        moments.append((now, 0, what, count))
    moments += [(at, 1, "look", 0) for at in looks]
    flow, arrived = link.open(0.0), []
    for at, _, what, count in sorted(moments):
        match what:
            case "up" | "down":
                link.send(UP if what == "up" else DOWN, flow, bytes(count), at)
            case "open":
                flow = link.open(at)
            case "look":
                arrived += link.advance(at)
    arrived += run_out(link, until=now + 500.0)
    arrived += link.advance(now + 500.0)
    return arrived, [event for event in link.events if event.at <= now]


@pytest.mark.parametrize("kept", [0, 3])
def test_a_link_keeps_as_many_events_as_it_is_told_to_and_counts_all(kept: int) -> None:
    link = Link(PROFILES["perfect"], SteadyAir(1e6, 1e6), 1, kept_events=kept)
    for at in range(20):
        link.black_hole(float(at), 0.5)
        assert len(link.events) <= 2 * kept
    assert link.changes == {Change.BLACK_HOLE: 20}
    assert [event.at for event in link.events][-kept:] == [17.0, 18.0, 19.0][3 - kept :]


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["lte", "3g", "rural", "storm"]),
    st.integers(0, 50),
    traffic,
    st.lists(st.floats(0.0, 1000.0), max_size=30),
)
def test_how_often_one_looks_changes_nothing(
    name: str, seed: int, acts: list[tuple[float, str, int]], looks: list[float]
) -> None:
    links = Links(PROFILES[name], seed)
    once, events = play(links.make("car"), acts, [])
    often, same_events = play(links.make("car"), acts, looks)
    assert [(d.direction, d.flow, d.data) for d in once] == [(d.direction, d.flow, d.data) for d in often]
    assert [d.at for d in once] == pytest.approx([d.at for d in often], abs=1e-6)
    assert [event.change for event in events] == [event.change for event in same_events]


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(["lte", "5g", "3g", "rural", "tunnel", "storm"]), st.integers(0, 2**64), traffic)
def test_the_same_seed_decides_the_same_and_nothing_arrives_early_or_out_of_order(
    name: str, seed: int, acts: list[tuple[float, str, int]]
) -> None:
    arrived, events = play(Links(PROFILES[name], seed).make("car"), acts, [])
    again, same_events = play(Links(PROFILES[name], seed).make("car"), acts, [])
    assert (arrived, events) == (again, same_events)
    for direction in Direction:
        packets = [d for d in arrived if d.direction is direction and isinstance(d.data, bytes)]
        assert [d.at for d in packets] == sorted(d.at for d in packets)
        assert [d.sent_at for d in packets] == sorted(d.sent_at for d in packets)
        least = PROFILES[name].down_s if direction else PROFILES[name].up_s
        assert all(d.at >= d.sent_at + least for d in packets)


def test_other_vehicles_and_other_seeds_have_other_links() -> None:
    acts = [(1.0, "up", 500) for _ in range(200)]

    def times(seed: int, name: str) -> list[float]:
        return [d.at for d in play(Links(PROFILES["lte"], seed).make(name), acts, [])[0]]

    assert times(1, "a") == times(1, "a")
    assert times(1, "a") != times(1, "b")
    assert times(1, "a") != times(2, "a")
