"""CSV with a header."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from vehicle_sim.readers.csvlog import read_csv
from vehicle_sim.readers.files import TraceFile
from vehicle_sim.readers.trace import Trace, TraceError


def read(path: Path, text: str) -> list[Trace]:
    path.write_text(text)
    return read_csv(TraceFile(path))


def test_a_drive_test_log(tmp_path: Path) -> None:
    text = """Timestamp,Longitude,Latitude,Speed,Operatorname,CellID,NetworkMode,RSRP,RSRQ,DL_bitrate,CELLHEX
2026.02.13_15.02.01,-8.396,51.887,34,B,11,5G,-93,-15,0,B
2026.02.13_15.02.03,-8.397,51.888,35,B,12,LTE,-94,-,2147483647,2909
"""
    (trace,) = read(tmp_path / "cork.csv", text)
    assert (trace.vehicle, trace.start) == ("cork", datetime(2026, 2, 13, 15, 2, 1, tzinfo=UTC))
    assert [r.t_s for r in trace.readings] == [0.0, 2.0]
    assert trace.readings[0].signals == {
        "lon": -8.396,
        "lat": 51.887,
        "speed": 34.0,
        "operatorname": "B",
        "cell": "11",
        "rat": "5G",
        "rsrp": -93.0,
        "rsrq": -15.0,
        "dl_bitrate": 0.0,
        "cellhex": "B",
    }
    second = trace.readings[1].signals
    assert "rsrq" not in second
    assert "dl_bitrate" not in second
    assert second["cellhex"] == "2909"  # text, because not all of its column are numbers


@pytest.mark.parametrize(
    ("header", "value", "key", "expected"),
    [
        ("Speed [m/s]", "10", "speed", 36.0),
        ("speed_mph", "10", "speed", 16.09344),
        ("Speed (km/h)", "10", "speed", 10.0),
        ("Bearing", "359.5", "heading", 359.5),
        ("odometer_m", "1500", "odo", 1.5),
        ("ignition", "On", "ignition", True),
        ("gear", "-1", "gear", -1),
        ("gear", "3.0", "gear", 3),
        ("Cell Id", "0x1F", "cell", "0x1F"),
        ("SoC", "55.5", "soc", 55.5),
        ("Wind (N)", "north-east", "wind_n", "north-east"),
        ("dtc", "P0300", "csv_dtc", "P0300"),
    ],
)
def test_columns(tmp_path: Path, header: str, value: str, key: str, expected: object) -> None:
    (trace,) = read(tmp_path / "a.csv", f"time,{header}\n0,{value}\n")
    assert trace.readings[0].signals == {key: expected}


@pytest.mark.parametrize(
    ("first", "second", "start", "t"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T02:00:01+02:00", datetime(2026, 1, 1, tzinfo=UTC), 1.0),
        ("2026-01-01 00:00:00", "2026-01-01 00:00:00.250", datetime(2026, 1, 1, tzinfo=UTC), 0.25),
        ("1767225600", "1767225601.5", datetime(2026, 1, 1, tzinfo=UTC), 1.5),
        ("1767225600000", "1767225600250", datetime(2026, 1, 1, tzinfo=UTC), 0.25),
        ("1767225600000000", "1767225600000250", datetime(2026, 1, 1, tzinfo=UTC), 0.00025),
        ("5", "7.5", None, 2.5),
    ],
)
def test_times(tmp_path: Path, first: str, second: str, start: datetime | None, t: float) -> None:
    (trace,) = read(tmp_path / "a.csv", f"time,speed\n{second},2\n{first},1\n")
    assert trace.start == start
    assert [r.signals["speed"] for r in trace.readings] == [1.0, 2.0]  # sorted
    assert [r.t_s for r in trace.readings] == pytest.approx([0.0, t], abs=1e-6)


def test_vehicles_separators_and_quotes(tmp_path: Path) -> None:
    text = 'vehicle;t;note\nb;1;"one; two"\na;0;"three\nfour"\nb;0;""\n\n'
    b, a = read(tmp_path / "x.csv", text)
    assert (b.vehicle, a.vehicle) == ("b", "a")
    assert [(r.t_s, r.signals) for r in b.readings] == [(0.0, {}), (1.0, {"note": "one; two"})]
    assert [(r.t_s, r.signals) for r in a.readings] == [(0.0, {"note": "three\nfour"})]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "the file is empty"),
        ("time,speed\n", 1, "a header, but no row"),
        ("speed,lat,lon\n1,2,3\n", 1, "no time column: one of time"),
        ("time\n1\n", 1, "no column beside the time"),
        ("time,lat\n1,2\n", 1, "a latitude or a longitude column without the other"),
        ("time,lat,latitude,lon\n1,2,2,3\n", 1, "columns 'lat' and 'latitude' both give lat"),
        ("time,,speed\n1,2,3\n", 1, "column 2 has no name"),
        ("time,lat,lon\n0,1,1\n1,60.1,2", None, None),
        ("time,lat,lon\n0,1,1\n1,60.1", 3, "2 columns where the header has 3: is the line cut off"),
        ("time,lat,lon\n0,1,1\n1,60.1,2,3\n", 3, "4 columns where the header has 3"),
        ("time,lat,lon\n0,91,1\n", 2, "latitude 91 is outside"),
        ("time,lat,lon\n0,1,-180.5\n", 2, "longitude -180.5 is outside"),
        ("time,lat,lon\n0,1,-\n", 2, "a row with latitude alone"),
        ("time,speed\n0,1\n1,fast\n", 3, "speed 'fast' is not a number"),
        ("time,speed\n0,inf\n", 2, "speed 'inf' is not a number"),
        ("time,gear\n0,1.5\n", 2, "gear '1.5' is not a whole number"),
        ("time,ignition\n0,perhaps\n", 2, "ignition 'perhaps' is not true or false"),
        ("time,speed\nnoon,1\n", 2, "time 'noon' is neither"),
        ("time,speed\n-,1\n", 2, "time '-' is neither"),
        ("time,speed\n1e300,1\n", 2, "after the year 9999"),
        ("time,speed\n0,1\n2026-01-01T00:00:00Z,1\n", 3, "not of the same kind"),
        ('time,note\n0,"open\n', 2, "not CSV"),
        ("time,vehicle,speed\n0,,1\n", 2, "no vehicle in the vehicle column"),
    ],
)
def test_refused_with_line_and_reason(
    tmp_path: Path, text: str, line: int | None, reason: str | None
) -> None:
    if reason is None:  # a last line without an end is a whole line
        assert len(read(tmp_path / "a.csv", text)[0].readings) == 2
        return
    with pytest.raises(TraceError, match=reason) as caught:
        read(tmp_path / "a.csv", text)
    assert caught.value.line == line
