"""A bounded number of open files, however many are used: what was written is there, whatever was closed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vehicle_sim import journal
from vehicle_sim.journal import Journal
from vehicle_sim.open_files import OpenFiles


@given(
    most=st.integers(1, 4),
    acts=st.lists(st.tuples(st.integers(0, 5), st.binary(min_size=1, max_size=8)), max_size=40),
)
@settings(max_examples=50, deadline=None)
def test_journals_share_a_few_descriptors(
    most: int, acts: list[tuple[int, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journals")
    files = OpenFiles(most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "FILES", files)
        logs = [Journal(folder / f"{number}.log") for number in range(6)]
        written: list[list[tuple[int, bytes]]] = [[] for _ in logs]
        for log in logs:
            log.open()
        for number, body in acts:
            written[number].append((logs[number].append(1, body), body))
            assert len(files) <= most
        for log, bodies in zip(logs, written, strict=True):
            assert [log.read(offset, len(body)) for offset, body in bodies] == [body for _, body in bodies]
            log.close()
        assert len(files) == 0


def test_a_closed_journal_stays_closed(tmp_path: Path) -> None:
    log = Journal(tmp_path / "a.log")
    log.open()
    log.close()
    log.close()
    with pytest.raises(OSError, match="closed"):
        log.append(1, b"late")


def test_a_file_that_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    files = OpenFiles(1)
    first, second = tmp_path / "first", tmp_path / "second"
    number = files.open(first)
    files.open(second)
    first.unlink()
    with pytest.raises(FileNotFoundError):
        files.descriptor(number, first)


def test_the_one_that_was_not_used_longest_is_closed(tmp_path: Path) -> None:
    files = OpenFiles(2)
    paths = [tmp_path / name for name in "abc"]
    a, b = files.open(paths[0]), files.open(paths[1])
    kept = files.descriptor(a, paths[0])
    files.open(paths[2])
    assert files.descriptor(a, paths[0]) == kept
    os.write(files.descriptor(b, paths[1]), b"b")
    assert paths[1].read_bytes() == b"b"
