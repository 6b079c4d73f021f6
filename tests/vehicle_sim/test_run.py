"""`sim run`: names and options."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from fleetcell.contract.errors import ConfigError
from fleetcell.contract.topics import check_name
from vehicle_sim.links import check_profile
from vehicle_sim.run import RunOptions, vehicle_names


def test_vehicles_have_readable_names_that_are_always_the_same() -> None:
    names = list(itertools.islice(vehicle_names(), 20_000))
    assert names[:4] == ["taxi-0001", "car-0002", "van-0003", "car-0004"]
    assert len(set(names)) == 20_000
    assert all(check_name(name, "vehicle") == name for name in names)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (RunOptions(Path(), vehicles=0), "--vehicles 0: at least 1"),
        (RunOptions(Path(), rate_hz=0), "--rate 0"),
        (RunOptions(Path(), rate_hz=1000), "--rate 1000"),
        (RunOptions(Path(), duration_s=0), "--duration 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: RunOptions, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        options.check()


def test_a_link_profile_that_does_not_exist_is_refused_with_those_that_do() -> None:
    assert check_profile("storm") == "storm"
    with pytest.raises(ConfigError, match=r"no link profile '2g'; there is: perfect .*; lte .*trace:FILE"):
        check_profile("2g")
