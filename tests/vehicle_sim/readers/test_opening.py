"""Which reader for which file, and names over several files."""

import gzip
from pathlib import Path

import pytest

from vehicle_sim.readers import TraceError, open_traces

CSV = "time,speed\n0,1\n"
FCD = (
    '<fcd-export><timestep time="0">'
    '<vehicle id="v.1" x="1" y="1"/><vehicle id="v_1" x="1" y="1"/>'
    "</timestep></fcd-export>"
)
GPX = '<gpx version="1.1" creator="t"><trk><trkseg><trkpt lat="1" lon="1"/></trkseg></trk></gpx>'
OPENXC = '{"name":"x","value":1,"timestamp":1}'


@pytest.mark.parametrize(
    ("name", "text", "vehicles"),
    [
        ("a.fcd.xml", FCD, ["v_1-2", "v_1"]),
        ("a.xml", FCD, ["v_1-2", "v_1"]),
        ("a.gpx", GPX, ["a"]),
        ("a b.json", OPENXC, ["a_b"]),
        ("a.ndjson", OPENXC, ["a"]),
        ("a.jsonl", OPENXC, ["a"]),
        ("a.CSV", CSV, ["a"]),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_formats_by_suffix(
    tmp_path: Path, name: str, text: str, vehicles: list[str], compressed: bool
) -> None:
    path = tmp_path / (name + ".gz" if compressed else name)
    path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    assert [trace.vehicle for trace in open_traces([path])] == vehicles


def test_names_differ_over_files(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "car.csv" for folder in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(CSV)
    assert [t.vehicle for t in open_traces(paths)] == ["car", "car-2"]


def test_one_bad_file_refuses_all(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(CSV)
    bad.write_text(CSV + "1\n")
    with pytest.raises(TraceError, match=r"bad\.csv:3: 1 columns where the header has 2"):
        open_traces([good, bad])


def test_what_is_no_trace_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such file"):
        open_traces([tmp_path / "none.gpx"])
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TraceError, match="not a file"):
        open_traces([tmp_path / "folder.csv"])
    with pytest.raises(TraceError, match="unknown kind of file"):
        open_traces([tmp_path / "trace.kml"])
