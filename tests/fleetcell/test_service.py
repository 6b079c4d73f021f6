"""What every service does alike: its log lines."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
import structlog

from fleetcell.service import configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

BARE = "\x1b[2J\x07\x9b31m\u202ecar"  # clears a terminal, rings, colours, turns text round
HOSTILE = BARE + "\nforged line"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("as_json", [False, True])
def test_what_a_client_calls_itself_cannot_steer_a_terminal(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    configure_logging(json=as_json)
    structlog.get_logger().warning(
        "connection refused", client=HOSTILE, name="veh-1", text="Zürich 5", at=BARE
    )
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.rstrip("\n").isprintable()
    if as_json:
        written = json.loads(said)
        assert written["text"] == "Zürich 5"
        assert written["client"].isprintable()
    else:
        assert "name=veh-1" in said
        assert "Zürich 5" in said


def test_tracebacks_keep_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("failed", client=HOSTILE)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("ValueError: ")
    assert lines[0].isprintable()
