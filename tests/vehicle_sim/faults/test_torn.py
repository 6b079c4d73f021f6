"""Spools whose last write a power cut has torn."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vehicle_sim.spools import open_spool
from vehicle_sim.faults.torn import tear

shares = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 5), shares)
def test_of_the_readings_only_the_last_one_is_lost(count: int, share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = open_spool(Path(folder))
        boot = spool.current.boot
        for number in range(count):
            spool.append(b"reading %d" % number)
        spool.close()
        assert "are left" in tear(spool.directory, share)
        again = open_spool(Path(folder))
        kept = again.get(boot)
        left = {} if kept is None else {seq: kept.read(seq) for seq in kept.pending}
        assert left == {seq: b"reading %d" % (seq - 1) for seq in range(1, count)}
        assert again.current.boot != boot
        again.close()


@given(shares)
def test_a_torn_note_of_an_acknowledgement_brings_the_reading_back(share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = open_spool(Path(folder))
        boot = spool.current.boot
        spool.append(b"one")
        spool.append(b"two")
        spool.settle(boot, ((1, 1),))
        spool.close()
        tear(spool.directory, share)
        again = open_spool(Path(folder))
        kept = again.get(boot)
        assert kept is not None
        assert list(kept.pending) == [1, 2]
        again.close()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_boot_without_readings_may_vanish_and_the_next_begins(tmp_path: Path, share: float) -> None:
    spool = open_spool(tmp_path)
    boot = spool.current.boot
    spool.close()
    tear(tmp_path, share)
    again = open_spool(tmp_path)
    assert again.get(boot) is None
    assert again.append(b"works") == (1, 0)
    again.close()
    (path,) = tmp_path.glob("*.log")
    path.write_bytes(b"")
    assert "nothing" in tear(tmp_path, share)
