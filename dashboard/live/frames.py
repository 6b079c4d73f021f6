"""The frames of the live feed, encoded once for all clients that get the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from dashboard.shapes import Moved, Vehicle
    from fleetcell.contract.messages import State

Kind = Literal["snapshot", "presence", "positions", "time"]


class Frame(msgspec.Struct, frozen=True):
    """One encoded frame; `cursor` is where a client stands that has it and all before it, if that changed."""

    kind: Kind
    text: str
    cursor: str | None = None


_encoder = msgspec.json.Encoder()


def _frame(kind: Kind, body: dict[str, Any], cursor: str | None = None) -> Frame:
    return Frame(kind, _encoder.encode({"type": kind, **body}).decode(), cursor)


def snapshot(vehicles: Iterable[Vehicle], cursor: str, now: datetime) -> Frame:
    """All that a client can see, as of `cursor`."""
    body = {"cursor": cursor, "server_time": now, "vehicles": list(vehicles)}
    return _frame("snapshot", body, cursor)


def presence(changes: Iterable[State], cursor: str) -> Frame:
    """Changes of presence, oldest first."""
    return _frame("presence", {"cursor": cursor, "changes": list(changes)}, cursor)


def positions(moved: Iterable[Moved]) -> Frame:
    """The newest position of each vehicle that moved."""
    return _frame("positions", {"changes": list(moved)})


def time(now: datetime, lag_s: float, cursor: str | None) -> Frame:
    """The server's time; `lag_s`: how long ago the server last read presence from the database."""
    body: dict[str, Any] = {"server_time": now, "lag_s": round(max(0.0, lag_s), 3)}
    if cursor is not None:
        body["cursor"] = cursor
    return _frame("time", body, cursor)
