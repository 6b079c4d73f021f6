"""`fleetcell watch`: live frames become a table, and what a vehicle says is never markup."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from fleetcell.cli.watch import apply, table_of


def change(vehicle: str, state: str, reason: str) -> dict[str, Any]:
    since = "2026-05-01T12:00:00Z"
    return {"vehicle": vehicle, "state": state, "reason": reason, "since": since, "region": "north"}


def printed(fleet: dict[str, dict[str, Any]], state: str | None = None) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(table_of(fleet, state))
    return out.getvalue()


def test_a_snapshot_replaces_and_changes_are_taken_over() -> None:
    fleet = {"old": change("old", "online", "attach")}
    vehicles = [
        {"id": "car-1", "registration": change("car-1", "online", "attach")},
        {"id": "car-2", "registration": None},
    ]
    apply(fleet, {"type": "snapshot", "cursor": "c", "vehicles": vehicles})
    assert set(fleet) == {"car-1"}
    apply(fleet, {"type": "presence", "cursor": "d", "changes": [change("car-1", "suspect", "lost")]})
    apply(fleet, {"type": "time", "server_time": "2026-05-01T12:00:00Z"})
    assert fleet["car-1"]["state"] == "suspect"


def test_the_table_shows_what_needs_a_look_first_and_no_markup() -> None:
    fleet = {
        "a": change("a", "online", "attach"),
        "b": change("b", "offline", "[link=http://evil]shutdown[/link]"),
    }
    text = printed(fleet)
    assert text.index("offline") < text.index("online")
    assert "[link=http://evil]shutdown[/link]" in text
    assert "online" not in printed(fleet, "offline")
