"""The spool against a model: whatever is made, acknowledged, evicted or killed, no reading is forgotten."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from fleetcell.contract import ledger
from tests.vehicle_sim.spools import open_spool
from vehicle_sim import boot_log
from vehicle_sim.epoch import UnitInUseError
from vehicle_sim.spool import MAX_READING, Spool, SpoolError


def held(spool: Spool) -> dict[tuple[str, int], bytes]:
    """What waits, with its data."""
    return {(log.boot, seq): log.read(seq) for log in spool.boots for seq in log.pending}


def test_a_reading_stays_until_it_is_acknowledged(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    numbers = [spool.append(data)[0] for data in (b"a", b"b", b"c")]
    assert numbers == [1, 2, 3]
    boot = spool.current.boot
    assert spool.settle(boot, ((2, 2),)) == 1
    assert held(spool) == {(boot, 1): b"a", (boot, 3): b"c"}
    assert spool.settle(boot, ((1, 3),)) == 2
    assert spool.settle(boot, ((1, 3),)) == 0
    assert spool.pending_count == 0


def test_each_power_up_is_a_new_boot_and_keeps_what_the_earlier_ones_left(tmp_path: Path) -> None:
    first = open_spool(tmp_path)
    boot = first.current.boot
    first.append(b"old")
    first.close()
    second = open_spool(tmp_path)
    assert second.current.boot != boot
    assert len(bytes.fromhex(second.current.boot)) == 16
    assert second.previous == (boot, 1)
    assert second.append(b"new")[0] == 1
    assert [log.boot for log in second.boots] == [boot, second.current.boot]
    assert held(second)[boot, 1] == b"old"


def test_the_newest_earlier_boot_with_readings_is_remembered_and_older_ones_go(tmp_path: Path) -> None:
    boots = []
    for _ in range(3):
        spool = open_spool(tmp_path)
        boots.append(spool.current.boot)
        spool.append(b"reading")
        spool.settle(spool.current.boot, ((1, 1),))
        spool.close()
    open_spool(tmp_path).close()  # a boot without readings
    spool = open_spool(tmp_path)
    assert spool.previous == (boots[2], 1)
    assert [log.boot for log in spool.boots] == [boots[2], spool.current.boot]
    assert len(list(tmp_path.glob("*.log"))) == 2


def test_a_restart_in_one_process_is_a_power_up_too(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    first = spool.current.boot
    spool.append(b"old")
    spool.restart()
    second = spool.current.boot
    spool.append(b"new")
    spool.restart()
    assert len({first, second, spool.current.boot}) == 3
    assert spool.previous == (second, 1)
    assert held(spool) == {(first, 1): b"old", (second, 1): b"new"}
    spool.settle(first, ((1, 1),))
    spool.settle(second, ((1, 1),))
    assert [log.boot for log in spool.boots] == [second, spool.current.boot]
    last = spool.current.boot
    spool.close()
    again = open_spool(tmp_path)
    assert again.previous == (second, 1)
    assert last not in [log.boot for log in again.boots], "it had no readings"
    again.close()


def test_restarts_leave_no_files_of_what_was_settled(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    for _ in range(4):
        boot = spool.current.boot
        spool.append(b"one")
        spool.settle(boot, ((1, 1),))
        spool.restart()
        assert [log.boot for log in spool.boots] == [boot, spool.current.boot]
    assert len(list(tmp_path.glob("*.log"))) == 2
    spool.close()


def test_an_acknowledgement_for_more_than_was_made_settles_what_was(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.append(b"one")
    assert spool.settle(spool.current.boot, ((1, ledger.MAX_SEQ),)) == 1
    assert spool.append(b"two")[0] == 2
    assert spool.pending_count == 1
    assert spool.settle("f" * 32, ((1, 9),)) == 0


def test_a_full_spool_evicts_the_oldest_and_says_so_until_it_is_acknowledged(tmp_path: Path) -> None:
    first = open_spool(tmp_path, max_bytes=2000)
    old = first.current.boot
    first.append(bytes(600))
    first.append(bytes(600))
    first.close()
    spool = open_spool(tmp_path, max_bytes=2000)
    new = spool.current.boot
    evicted = sum(spool.append(bytes(600))[1] for _ in range(5))
    assert spool.live_bytes <= 2000
    assert spool.evicted(old) == ((1, 2),)
    assert evicted == 2 + ledger.count(spool.evicted(new))
    assert ledger.union(spool.evicted(new), ledger.from_numbers(spool.current.pending)) == ((1, 5),)
    spool.close()
    again = open_spool(tmp_path, max_bytes=2000)
    assert again.evicted(old) == ((1, 2),)
    again.settle(old, ((1, 2),))
    assert again.evicted(old) == ()
    assert again.get(old) is None


def test_a_reading_is_kept_even_when_it_alone_is_more_than_the_spool_may_hold(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, max_bytes=100)
    spool.append(bytes(500))
    seq, _ = spool.append(bytes(500))
    assert list(spool.current.pending) == [seq]


def test_a_reading_that_is_too_large_is_refused(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    with pytest.raises(SpoolError, match="at most"):
        spool.append(bytes(MAX_READING + 1))
    assert spool.append(b"next")[0] == 1


def test_a_file_that_is_mostly_dead_is_rewritten(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    boot = spool.current.boot
    for _ in range(1000):
        spool.append(bytes(1000))
    spool.append(b"alive")
    spool.settle(boot, ((1, 1000),))
    (file,) = tmp_path.glob("*.log")
    assert file.stat().st_size < 1000
    assert held(spool) == {(boot, 1001): b"alive"}
    assert spool.append(b"next")[0] == 1002
    spool.close()
    again = open_spool(tmp_path)
    assert held(again) == {(boot, 1001): b"alive", (boot, 1002): b"next"}
    assert again.previous == (boot, 1002)


def test_a_rewritten_file_knows_what_was_evicted_and_its_last_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot_log, "_COMPACT_AT", 200)
    spool = open_spool(tmp_path)
    boot = spool.current.boot
    for _ in range(20):
        spool.append(bytes(100))
    spool.current.evict(((1, 3),))
    spool.settle(boot, ((4, 20),))
    (file,) = tmp_path.glob("*.log")
    assert file.stat().st_size < 200
    spool.close()
    again = open_spool(tmp_path)
    assert (again.evicted(boot), again.previous) == (((1, 3),), (boot, 20))
    again.close()


def test_what_is_an_event_is_known_as_long_as_it_waits(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    boot = spool.current.boot
    for number in range(1, 1002):
        spool.append(bytes(1000), event=number in (7, 1000, 1001))
    spool.settle(boot, ((1, 999),))
    (file,) = tmp_path.glob("*.log")
    assert file.stat().st_size < 10_000, "it was rewritten"
    assert [spool.is_event(boot, seq) for seq in (7, 999, 1000, 1001)] == [False, False, True, True]
    spool.append(b"a reading")
    spool.close()
    again = open_spool(tmp_path)
    assert [again.is_event(boot, seq) for seq in (1000, 1001, 1002)] == [True, True, False]
    assert not again.is_event("f" * 32, 1000)
    again.settle(boot, ((1000, 1000),))
    assert not again.is_event(boot, 1000)


def test_a_damaged_record_is_declared_as_evicted(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    boot = spool.current.boot
    for data in (b"first", b"second", b"third"):
        spool.append(data)
    spool.close()
    (file,) = tmp_path.glob("*.log")
    file.write_bytes(file.read_bytes().replace(b"second", b"SECOND"))
    again = open_spool(tmp_path)
    assert held(again) == {(boot, 1): b"first", (boot, 3): b"third"}
    assert again.evicted(boot) == ((2, 2),)


def test_a_damaged_header_costs_no_reading(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    boot = spool.current.boot
    spool.append(b"first")
    spool.close()
    (file,) = tmp_path.glob("*.log")
    file.write_bytes(file.read_bytes().replace(b"fcs1", b"FCS1"))
    again = open_spool(tmp_path)
    assert held(again) == {(boot, 1): b"first"}
    assert again.previous == (boot, 1)


def test_a_file_that_was_cut_off_before_anything_was_whole_goes(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.close()
    (file,) = tmp_path.glob("*.log")
    file.write_bytes(file.read_bytes()[:-1])
    again = open_spool(tmp_path)
    assert again.previous is None
    assert [log.boot for log in again.boots] == [again.current.boot]
    assert not file.exists()


def test_a_folder_that_cannot_be_used_is_told_and_given_up(tmp_path: Path) -> None:
    (tmp_path / "in-the-way").write_text("a file")
    with pytest.raises(SpoolError, match="in-the-way cannot be used: "):
        open_spool(tmp_path / "in-the-way")


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes-of-mine.log").write_text("mine")
    open_spool(tmp_path).append(b"x")
    assert (tmp_path / "notes-of-mine.log").read_text() == "mine"


def test_two_simulators_cannot_drive_one_unit(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    with pytest.raises(UnitInUseError):
        open_spool(tmp_path)
    spool.close()
    open_spool(tmp_path).close()


@settings(max_examples=12)
@given(st.lists(st.binary(max_size=12), min_size=1, max_size=4), st.booleans())
def test_killed_at_every_byte_of_the_last_record(readings: list[bytes], acked_first: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        original = Path(folder) / "original"
        spool = open_spool(original)
        boot = spool.current.boot
        for data in readings:
            spool.append(data)
            if acked_first:
                spool.settle(boot, ((1, 1),))
        spool.close()
        (file,) = original.glob("*.log")
        whole = file.read_bytes()
        last = 9 + 8 + len(readings[-1]) if not acked_first or len(readings) > 1 else 9 + 16
        before = {(boot, seq): data for seq, data in enumerate(readings, 1) if not (acked_first and seq == 1)}
        gone = {(boot, 1): readings[0]} if acked_first and len(readings) == 1 else None
        for cut in range(1, last + 1):
            torn = Path(folder) / f"torn-{cut}"
            shutil.copytree(original, torn)
            (torn / file.name).write_bytes(whole[:-cut])
            again = open_spool(torn)
            expected = gone if gone is not None else {k: v for k, v in before.items() if k[1] < len(readings)}
            assert held(again) == expected
            again.close()


class SpoolMachine(RuleBasedStateMachine):
    """Any order of making, acknowledging, restarting and being killed, against a plain dictionary."""

    seqs: Bundle[tuple[str, int]] = Bundle("seqs")

    @initialize()
    def power_up(self) -> None:
        self.compact_at = boot_log._COMPACT_AT
        boot_log._COMPACT_AT = 200  # type: ignore[misc] # so that the machine sees rewrites
        self.directory = Path(tempfile.mkdtemp())
        self.max_bytes = 1500
        self.spool = open_spool(self.directory, max_bytes=self.max_bytes)
        self.waiting: dict[tuple[str, int], bytes] = {}
        self.settled: set[tuple[str, int]] = set()
        self.last: dict[str, int] = {}

    @rule(target=seqs, data=st.binary(max_size=200))
    def make(self, data: bytes) -> tuple[str, int]:
        boot = self.spool.current.boot
        seq, _ = self.spool.append(data)
        assert seq == self.last.get(boot, 0) + 1
        self.last[boot] = seq
        self.waiting[boot, seq] = data
        self._take_evictions()
        return boot, seq

    @rule(seq=seqs)
    def acknowledge(self, seq: tuple[str, int]) -> None:
        boot, number = seq
        expected = int(seq in self.waiting)
        assert self.spool.settle(boot, ((number, number),)) == expected
        self.waiting.pop(seq, None)
        self.settled.add(seq)

    @rule(seq=seqs)
    def acknowledge_up_to(self, seq: tuple[str, int]) -> None:
        boot, number = seq
        self.spool.settle(boot, ((1, number),))
        for other in range(1, number + 1):
            self.waiting.pop((boot, other), None)
            self.settled.add((boot, other))

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = open_spool(self.directory, max_bytes=self.max_bytes)

    @rule()
    def reboot(self) -> None:
        before = self.spool.current.boot
        self.spool.restart()
        assert self.spool.current.boot != before

    def _take_evictions(self) -> None:
        for log in self.spool.boots:
            for number in ledger.numbers(log.evicted):
                self.waiting.pop((log.boot, number), None)

    @invariant()
    def the_last_boot_with_readings_is_known(self) -> None:
        if hasattr(self, "spool"):
            earlier = [boot for boot in self.last if boot != self.spool.current.boot]
            expected = (earlier[-1], self.last[earlier[-1]]) if earlier else None
            assert self.spool.previous == expected

    @invariant()
    def nothing_is_forgotten(self) -> None:
        if not hasattr(self, "spool"):
            return
        assert held(self.spool) == self.waiting
        evicted = {(log.boot, n) for log in self.spool.boots for n in ledger.numbers(log.evicted)}
        assert not evicted & set(self.waiting)
        everything = {(boot, n) for boot, last in self.last.items() for n in range(1, last + 1)}
        assert everything == set(self.waiting) | evicted | self.settled, "every number is explained"
        assert self.spool.live_bytes <= self.max_bytes

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
            boot_log._COMPACT_AT = self.compact_at  # type: ignore[misc]
            shutil.rmtree(self.directory)


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(max_examples=25, stateful_step_count=30)
