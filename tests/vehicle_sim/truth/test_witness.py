"""What a witness keeps of a unit: numbers, checksums, what was given up, reachability, commands."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.commands import Refusal
from fleetcell.contract.messages import Command, Response, ResponseState
from tests.vehicle_sim.spools import open_spool
from vehicle_sim.truth.records import Answered, Change, Happened, Ordered, Reach, add, checksum
from vehicle_sim.truth.witness import Witness
from vehicle_sim.unit import Phase


def witness() -> tuple[Witness, list[Happened]]:
    told: list[Happened] = []
    return Witness("car", None, told.append), told


def reaches(told: list[Happened]) -> list[tuple[Reach, str]]:
    return [(one.reach, one.reason) for one in told if isinstance(one, Change)]


def test_a_day_of_a_unit() -> None:
    seen, told = witness()
    day = "DOWN UP UP DOWN UP DOZING ASLEEP DOWN DOWN UP DOZING DOWN UP LEAVING DOWN UP LEAVING GONE"
    for name in day.split():
        seen.look(Phase[name], 1)
    seen.killed(1)
    assert reaches(told) == [
        (Reach.REACHABLE, "first"),
        (Reach.DOWN, "link lost"),
        (Reach.REACHABLE, "after link lost"),
        (Reach.ASLEEP, "asleep"),
        (Reach.REACHABLE, "after asleep"),
        (Reach.ASLEEP, "asleep"),
        (Reach.DOWN, "link lost"),
        (Reach.REACHABLE, "after link lost"),
        (Reach.GONE, "gone"),
        (Reach.REACHABLE, "after gone"),
        (Reach.GONE, "gone"),
    ]


def test_a_unit_that_ends_without_a_word_was_killed() -> None:
    seen, told = witness()
    seen.killed(1)
    assert told == [], "it was never there"
    seen.look(Phase.UP, 1)
    seen.killed(1)
    seen.look(Phase.UP, 2)
    assert reaches(told) == [
        (Reach.REACHABLE, "first"), (Reach.DOWN, "killed"), (Reach.REACHABLE, "after killed")
    ]  # fmt: skip


def test_commands_and_answers_are_kept_and_only_the_last_word_is_final() -> None:
    seen, told = witness()
    seen.ordered(Command("c1", "ping", 1, datetime.now(UTC), {}))
    seen.answered(Response("c1", ResponseState.ACCEPTED))
    seen.answered(Response("c1", ResponseState.FAILED, code=Refusal.EPOCH))
    seen.answered(Response("c1", ResponseState.SUCCEEDED))
    assert [one.final for one in told if isinstance(one, Answered)] == [False, False, True]
    assert [one.id for one in told if isinstance(one, Ordered)] == ["c1"]
    assert msgspec.json.decode(msgspec.json.encode(told), type=list[Happened]) == told


def test_what_a_full_spool_evicts_and_what_waits_is_kept(tmp_path: Path) -> None:
    spool = open_spool(tmp_path / "car", max_bytes=4000)
    seen, _ = witness()
    for seq in range(1, 61):
        _, evicted = spool.append(b"x" * 80)
        seen.made(spool.current.boot, seq, seq, {})
        if evicted:
            seen.gave_up(spool.boots)
    boot = seen.boots[spool.current.boot]
    assert boot.evicted
    assert boot.evicted[0][0] == 1
    spool.settle(boot.boot, ((1, 50),))
    seen.settle(spool.boots)
    assert boot.pending == ((51, 60),)
    assert (boot.undeclared, boot.last_seq) == ((), 60)
    assert boot.evicted[0][0] == 1, "told and acknowledged, but still true"
    spool.close()


def test_what_was_rejected_is_not_evicted_as_well(tmp_path: Path) -> None:
    """The spool declares both alike."""
    spool = open_spool(tmp_path / "car")
    seen, _ = witness()
    for seq in (1, 2, 3):
        spool.append(b"reading")
        seen.made(spool.current.boot, seq, seq, {})
    spool.current.evict(((2, 2),))
    seen.gave_up(spool.boots, rejected=True)
    spool.current.evict(((1, 1),))
    seen.gave_up(spool.boots)
    boot = seen.boots[spool.current.boot]
    assert (boot.rejected, boot.evicted) == (((2, 2),), ((1, 1),))
    spool.close()


def test_what_a_loss_of_power_tore_off_is_found_at_the_next_power_up(tmp_path: Path) -> None:
    spool = open_spool(tmp_path / "car")
    seen, _ = witness()
    for seq in (1, 2, 3):
        spool.append(b"reading")
        seen.made(spool.current.boot, seq, seq, {})
    boot = spool.current.boot
    spool.close()
    (path,) = (tmp_path / "car").glob(f"*-{boot}.log")
    path.write_bytes(path.read_bytes()[:-3])
    again = open_spool(tmp_path / "car")
    seen.powered_up(again.boots)
    seen.settle(again.boots)
    assert (seen.boots[boot].torn, seen.boots[boot].pending) == (((3, 3),), ((1, 2),))
    again.close()


@given(st.permutations(range(1, 30)))
def test_the_order_of_readings_does_not_change_a_checksum(order: list[int]) -> None:
    def total(numbers: list[int]) -> int:
        found = 0
        for seq in numbers:
            found = add(found, checksum(seq, seq * 1000, 60.0 + seq, None))
        return found

    assert total(order) == total(sorted(order))
    assert total(order[1:]) != total(order)
