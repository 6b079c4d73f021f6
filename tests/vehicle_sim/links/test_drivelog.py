"""Logs of drive tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vehicle_sim.links.air import Change, Direction, Reception
from vehicle_sim.links.drivelog import read
from vehicle_sim.links.errors import LinkError
from vehicle_sim.links.recorded import DriveLogAir

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "Timestamp,Longitude,Latitude,Speed,CellID,NetworkMode,RSRP,DL_bitrate,UL_bitrate,State"
ROWS = """\
2020.02.13_15.02.01,-8.39,51.88,0,11,5G,-93,0,0,I
2020.02.13_15.02.02,-8.39,51.88,0,11,5G,-94,8000,80,D
2020.02.13_15.02.03,-8.38,51.88,5,11,5G,-95,16000,160,D
2020.02.13_15.02.03,-8.38,51.88,5,12,LTE,-96,800,40,D
2020.02.13_15.02.06,-8.37,51.88,5,12,LTE,-97,0,0,I
2020.02.13_15.02.07,-8.36,51.89,5,12,LTE,-,0,0,D
"""


def log_file(folder: Path, rows: str = ROWS, header: str = HEADER) -> Path:
    path = folder / "drive.csv"
    path.write_text(f"{header}\n{rows}")
    return path


def test_a_row_holds_until_the_next_one(tmp_path: Path) -> None:
    log = read(log_file(tmp_path))
    assert list(log.starts_s) == [0, 1, 2, 2.5, 5, 6]
    assert log.period_s == 7
    down = [log.rate(Direction.DOWN, t) for t in (0, 1, 1.9, 2, 2.5, 4.9, 5, 6)]
    first, wide, narrow = 1e6, 2e6, 1e5
    assert down == [
        (first, 1),  # idle before the first test: its first rate
        (first, 2),
        (first, 2),
        (wide, 2.5),  # two rows of one second share it
        (narrow, 5),
        (narrow, 5),
        (narrow, 6),  # idle: what was measured last holds
        (0.0, 7),  # no byte in a test: an outage
    ]
    assert log.rate(Direction.UP, 2.6) == (5000, 5)


def test_at_its_end_the_log_begins_again(tmp_path: Path) -> None:
    log = read(log_file(tmp_path))
    for t in (0.0, 1.5, 2.5, 6.25):
        (rate, until), (again, later) = log.rate(Direction.DOWN, t), log.rate(Direction.DOWN, t + 14)
        assert again == rate
        assert later == pytest.approx(until + 14)


def test_the_air_of_a_log_shows_its_cells_from_the_start_that_was_asked_for(tmp_path: Path) -> None:
    air = DriveLogAir(read(log_file(tmp_path)), start_s=1.0)
    assert air.reception == Reception("11", -94, "5G")
    assert air.next_change == 1
    assert air.rate(Direction.DOWN, 0.5) == (1e6, 1)
    (event,) = air.advance(2.0)
    assert (event.at, event.change, event.detail) == (1.5, Change.HANDOVER, "to 12")
    assert air.reception == Reception("12", -96, "LTE")
    assert air.position == (-8.38, 51.88)
    assert air.move(0.0, 0.0, 5.5) == []
    assert air.reception == Reception("12", None, "LTE")
    assert air.position == (-8.36, 51.89)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("2020-02-13,-8,51,0,1,5G,-93,1,1,D\n", r"drive\.csv:2: Timestamp '2020-02-13' is not like"),
        (ROWS + "2020.02.13_15.02.00,-8,51,0,1,5G,-9,1,1,D\n", r"drive\.csv:8: .* goes back in time"),
        ("2020.02.13_15.02.01,-8,91,0,1,5G,-93,1,1,D\n", r"drive\.csv:2: -8, 91 is no position"),
        ("2020.02.13_15.02.01,-,51,0,1,5G,-93,1,1,D\n", r"drive\.csv:2: -, 51 is no position"),
        ("2020.02.13_15.02.01,-8,51,0,1,5G,weak,1,1,D\n", r"drive\.csv:2: RSRP 'weak' is no number"),
        ("2020.02.13_15.02.01,-8,51,0,1,5G,-93,1,-1,D\n", r"drive\.csv:2: UL_bitrate -1 is below 0"),
        ("2020.02.13_15.02.01,-8,51,0,1,5G,-93,inf,1,D\n", r"drive\.csv:2: DL_bitrate 'inf' is no number"),
        ("2020.02.13_15.02.01,-8,51\n", r"drive\.csv:2: .*another number of columns"),
        ("2020.02.13_15.02.01,-8,51,0,1,5G,-93,1,1,D,x\n", r"drive\.csv:2: .*another number of columns"),
        ("2020.02.13_15.02.01,-8,51,0,1,5G,-93,0,0,D\n", "no row with a bit rate above 0"),
        ("", "no row with a bit rate above 0"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(LinkError, match=said):
        read(log_file(tmp_path, rows))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"drive\.csv:1: no column RSRP, UL_bitrate"):
        read(log_file(tmp_path, "", "Timestamp,Longitude,Latitude,DL_bitrate"))


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "drive.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LinkError, match="no CSV file"):
        read(tmp_path / "drive.csv")
