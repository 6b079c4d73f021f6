"""GPX tracks and routes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from vehicle_sim.readers.files import TraceFile
from vehicle_sim.readers.gpx import read_gpx
from vehicle_sim.readers.trace import TraceError

HEAD = '<gpx xmlns="http://www.topografix.com/GPX/1/1" xmlns:x="urn:x" version="1.1" creator="test">'


def point(lat: float, lon: float, inside: str = "", kind: str = "trkpt") -> str:
    return f'<{kind} lat="{lat}" lon="{lon}">{inside}</{kind}>\n'


def file(path: Path, *parts: str) -> TraceFile:
    path.write_text(HEAD + "\n" + "\n".join(parts) + "\n</gpx>")
    return TraceFile(path)


def track(*points: str, name: str = "t") -> str:
    return f"<trk><name>{name}</name><trkseg>\n{''.join(points)}</trkseg></trk>"


def test_times_positions_and_derived_speed(tmp_path: Path) -> None:
    (trace,) = read_gpx(
        file(
            tmp_path / "drive.gpx",
            track(
                point(60.0, 25.0, "<ele>12.5</ele><time>2026-01-01T10:00:00Z</time>"),
                point(60.001, 25.0, "<time>2026-01-01T10:00:10Z</time>"),
                point(60.001, 25.0, "<time>2026-01-01T12:00:20+02:00</time>"),
            ),
        )
    )
    assert trace.vehicle == "drive"
    assert trace.start == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert [r.t_s for r in trace.readings] == [0.0, 10.0, 20.0]
    first, second, third = (r.signals for r in trace.readings)
    assert first == {"lat": 60.0, "lon": 25.0, "alt": 12.5, "heading": 0.0}  # as it will set off
    # 111.4 m of meridian in 10 s
    assert second["speed"] == pytest.approx(40.1, abs=0.1)
    assert second["heading"] == pytest.approx(0.0, abs=0.01)
    assert (third["speed"], third["heading"]) == (0.0, second["heading"])  # standing, it looks the same way


def test_what_the_point_says_goes_before_what_is_worked_out(tmp_path: Path) -> None:
    extension = (
        "<extensions><x:speed>10</x:speed><x:course>90</x:course>"
        "<x:hr>120</x:hr><x:note>hi</x:note></extensions>"
    )
    (trace,) = read_gpx(
        file(
            tmp_path / "d.gpx",
            track(
                point(1, 1, "<time>2026-01-01T10:00:00Z</time>"),
                point(2, 1, "<time>2026-01-01T10:00:01Z</time>" + extension),
            ),
        )
    )
    signals = trace.readings[1].signals
    assert (signals["speed"], signals["heading"], signals["hr"], signals["note"]) == (36.0, 90.0, 120.0, "hi")


def test_routes_where_there_is_no_track(tmp_path: Path) -> None:
    route = "<rte><name>r</name>" + point(1, 1, kind="rtept") + point(1.0001, 1, kind="rtept") + "</rte>"
    (trace,) = read_gpx(file(tmp_path / "a.gpx", route))
    assert len(trace.readings) == 2
    both = read_gpx(file(tmp_path / "b.gpx", route, track(point(5, 5))))
    assert [t.readings[0].signals["lat"] for t in both] == [5.0]


def test_without_times_the_vehicle_drives_at_40_kmh(tmp_path: Path) -> None:
    (trace,) = read_gpx(
        file(tmp_path / "a.gpx", track(point(60, 25), point(60.001, 25), point(60.001, 25), name=""))
    )
    assert trace.start is None
    t = [r.t_s for r in trace.readings]
    assert t[0] == 0.0
    assert t[1] == pytest.approx(111.41 / (40 / 3.6), abs=0.01)
    assert t[2] == pytest.approx(t[1] + 1.0)  # at least a second


def test_missing_times_are_spread_by_distance(tmp_path: Path) -> None:
    (trace,) = read_gpx(
        file(
            tmp_path / "a.gpx",
            track(
                point(60, 25, "<time>2026-01-01T10:00:00Z</time>"),
                point(60.001, 25),
                point(60.004, 25, "<time>2026-01-01T10:00:40Z</time>"),
                point(60.005, 25),
            ),
        )
    )
    t = [r.t_s for r in trace.readings]
    assert t[:3] == pytest.approx([0.0, 10.0, 40.0], abs=0.01)
    assert t[3] == pytest.approx(50.03, abs=0.01)


def test_several_tracks_share_a_clock(tmp_path: Path) -> None:
    late = track(point(1, 1, "<time>2026-01-01T10:01:00Z</time>"), name="late bus")
    early = track(point(2, 2, "<time>2026-01-01T10:00:00Z</time>"), name="early")
    traces = read_gpx(file(tmp_path / "a.gpx", late, early))
    assert [(t.vehicle, t.readings[0].t_s) for t in traces] == [("a-late bus", 60.0), ("a-early", 0.0)]


def test_points_out_of_order_are_sorted(tmp_path: Path) -> None:
    (trace,) = read_gpx(
        file(
            tmp_path / "a.gpx",
            track(
                point(1, 1, "<time>2026-01-01T10:00:05Z</time>"),
                point(2, 1, "<time>2026-01-01T10:00:00Z</time>"),
            ),
        )
    )
    assert [r.t_s for r in trace.readings] == [0.0, 5.0]
    assert [r.signals["lat"] for r in trace.readings] == [2.0, 1.0]


@pytest.mark.parametrize(
    ("body", "line", "reason"),
    [
        (track(point(1, 1), point(91, 1)), 4, "latitude 91 is outside"),
        (track(point(1, 1), '<trkpt lat="1">\n</trkpt>'), 4, "without lat and lon"),
        (track(point(1, 1), '<trkpt lat="north" lon="1"/>\n'), 4, "not numbers"),
        (track(point(1, 1, "<time>yesterday</time>")), 3, "'yesterday' is not a time"),
        (track(point(1, 1, "<ele>high</ele>")), 3, "'high' is not a number"),
        ("<metadata/>", 3, "no track point and no route point"),
    ],
)
def test_refused_with_line_and_reason(tmp_path: Path, body: str, line: int, reason: str) -> None:
    with pytest.raises(TraceError, match=reason) as caught:
        read_gpx(file(tmp_path / "a.gpx", body))
    assert caught.value.line == line


def test_empty_elements_say_nothing(tmp_path: Path) -> None:
    (trace,) = read_gpx(file(tmp_path / "a.gpx", track(point(1, 1, "<ele></ele><time/>"))))
    assert (trace.start, trace.readings[0].signals) == (None, {"lat": 1.0, "lon": 1.0})


def test_times_in_extensions_are_not_the_points(tmp_path: Path) -> None:
    inside = "<extensions><x:time>14545</x:time></extensions>"
    (trace,) = read_gpx(file(tmp_path / "a.gpx", track(point(1, 1, inside))))
    assert trace.readings[0].signals["time"] == 14545.0


@pytest.mark.parametrize("cut", [3, 60, 150, 230])
def test_a_cut_file_is_refused(tmp_path: Path, cut: int) -> None:
    whole = file(tmp_path / "a.gpx", track(point(1, 1), point(1.1, 1.1), point(1.2, 1.2)))
    data = whole.path.read_bytes()
    whole.path.write_bytes(data[:cut])
    with pytest.raises(TraceError, match="ends too early"):
        read_gpx(whole)


def test_other_xml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gpx"
    path.write_text("<kml/>")
    with pytest.raises(TraceError, match="the root element is <kml>"):
        read_gpx(TraceFile(path))
