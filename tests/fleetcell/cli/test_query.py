"""What `fleetcell query` prints."""

from typing import Any

import pytest

from fleetcell.cli.query import _print_registration

REGISTERED: dict[str, Any] = {
    "state": "unknown",
    "reason": "handover",
    "since": "2026-11-20T12:00:00Z",
    "region": "west",
    "epoch": 7,
    "address": "127.21.0.9",
    "seen_address": "127.21.0.9",
    "evidence": {"by": "detach", "to": "east"},
}


def test_a_register_that_a_vehicle_has_left_names_the_one_that_knows_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _print_registration("car", REGISTERED)
    _print_registration("car", REGISTERED | {"state": "online", "evidence": {"from": "east"}})
    told = " ".join(capsys.readouterr().out.split())
    assert told.count("car: ") == 2
    assert "region west, epoch 7, address 127.21.0.9" in told
    assert told.count("handed over to region east, whose register knows more") == 1
