"""The epoch counter: each value is used once, across restarts and torn writes."""

from __future__ import annotations

import asyncio
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


def test_a_prepared_epoch_is_on_the_disk_before_it_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "epoch"
    counter = opened(path)
    asyncio.run(counter.prepare())
    before = path.read_bytes()
    assert counter.value == 0
    assert counter.take() == 1
    assert path.read_bytes() == before
    counter.close()
    assert opened(path).value == 1


def test_an_epoch_prepared_too_early_is_passed_over(tmp_path: Path) -> None:
    counter = opened(tmp_path / "epoch")
    asyncio.run(counter.prepare())
    counter.learn(5)
    assert counter.take() == 6


def test_two_links_of_a_unit_never_share_an_epoch(tmp_path: Path) -> None:
    counter = opened(tmp_path / "epoch")
    taken: list[int] = []

    async def connect() -> None:
        for _ in range(20):
            await counter.prepare()
            taken.append(counter.take())

    async def both() -> None:
        await asyncio.gather(connect(), connect())

    asyncio.run(both())
    assert taken == list(range(1, 41))
    counter.close()
    assert opened(tmp_path / "epoch").value >= 40


def test_nothing_is_written_once_the_unit_is_given_up(tmp_path: Path) -> None:
    counter = opened(tmp_path / "epoch")
    counter.close()
    with pytest.raises(OSError, match="closed"):
        asyncio.run(counter.prepare())
    assert opened(tmp_path / "epoch").value == 0
