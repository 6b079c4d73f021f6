"""Bytes and lines of trace files, plain and compressed."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.readers.files import TraceFile
from vehicle_sim.readers.trace import TraceError


def write(path: Path, data: bytes) -> TraceFile:
    path.write_bytes(data)
    return TraceFile(path)


@given(
    lines=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0\ufeff")), max_size=20),
    compressed=st.booleans(),
    ended=st.booleans(),
)
def test_lines_come_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], compressed: bool, ended: bool
) -> None:
    text = "".join(f"{line}\n" for line in lines) + ("" if ended else "last")
    data = text.encode()
    file = write(tmp_path_factory.mktemp("f") / "a.csv", gzip.compress(data) if compressed else data)
    assert list(file.lines()) == lines + ([] if ended else ["last"])


def test_line_numbers_follow_the_lines(tmp_path: Path) -> None:
    file = write(tmp_path / "a", b"one\r\ntwo\nthree")
    assert [(file.line, line) for line in file.lines()] == [(1, "one"), (2, "two"), (3, "three")]


def test_long_files_are_read_in_pieces(tmp_path: Path) -> None:
    lines = [f"line {number} " + "x" * 1000 for number in range(500)]
    assert list(write(tmp_path / "a", "\n".join(lines).encode()).lines()) == lines


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    assert list(write(tmp_path / "a", b"\xef\xbb\xbftime,lat\n").lines()) == ["time,lat"]


def test_cut_compressed_data_tell_the_line(tmp_path: Path) -> None:
    text = "".join(f"{number * number}\n" for number in range(10_000)).encode()
    file = write(tmp_path / "a.csv.gz", gzip.compress(text)[:-2000])
    with pytest.raises(TraceError, match=r"a\.csv\.gz:\d+: the compressed data end too early") as caught:
        list(file.lines())
    assert caught.value.line is not None
    assert 1000 < caught.value.line <= 10_000


def test_damaged_compressed_data_are_refused(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(b"a line\n" * 1000))
    data[-6] ^= 0xFF  # in the checksum
    with pytest.raises(TraceError, match="the compressed data are damaged"):
        list(write(tmp_path / "a.csv.gz", bytes(data)).lines())


def test_what_is_not_text_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="a:2: not UTF-8 text"):
        list(write(tmp_path / "a", b"fine\n\xff\xfe\n").lines())
    with pytest.raises(TraceError, match="a:1: a NUL byte"):
        list(write(tmp_path / "a", b"\0\0\0\n").lines())


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="cannot be read: No such file"):
        list(TraceFile(tmp_path / "none.csv").chunks())


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("bologna.fcd.xml.gz", "bologna"),
        ("drive.gpx", "drive"),
        ("my.car.json", "my.car"),
        (".csv", ".csv"),
        ("A.CSV.GZ", "A"),
    ],
)
def test_stem(name: str, stem: str) -> None:
    assert TraceFile(Path(name)).stem == stem
