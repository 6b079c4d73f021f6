"""The journal: what was written whole is read back, whatever becomes of the end of the file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim import journal
from vehicle_sim.journal import Journal, encode, scan

if TYPE_CHECKING:
    from pathlib import Path

BODIES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), min_size=1, max_size=6)


@given(BODIES)
def test_records_are_read_back_with_their_places(bodies: list[tuple[int, bytes]]) -> None:
    data = b"".join(encode(kind, body) for kind, body in bodies)
    records, end, damage = scan(data)
    assert [(record.kind, record.body) for record in records] == bodies
    assert all(data[r.offset : r.offset + len(r.body)] == r.body for r in records)
    assert (end, damage.skipped, damage.torn_bytes) == (len(data), 0, 0)


@given(BODIES)
def test_a_torn_tail_costs_only_the_last_record_at_every_byte_of_it(bodies: list[tuple[int, bytes]]) -> None:
    whole = b"".join(encode(kind, body) for kind, body in bodies[:-1])
    last = encode(*bodies[-1])
    for cut in range(len(last)):
        records, end, damage = scan(whole + last[:cut])
        assert [(record.kind, record.body) for record in records] == bodies[:-1]
        assert end == len(whole)
        assert damage.torn_bytes == cut


@given(BODIES, st.data())
def test_a_flipped_bit_costs_no_record_before_it(
    bodies: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    content = bytearray(b"".join(encode(kind, body) for kind, body in bodies))
    victim = data.draw(st.integers(0, len(content) - 1))
    content[victim] ^= 1 << data.draw(st.integers(0, 7))
    ends = [sum(len(encode(*body)) for body in bodies[: n + 1]) for n in range(len(bodies))]
    untouched = sum(end <= victim for end in ends)
    records, _, _ = scan(bytes(content))
    assert [(record.kind, record.body) for record in records[:untouched]] == bodies[:untouched]
    assert len(records) < len(bodies)


def test_a_damaged_body_in_the_middle_costs_only_itself() -> None:
    content = bytearray(encode(1, b"first") + encode(1, b"second") + encode(1, b"third"))
    content[len(encode(1, b"first")) + journal.HEAD_SIZE] ^= 0xFF
    records, _, damage = scan(bytes(content))
    assert [record.body for record in records] == [b"first", b"third"]
    assert damage.skipped == 1


def test_appending_goes_on_after_a_torn_tail(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(encode(1, b"whole") + encode(1, b"torn")[:-1])
    torn = Journal(path)
    records, damage = torn.open()
    assert [record.body for record in records] == [b"whole"]
    assert damage.torn_bytes > 0
    torn.append(1, b"next")
    torn.close()
    assert [record.body for record in Journal(path).open()[0]] == [b"whole", b"next"]


def test_replace_puts_other_records_in_place(tmp_path: Path) -> None:
    log = Journal(tmp_path / "log")
    log.open()
    for number in range(100):
        log.append(1, b"%d" % number)
    offsets = log.replace([(1, b"kept"), (2, b"too")])
    assert [log.read(offset, length) for offset, length in zip(offsets, (4, 3), strict=True)] == [
        b"kept",
        b"too",
    ]
    log.append(3, b"after")
    log.close()
    assert [record.body for record in Journal(tmp_path / "log").open()[0]] == [b"kept", b"too", b"after"]
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_what_a_killed_rewrite_left_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "log.new").write_bytes(encode(1, b"from before"))
    log = Journal(tmp_path / "log")
    log.open()
    log.replace([(1, b"kept")])
    log.close()
    assert [record.body for record in Journal(tmp_path / "log").open()[0]] == [b"kept"]


def test_a_write_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Journal(tmp_path / "log")
    log.open()
    log.append(1, b"before")
    size = log.size
    with monkeypatch.context() as disk:
        disk.setattr(Journal, "_write", _half_a_write)
        with pytest.raises(OSError, match="No space left"):
            log.append(1, b"lost")
    assert log.path.stat().st_size == log.size == size
    log.append(1, b"after")
    assert [record.body for record in Journal(log.path).open()[0]] == [b"before", b"after"]


def _half_a_write(log: Journal, data: memoryview) -> None:
    os.pwrite(log._fd, data[: len(data) // 2], log.size)
    raise OSError(28, "No space left on device")


def test_a_body_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        encode(1, bytes(journal.MAX_BODY + 1))
