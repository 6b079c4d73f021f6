"""OpenStreetMap's tags, as a driver understands them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.roads.tags import (
    Control,
    Incline,
    NodeControl,
    node_control,
    parse_height,
    parse_incline,
    parse_speed,
    way_tags,
)

ROAD = {"highway": "residential"}


@pytest.mark.parametrize(
    ("tags", "drivable"),
    [
        ({"highway": "motorway"}, True),
        ({"highway": "living_street"}, True),
        ({"highway": "service"}, False),
        ({"highway": "footway"}, False),
        ({"railway": "tram"}, False),
        ({**ROAD, "access": "no"}, False),
        ({**ROAD, "access": "private"}, False),
        ({**ROAD, "access": "no", "motor_vehicle": "yes"}, True),
        ({**ROAD, "access": "yes", "motor_vehicle": "no"}, False),
        ({**ROAD, "motor_vehicle": "no", "motorcar": "designated"}, True),
        ({**ROAD, "access": "destination"}, True),
        ({**ROAD, "access": "no", "vehicle": "yes"}, True),
        ({**ROAD, "vehicle": "no", "motor_vehicle": "yes"}, True),
        ({**ROAD, "area": "yes"}, False),
    ],
)
def test_drivable(tags: dict[str, str], drivable: bool) -> None:
    assert (way_tags(tags) is not None) is drivable


@pytest.mark.parametrize(
    ("tags", "forward", "backward"),
    [
        ({}, True, True),
        ({"oneway": "yes"}, True, False),
        ({"oneway": "1"}, True, False),
        ({"oneway": "-1"}, False, True),
        ({"oneway": "no"}, True, True),
        ({"junction": "roundabout"}, True, False),
        ({"junction": "roundabout", "oneway": "no"}, True, True),
        ({"highway": "motorway"}, True, False),
        ({"highway": "motorway", "oneway": "no"}, True, True),
        ({"highway": "trunk"}, True, True),
        ({"oneway": "yes", "oneway:motor_vehicle": "no"}, True, True),
    ],
)
def test_directions(tags: dict[str, str], forward: bool, backward: bool) -> None:
    found = way_tags({**ROAD, **tags})
    assert found is not None
    assert (found.forward, found.backward) == (forward, backward)


@pytest.mark.parametrize(
    ("text", "kmh"),
    [
        ("50", 50),
        ("50 km/h", 50),
        ("30 mph", 48),
        ("30mph", 48),
        ("12.5", 12),
        ("none", 150),
        ("walk", 7),
        ("FI:urban", 50),
        ("FI:rural", 80),
        ("DE:zone:30", 30),
        ("DE:zone30", 30),
        ("50;30", 30),
        ("999", 150),
        ("1", 5),
        ("0", None),
        ("signals", None),
        ("variable", None),
        ("", None),
        ("FI:", None),
        ("50 furlongs", None),
    ],
)
def test_parse_speed(text: str, kmh: int | None) -> None:
    assert parse_speed(text) == kmh


@given(st.text(max_size=20))
def test_no_speed_tag_breaks_the_build(text: str) -> None:
    speed = parse_speed(text)
    assert speed is None or 5 <= speed <= 150


@pytest.mark.parametrize(
    ("tags", "forward", "backward"),
    [
        ({}, 30, 30),
        ({"highway": "motorway"}, 120, 120),
        ({"maxspeed": "40"}, 40, 40),
        ({"maxspeed": "40", "maxspeed:backward": "20"}, 40, 20),
        ({"maxspeed:forward": "60"}, 60, 30),
        ({"maxspeed": "signals"}, 30, 30),
        ({"maxspeed:type": "FI:urban"}, 50, 50),
        ({"source:maxspeed": "sign"}, 30, 30),
    ],
)
def test_speeds(tags: dict[str, str], forward: int, backward: int) -> None:
    found = way_tags({**ROAD, **tags})
    assert found is not None
    assert (found.speed_forward, found.speed_backward) == (forward, backward)


def test_names_tunnels_and_bridges() -> None:
    plain = way_tags(ROAD)
    assert plain is not None
    assert (plain.name, plain.tunnel, plain.bridge) == ("", False, False)
    marked = way_tags({**ROAD, "name": "Aleksanterinkatu", "tunnel": "yes", "bridge": "viaduct"})
    assert marked is not None
    assert (marked.name, marked.tunnel, marked.bridge) == ("Aleksanterinkatu", True, True)
    open_air = way_tags({**ROAD, "tunnel": "no", "bridge": "no", "covered": "no"})
    assert open_air is not None
    assert (open_air.tunnel, open_air.bridge) == (False, False)
    arcade = way_tags({**ROAD, "covered": "yes"})
    assert arcade is not None
    assert arcade.tunnel


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"highway": "crossing"}, None),
        ({"highway": "traffic_signals"}, NodeControl(Control.SIGNAL, True, True)),
        (
            {"highway": "traffic_signals", "traffic_signals:direction": "backward"},
            NodeControl(Control.SIGNAL, False, True),
        ),
        ({"highway": "stop", "direction": "forward"}, NodeControl(Control.STOP, True, False)),
        ({"highway": "stop", "direction": "both"}, NodeControl(Control.STOP, True, True)),
        ({"highway": "give_way"}, NodeControl(Control.GIVE_WAY, None, None)),
    ],
)
def test_node_control(tags: dict[str, str], expected: NodeControl | None) -> None:
    assert node_control(tags) == expected


@pytest.mark.parametrize(
    ("text", "incline"),
    [
        ("10%", Incline(0.1, told=True)),
        ("-4.5 %", Incline(-0.045, told=True)),
        ("7,5%", Incline(0.075, told=True)),
        ("0%", Incline(0.0, told=True)),
        ("45°", None),  # no road
        ("179°", None),
        ("up", Incline(0.04, told=False)),
        ("Down", Incline(-0.04, told=False)),
        ("up/down", None),
        ("10", None),
        ("steep", None),
        ("-90°", None),
        ("", None),
    ],
)
def test_parse_incline(text: str, incline: Incline | None) -> None:
    assert parse_incline(text) == incline


def test_an_incline_in_degrees() -> None:
    incline = parse_incline("-10°")
    assert incline is not None
    assert incline.slope == pytest.approx(-0.1763, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "metres"),
    [("12", 12.0), ("12.5 m", 12.5), ("-3m", -3.0), ("8849", None), ("300 ft", None), ("", None)],
)
def test_parse_height(text: str, metres: float | None) -> None:
    assert parse_height(text) == metres


@given(st.text(max_size=12))
def test_no_height_tag_breaks_the_build(text: str) -> None:
    incline, height = parse_incline(text), parse_height(text)
    assert incline is None or abs(incline.slope) <= 0.5
    assert height is None or -450 <= height <= 6500
