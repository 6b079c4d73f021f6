"""`fleetcell command`: what its options mean, and how a step is shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fleetcell.cli.command import deadline, pairs, step_line
from fleetcell.contract.errors import ConfigError

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_values_are_json_or_text() -> None:
    given = ["seconds=30", "loud=true", "text=hello world", 'soc={"min": 20}', "note=a=b", "empty="]
    assert pairs(given, "--arg") == {
        "seconds": 30,
        "loud": True,
        "text": "hello world",
        "soc": {"min": 20},
        "note": "a=b",
        "empty": "",
    }
    assert pairs(None, "--arg") == {}


@pytest.mark.parametrize("given", [["seconds"], ["=1"], ["a=1", "a=2"]])
def test_bad_pairs_are_named(given: list[str]) -> None:
    with pytest.raises(ConfigError, match="--require"):
        pairs(given, "--require")


def test_a_deadline_is_a_time_or_from_now() -> None:
    assert deadline("90s", NOW) == "2026-05-01T12:01:30+00:00"
    assert deadline("1.5h", NOW) == "2026-05-01T13:30:00+00:00"
    assert deadline("2026-05-01T12:00:00Z", NOW) == "2026-05-01T12:00:00+00:00"
    with pytest.raises(ConfigError, match="--not-after soon"):
        deadline("soon", NOW)


def test_a_step_is_one_line() -> None:
    at = NOW.replace(microsecond=250_000)
    step = {"at": at.isoformat(), "event": "sent", "state": "sent", "detail": {"attempt": 1, "epoch": 4}}
    assert step_line(step) == f"{at.astimezone():%H:%M:%S}.250 sent (attempt 1, epoch 4)"
    assert step_line(step | {"detail": {}}).endswith(" sent")
