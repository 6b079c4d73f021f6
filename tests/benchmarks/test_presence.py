"""What the benchmark of presence judges by: its pure parts, the link, short scripts on a real register."""

from __future__ import annotations

import asyncio
import contextlib
import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks._presence_border import PASS_S, REACH_M, Move, astray, delays, make_tracks, moves_of
from benchmarks._presence_handover import Handovers
from benchmarks._presence_link import CONNACK, Link
from benchmarks._presence_seeded import Script, play
from benchmarks._presence_truth import Book
from benchmarks._presence_up import LiveFrame
from benchmarks.presence import describe
from fleetcell.contract.directory import Regions, split_box
from fleetcell.contract.presence import Outcome, Registration, fold
from ingest import folding
from vehicle_sim.score.presence import GONE, OFFLINE, ONLINE, Goal, Shown, State, judge

if TYPE_CHECKING:
    from fleetcell.contract.messages import Claim

BOUNDS = (24.90, 60.15, 25.00, 60.20)
REGIONS = Regions(split_box(BOUNDS, ["west", "east"]))


def shown(at: float, state: State, epoch: int = 1, region: str = "here") -> Shown:
    return Shown(at, state, "", epoch, region)


def test_what_is_shown_late_is_wrong_for_as_long_as_it_is_late() -> None:
    goals = [Goal(0.0, ONLINE, 1.0), Goal(10.0, GONE, 0.25), Goal(20.25, OFFLINE, 1.0)]
    right = [shown(0.5, State.ONLINE), shown(10.1, State.SUSPECT), shown(20.3, State.OFFLINE)]
    assert judge(goals, right, 30.0) == (30.0, 0.0, 0)
    late = [shown(0.5, State.ONLINE), shown(12.25, State.SUSPECT), shown(23.25, State.OFFLINE)]
    assert judge(goals, late, 30.0) == (30.0, 2.0 + 2.0, 0)


def test_offline_is_false_in_a_window_too() -> None:
    goals = [Goal(0.0, ONLINE, 1.0), Goal(10.0, ONLINE, 5.0)]
    flickers = [shown(0.1, State.ONLINE), shown(11.0, State.OFFLINE), shown(12.0, State.ONLINE)]
    assert judge(goals, flickers, 30.0) == (30.0, 0.0, 1)
    back = [Goal(0.0, OFFLINE, 1.0), Goal(10.0, ONLINE, 1.0)]
    assert judge(back, [shown(0.1, State.ONLINE), shown(0.5, State.OFFLINE)], 12.0) == (12.0, 1.0, 0)


def test_a_session_takes_back_what_was_foreseen_of_a_loss() -> None:
    book = Book()
    book.goal("car", 0.0, ONLINE, 1.0)
    book.lost("car", 10.0, 0.25, 10.0)
    book.goal("car", 13.0, ONLINE, 1.0)
    assert [goal.at for goal in book.goals["car"]] == [0.0, 10.0, 13.0]
    book.shown["car"] += [shown(0.0, State.ONLINE), shown(10.1, State.SUSPECT), shown(13.1, State.ONLINE, 2)]
    assert book.first("car", 10.0, GONE) == 10.1
    assert book.first("car", 10.0, ONLINE, epoch=2) == 13.1
    assert book.first("car", 14.0, GONE) is None
    assert book.epoch("car", 12.0) == 1
    assert book.judge(20.0) == (20.0, 0.0, 0)
    assert book.wrong_by_state(20.0) == {}
    book.goal("car", 20.0, GONE, 0.25)
    assert book.wrong_by_state(25.25) == {"online ()": 5.0}


def test_who_was_lost_just_before_its_gateway_is_unknown_until_it_is_heard_of() -> None:
    """The register cannot tell its will from those that a dying gateway emits."""
    book = Book()
    for unit, lost in (("just", 95.0), ("long ago", 80.0)):
        book.goal(unit, 0.0, ONLINE, 1.0)
        book.lost(unit, lost, 0.25, 10.0)
        book.shown[unit] += [shown(0.0, State.ONLINE), shown(lost + 0.1, State.SUSPECT)]
    book.shown["long ago"].append(shown(90.2, State.OFFLINE))
    book.shown["just"] += [shown(102.0, State.UNKNOWN), shown(175.0, State.SUSPECT)]
    for unit in ("just", "long ago"):
        book.blinded(unit, 100.0)
    assert book.judge(200.0) == (400.0, 0.0, 0)
    book.goal("just", 200.0, ONLINE, 1.0)
    book.shown["long ago"].append(shown(203.0, State.UNKNOWN))
    assert book.wrong_by_state(210.0) == {"suspect ()": 9.0, "unknown ()": 7.0}


def test_units_have_renewed_when_all_are_online_in_a_later_session() -> None:
    frame = LiveFrame()
    frame.shown["a"] += [shown(0.0, State.ONLINE), shown(1.0, State.UNKNOWN), shown(2.0, State.ONLINE, 2)]
    frame.shown["b"].append(shown(0.0, State.ONLINE))
    assert not frame.have_renewed({"a": 1, "b": 1}), "b is shown as it was before"
    frame.shown["b"].append(shown(2.0, State.UNKNOWN, 2))
    assert not frame.have_renewed({"a": 1, "b": 1})
    frame.shown["b"].append(shown(2.1, State.ONLINE, 2))
    assert frame.have_renewed({"a": 1, "b": 1})


def test_a_loss_that_was_never_shown_has_no_figures() -> None:
    assert describe([0.1, None]) == {"n": 2, "p50_ms": None, "p99_ms": None, "max_ms": None, "never": 1}
    assert describe([0.3, 0.1, 0.2])["p50_ms"] == 200.0


