"""The epoch counter: each value is used once, across restarts and torn writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vehicle_sim.epoch import EpochCounter, UnitInUseError

if TYPE_CHECKING:
    from pathlib import Path


def opened(path: Path) -> EpochCounter:
    counter = EpochCounter(path)
    counter.open()
    return counter


def test_it_counts_on_after_a_restart(tmp_path: Path) -> None:
    first = opened(tmp_path / "epoch")
    assert [first.take() for _ in range(3)] == [1, 2, 3]
    first.close()
    assert opened(tmp_path / "epoch").take() == 4


def test_a_torn_write_leaves_the_epoch_before_it(tmp_path: Path) -> None:
    path = tmp_path / "epoch"
    counter = opened(path)
    for _ in range(5):
        counter.take()
    counter.close()
    whole = path.read_bytes()
    slot = (counter.value + 1) % 2 * 16  # where the next epoch is written
    for torn in range(1, 17):
        garbage = bytes(byte ^ 0xFF for byte in whole[slot : slot + torn])
        path.write_bytes(whole[:slot] + garbage + whole[slot + torn :])
        again = opened(path)
        assert again.value == 5
        again.close()


def test_an_epoch_that_another_session_used_is_passed_over(tmp_path: Path) -> None:
    counter = opened(tmp_path / "epoch")
    counter.learn(41)
    assert counter.take() == 42
    counter.learn(7)
    assert counter.take() == 43
    counter.close()
    assert opened(tmp_path / "epoch").value == 43


def test_a_unit_has_one_driver(tmp_path: Path) -> None:
    counter = opened(tmp_path / "epoch")
    with pytest.raises(UnitInUseError, match=tmp_path.name):
        EpochCounter(tmp_path / "epoch").open()
    counter.close()
    opened(tmp_path / "epoch").close()
