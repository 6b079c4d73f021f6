"""Traces and the errors of trace files."""

from pathlib import Path

import pytest

from fleetcell.contract.errors import FleetcellError
from vehicle_sim.readers import Reading, Trace, TraceError
from vehicle_sim.readers.trace import finite, position_problem


def test_the_error_names_file_line_and_reason() -> None:
    error = TraceError(Path("a.csv"), 7, "broken")
    assert isinstance(error, FleetcellError)
    assert (str(error), error.line, error.reason) == ("a.csv:7: broken", 7, "broken")
    assert str(TraceError(Path("a.csv"), None, "no such file")) == "a.csv: no such file"


def test_duration_counts_from_the_start_of_the_recording() -> None:
    assert Trace("v", "f", [Reading(300.0, {}), Reading(312.5, {})], None).duration_s == 312.5


def test_finite() -> None:
    assert finite(" 1e3 ") == 1000.0
    for text in ("", "x", "nan", "inf", "-inf"):
        with pytest.raises(ValueError):
            finite(text)


@pytest.mark.parametrize(
    ("lat", "lon", "problem"),
    [
        (90, 180, None),
        (-90, -180, None),
        (90.1, 0, "latitude 90.1 is outside -90 to 90"),
        (0, -181, "longitude -181 is outside -180 to 180"),
        (float("nan"), 0, "latitude nan is outside -90 to 90"),
    ],
)
def test_position_problem(lat: float, lon: float, problem: str | None) -> None:
    assert position_problem(lat, lon) == problem
