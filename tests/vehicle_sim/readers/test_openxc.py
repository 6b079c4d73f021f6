"""OpenXC JSON lines."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.readers.files import TraceFile
from vehicle_sim.readers.openxc import read_openxc
from vehicle_sim.readers.trace import Reading, TraceError


def message(name: str, value: Any, t: float, **more: Any) -> str:
    return json.dumps({"name": name, "value": value, "timestamp": 1364323939.0 + t, **more})


def readings(path: Path, *lines: str) -> list[Reading]:
    path.write_text("\n".join(lines) + "\n")
    (trace,) = read_openxc(TraceFile(path))
    assert trace.start == datetime.fromtimestamp(1364323939.0, UTC)
    return trace.readings


def test_names_become_wire_keys(tmp_path: Path) -> None:
    lines = [
        message("vehicle_speed", 42, 0),
        message("engine_speed", 772, 0),
        message("odometer", 13966.5, 0),
        message("fuel_level", 89.5, 0),
        message("accelerator_pedal_position", 12.5, 0),
        message("steering_wheel_angle", -2.5, 0),
        message("brake_pedal_status", True, 0),
        message("torque_at_transmission", 3, 0),
        message("windshield_wiper_status", False, 0),
        message("door_status", "driver", 0, event=True),
        message("lat", "not the signal", 0),
    ]
    assert readings(tmp_path / "car.json", *lines) == [
        Reading(
            0.0,
            {
                "speed": 42,
                "rpm": 772,
                "odo": 13966.5,
                "fuel": 89.5,
                "throttle": 12.5,
                "steering": -2.5,
                "brake": 100.0,
                "torque_at_transmission": 3,
                "windshield_wiper_status": False,
                "door_status_driver": True,
                "openxc_lat": "not the signal",
            },
        )
    ]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ignition_status", "run", {"ignition": True, "ignition_status": "run"}),
        ("ignition_status", "accessory", {"ignition": False, "ignition_status": "accessory"}),
        ("transmission_gear_position", "third", {"gear": 3, "transmission_gear_position": "third"}),
        ("transmission_gear_position", "reverse", {"gear": -1, "transmission_gear_position": "reverse"}),
        ("transmission_gear_position", "park", {"transmission_gear_position": "park"}),
        ("brake_pedal_status", "half", {"brake_pedal_status": "half"}),
    ],
)
def test_states_in_words(tmp_path: Path, name: str, value: str, expected: dict[str, Any]) -> None:
    assert readings(tmp_path / "a.json", message(name, value, 0))[0].signals == expected


def test_messages_within_a_tenth_of_a_second_are_one_reading(tmp_path: Path) -> None:
    lines = [
        message("vehicle_speed", 1, 0),
        message("engine_speed", 800, 0.05),
        message("vehicle_speed", 1, 0.09),  # the same again: nothing new
        message("vehicle_speed", 1, 0.1),
        message("vehicle_speed", 2, 0.15),  # another value: it is not lost
    ]
    assert readings(tmp_path / "a.json", *lines) == [
        Reading(0.0, {"speed": 1, "rpm": 800}),
        Reading(0.1, {"speed": 1}),
        Reading(0.15, {"speed": 2}),
    ]


def test_messages_are_sorted_by_time(tmp_path: Path) -> None:
    found = readings(tmp_path / "a.json", message("engine_speed", 2, 5), message("engine_speed", 1, 0))
    assert found == [Reading(0.0, {"rpm": 1}), Reading(5.0, {"rpm": 2})]


def test_half_a_position_is_made_whole(tmp_path: Path) -> None:
    found = readings(
        tmp_path / "a.json",
        message("latitude", 40.0, 0),  # no longitude yet: no position
        message("vehicle_speed", 1, 0.01),
        message("longitude", -73.0, 1),
        message("latitude", 40.5, 2),
    )
    assert found == [
        Reading(0.0, {"speed": 1}),
        Reading(1.0, {"lat": 40.0, "lon": -73.0}),
        Reading(2.0, {"lat": 40.5, "lon": -73.0}),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"name":"vehicle_speed","val', "not an OpenXC message"),
        ("[1,2]", "not an OpenXC message"),
        ('{"value":1,"timestamp":1}', "not an OpenXC message: .*name"),
        ('{"name":"vehicle_speed","timestamp":1}', "not an OpenXC message: .*value"),
        ('{"name":"vehicle_speed","value":1,"timestamp":"now"}', "not an OpenXC message: .*timestamp"),
        ('{"name":"","value":1,"timestamp":1}', "without a name"),
        ('{"name":"vehicle_speed","value":"fast","timestamp":1}', "vehicle_speed 'fast' is not a number"),
        ('{"name":"vehicle_speed","value":true,"timestamp":1}', "vehicle_speed True is not a number"),
        ('{"name":"x","value":null,"timestamp":1}', "the value of x is NoneType"),
        ('{"name":"x","value":{"a":1},"timestamp":1}', "the value of x is dict"),
        ('{"name":"latitude","value":90.5,"timestamp":1}', "latitude 90.5 is outside"),
        ('{"name":"longitude","value":-181,"timestamp":1}', "longitude -181 is outside"),
    ],
)
def test_refused_with_line_and_reason(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(message("vehicle_speed", 1, 0) + "\n\n" + line + "\n")
    with pytest.raises(TraceError, match=reason) as caught:
        read_openxc(TraceFile(path))
    assert caught.value.line == 3


def test_an_empty_file_and_a_wild_time_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("\n\n")
    with pytest.raises(TraceError, match="no message"):
        read_openxc(TraceFile(path))
    path.write_text('{"name":"x","value":1,"timestamp":1e300}')
    with pytest.raises(TraceError, match="not in seconds since 1970"):
        read_openxc(TraceFile(path))


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "engine_speed"]), st.integers(0, 3), st.integers(0, 400)),
        min_size=1,
        max_size=40,
    )
)
def test_no_value_is_lost(
    tmp_path_factory: pytest.TempPathFactory, messages: list[tuple[str, int, int]]
) -> None:
    path = tmp_path_factory.mktemp("x") / "a.json"
    path.write_text("\n".join(message(n, v, t / 100) for n, v, t in messages))
    (trace,) = read_openxc(TraceFile(path))
    for name in ("a", "b", "engine_speed"):
        sent = [v for n, v, _ in sorted(messages, key=lambda m: m[2]) if n == name]
        key = "rpm" if name == "engine_speed" else name
        got = [r.signals[key] for r in trace.readings if key in r.signals]
        # The same values in the same order, repetitions aside.
        assert [v for i, v in enumerate(got) if i == 0 or v != got[i - 1]] == [
            v for i, v in enumerate(sent) if i == 0 or v != sent[i - 1]
        ]
    assert all(a.t_s <= b.t_s for a, b in zip(trace.readings, trace.readings[1:], strict=False))