@given(seed=st.integers(0, 2**32))
def test_a_track_leads_over_the_border_once_each_way(seed: int) -> None:
    track, other = make_tracks(REGIONS, BOUNDS, 2, random.Random(seed))
    assert track.lat != other.lat
    assert moves_of(REGIONS, track) == 2
    start = -track.begins_s
    ends = [track.place(start), track.place(start + PASS_S), track.place(start + 2 * PASS_S)]
    assert [REGIONS.at(*place) for place in ends] == ["west", "east", "west"]
    assert ends[0] == pytest.approx(ends[2])
    assert track.place(start + PASS_S / 2) == pytest.approx((track.lat, track.lon))


def test_a_track_goes_at_an_even_speed() -> None:
    (track,) = make_tracks(REGIONS, BOUNDS, 1, random.Random(1))
    places = [track.place(-track.begins_s + PASS_S * part / 10) for part in range(11)]
    steps_m = [(after[1] - before[1]) * 111_195 * 0.4976 for before, after in pairwise(places)]
    assert steps_m == pytest.approx([REACH_M / 5] * 10, rel=0.01)


def test_regions_without_a_border_have_no_tracks() -> None:
    everywhere = Regions({"west": split_box(BOUNDS, ["west"])["west"]})
    with pytest.raises(ValueError, match="0 of 3 tracks"):
        make_tracks(everywhere, BOUNDS, 3, random.Random(1))


def test_a_handover_that_the_next_one_overtakes_was_never_shown() -> None:
    moves = [Move(10.0, "east"), Move(20.0, "west"), Move(30.0, "east")]
    arrivals = [Move(1.0, "west"), Move(9.0, "east"), Move(10.5, "east"), Move(20.25, "west")]
    assert delays(moves, arrivals) == [0.5, 0.25, None]
    assert delays(moves, [Move(31.0, "east")]) == [None, None, 1.0]
    assert delays([], arrivals) == []


def test_a_change_that_names_the_region_that_was_left_is_astray() -> None:
    moves = [Move(10.0, "east"), Move(20.0, "west")]
    right = [
        shown(1.0, State.ONLINE, 1, "west"),
        shown(10.1, State.ONLINE, 1, "west"),  # not handed over yet
        shown(10.2, State.ONLINE, 2, "east"),
        shown(20.2, State.ONLINE, 3, "west"),
    ]
    assert astray(moves, right) == 0
    assert astray(moves, [*right[:3], shown(10.3, State.SUSPECT, 1, "west"), right[3]]) == 1
    assert astray(moves, [right[0], shown(5.0, State.ONLINE, 2, "east")]) == 1, "nobody decided so"
    assert astray(moves, [*right, shown(21.0, State.ONLINE, 4, "east")]) == 1


def test_what_the_frame_must_not_show_of_a_handover_is_counted() -> None:
    found = Handovers()
    found.moves["car"] = [Move(10.0, "east"), Move(20.0, "west")]
    found.served["car"] = [Move(10.1, "east"), Move(20.3, "west")]
    found.frame.shown["car"] = [
        shown(1.0, State.ONLINE, 1, "west"),
        shown(10.1, State.SUSPECT, 2, "east"),
        shown(10.5, State.ONLINE, 2, "east"),
        shown(20.25, State.ONLINE, 3, "west"),
        shown(20.5, State.OFFLINE, 2, "east"),
    ]
    assert found.shown_after_s() == [0.5, 0.25], "when it is online there"
    assert found.served_after_s() == pytest.approx([0.1, 0.3])
    assert found.faults() == {"false_offline": 1, "not_online": 2, "two_regions": 1}


async def test_a_link_counts_resets_and_swallows() -> None:
    broker_got, news, accepted = bytearray(), [], asyncio.Queue[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.put_nowait(writer)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100):
                broker_got.extend(data)
                writer.write(CONNACK)
        news.append("broker saw the end")

    async with asyncio.timeout(60), await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        link = Link(address, lambda: news.append("began"), lambda: news.append("ended"))
        port = await link.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"connect")
        assert await reader.readexactly(4) == CONNACK
        assert (bytes(broker_got), link.bytes, news) == (b"connect", 11, ["began"])
        link.strand()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        assert news == ["began"], "the broker hears nothing of it"
        reader, again = await asyncio.open_connection("127.0.0.1", port)
        again.write(b"connect")
        assert await reader.readexactly(4) == CONNACK
        link.dead = True
        again.write(b"lost")
        link.reset()
        while news.count("broker saw the end") < 2:  # the stranded one is reset too
            await asyncio.sleep(0.01)
        assert bytes(broker_got) == b"connect" * 2
        for each in (writer, again):
            each.close()
        link.close()


def test_a_script_is_the_same_again_and_has_all_kinds() -> None:
    names = [f"car-{number}" for number in range(10)]
    one, two = Script(names, 95, 7), Script(names, 95, 7)
    assert one.arrivals == two.arrivals
    assert sum(one.counts.values()) == 95
    assert all(one.counts.values())


async def test_seeded_episodes_on_the_real_register(plain_dsn: str) -> None:
    result = await play(plain_dsn, 50, 50, 7, lambda _: None)
    assert (result.false_offline, result.unsettled) == (0, 0)


async def test_a_register_that_believes_old_wills_is_found_out(
    plain_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def believes(held: Registration | None, claim: Claim, *args: Any, **options: Any) -> Outcome:
        if held is not None and claim.is_will:
            claim = msgspec.structs.replace(claim, epoch=max(claim.epoch, held.epoch))
        return fold(held, claim, *args, **options)

    monkeypatch.setattr(folding, "fold", believes)
    result = await play(plain_dsn, 50, 50, 7, lambda _: None)
    assert result.false_offline > 0
