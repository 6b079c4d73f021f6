"""The notes of commands on the disk: whatever is cut off, an id that was noted stays noted."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcell.contract.messages import Response, ResponseState
from vehicle_sim import command_book
from vehicle_sim.command_book import BookFullError, CommandBook, Config, Note
from vehicle_sim.journal import Journal

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
BOOT = "b" * 32


def note(number: int, *, done: bool = True, config: Config | None = None, minutes: int = 5) -> Note:
    outcome = Response(f"c{number}", ResponseState.SUCCEEDED, {"n": number}) if done else None
    return Note(f"c{number}", "ping", NOON + timedelta(minutes=minutes), BOOT, outcome, config)


def opened(path: Path) -> CommandBook:
    book = CommandBook(path)
    book.open()
    return book


def test_a_unit_without_commands_has_no_file(tmp_path: Path) -> None:
    book = opened(tmp_path / "commands.log")
    assert book.get("c1") is None
    book.close()
    assert list(tmp_path.iterdir()) == []


def test_notes_and_what_they_changed_are_there_after_a_restart(tmp_path: Path) -> None:
    book = opened(tmp_path / "commands.log")
    book.write(note(1, config=Config(rate_hz=2.0)), NOON)
    book.write(note(2, done=False), NOON)
    book.write(note(3, config=Config(rate_hz=2.0, locked=True)), NOON)
    book.close()
    again = opened(tmp_path / "commands.log")
    assert again.get("c1") == note(1, config=Config(rate_hz=2.0))
    assert again.unfinished == [note(2, done=False)]
    assert again.config == Config(rate_hz=2.0, locked=True)
    again.write(note(2), NOON)
    assert again.unfinished == []


def test_a_command_is_known_after_its_time_while_there_is_room(tmp_path: Path) -> None:
    book = opened(tmp_path / "commands.log")
    book.write(note(1), NOON)
    book.write(note(2), NOON + timedelta(hours=1))
    assert book.get("c1") == note(1)
    book.close()


def test_a_crash_at_every_byte_costs_only_what_was_not_acted_on(tmp_path: Path) -> None:
    """A note is acted on after it was written whole: those are all there, and none by halves."""
    path = tmp_path / "commands.log"
    book, written = opened(path), []
    notes = [note(1, done=False), note(1), note(2, config=Config(locked=True)), note(3, done=False)]
    for entry in notes:
        book.write(entry, NOON)
        written.append(path.stat().st_size)
    book.close()
    content = path.read_bytes()
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        survivor = opened(path)
        whole = [entry for entry, size in zip(notes, written, strict=True) if size <= cut]
        last = {entry.id: entry for entry in whole}
        assert {key: survivor.get(key) for key in ("c1", "c2", "c3")} == {
            key: last.get(key) for key in ("c1", "c2", "c3")
        }
        assert survivor.config == (Config(locked=True) if "c2" in last else Config())
        survivor.write(note(9), NOON)
        survivor.close()
        again = opened(path)
        assert again.get("c9") == note(9)
        assert all(again.get(entry.id) == last[entry.id] for entry in whole)
        again.close()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 11), st.booleans(), st.sampled_from([None, 1.0, 2.0])),
            st.just("restart"),
        ),
        max_size=40,
    )
)
def test_the_last_note_of_each_id_counts_whatever_is_rewritten_in_between(
    steps: list[tuple[int, bool, float | None] | str],
) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as small:
        small.setattr(command_book, "_SLACK", 3)  # rewrites all the time
        path = Path(directory) / "commands.log"
        book = opened(path)
        truth: dict[str, Note] = {}
        config = Config()
        for step in steps:
            if isinstance(step, str):
                book.close()
                book = opened(path)
            else:
                number, done, rate = step
                entry = note(number, done=done, config=Config(rate_hz=rate) if rate else None)
                book.write(entry, NOON)
                truth[entry.id] = entry
                config = entry.config or config
            assert book.config == config
            held = {key: book.get(key) for key in truth}
            assert {key: found and found.outcome for key, found in held.items()} == {
                key: entry.outcome for key, entry in truth.items()
            }
        assert {entry.id for entry in book.unfinished} == {
            key for key, entry in truth.items() if not entry.outcome
        }
        book.close()
        assert not path.exists() or path.stat().st_size < 20 * 300


@pytest.mark.parametrize("restarts", [False, True], ids=["at once", "with a restart between"])
def test_the_file_is_rewritten_when_so_many_records_count_no_more_and_no_sooner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    monkeypatch.setattr(command_book, "_SLACK", 3)
    path = tmp_path / "commands.log"
    book, sizes = opened(path), []
    for number in range(12):
        book.write(note(number % 2), NOON)
        if restarts:
            book.close()
            book = opened(path)
        sizes.append(records(path))
    book.close()
    # Two ids and three records more; a rewritten file has the ids, and one record of what they changed.
    assert sizes == [1, 2, 3, 4, 5, 3, 4, 5, 3, 4, 5, 3]


def records(path: Path) -> int:
    """How many are in a file; read from a copy of it."""
    copy = path.with_suffix(".copy")
    copy.write_bytes(path.read_bytes())
    journal = Journal(copy)
    found, damage = journal.open()
    journal.close()
    assert not damage.skipped
    assert not damage.torn_bytes
    return len(found)


def test_an_id_is_forgotten_only_when_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_book, "KEPT", 4)
    monkeypatch.setattr(command_book, "MAX_NOTES", 6)
    book = opened(tmp_path / "commands.log")
    for number in range(6):
        book.write(note(number, minutes=number), NOON)
    with pytest.raises(BookFullError, match="no room"):
        book.write(note(6), NOON - timedelta(minutes=1))
    assert book.get("c6") is None
    book.write(note(0, minutes=0), NOON)  # a known id always has its place
    book.write(note(7, minutes=9), NOON + timedelta(minutes=2.5))
    kept = [number for number in range(8) if book.get(f"c{number}")]
    assert kept == [3, 4, 5, 7]
    book.write(note(8, minutes=9), NOON + timedelta(minutes=3))
    assert book.get("c3"), "not over yet"


def test_a_command_under_way_is_never_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_book, "KEPT", 2)
    book = opened(tmp_path / "commands.log")
    book.write(note(1, done=False, minutes=0), NOON)
    for number in range(2, 8):
        book.write(note(number, minutes=0), NOON + timedelta(hours=number))
    assert book.unfinished == [note(1, done=False, minutes=0)]


def test_a_disk_that_is_full_takes_no_note_and_forgets_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = opened(tmp_path / "commands.log")
    book.write(note(1), NOON)
    with monkeypatch.context() as disk:
        disk.setattr(Journal, "_write", _no_space)
        with pytest.raises(OSError, match="No space left"):
            book.write(note(2, config=Config(locked=True)), NOON)
    assert (book.get("c1"), book.get("c2"), book.config) == (note(1), None, Config())
    book.write(note(3), NOON)
    book.close()
    again = opened(tmp_path / "commands.log")
    assert [bool(again.get(f"c{number}")) for number in (1, 2, 3)] == [True, False, True]


def _no_space(log: Journal, data: memoryview) -> None:
    raise OSError(28, "No space left on device")


def test_a_note_of_a_later_version_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "commands.log"
    journal = Journal(path)
    journal.open()
    journal.append(1, b'{"id":5}')
    journal.append(9, b"what may come")
    journal.close()
    book = opened(path)
    book.write(note(1), NOON)
    book.close()
    assert opened(path).get("c1") == note(1)
