"""Commands as the API shows them. Pure."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads it at run time
from typing import TYPE_CHECKING, Any

import msgspec

from fleetcell.contract.commands import CommandState
from fleetcell.contract.messages import ResponseState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class CommandStep(msgspec.Struct, frozen=True):
    """What happened to a command, and the state that it had then."""

    at: datetime
    event: str
    state: CommandState
    detail: dict[str, Any]


class Command(msgspec.Struct, frozen=True):
    """A command: `state` is where it stands; `outcome`, `code`, `result` and `error` are what the unit said.

    After `expired` an outcome may still come: then the state stays, and the outcome tells what happened at
    the vehicle. `epoch` is the session that it was last sent to, `sent` and `pages` how often it was sent
    and paged for. `steps` is left out in lists.
    """

    id: str
    vehicle: str
    name: str
    args: dict[str, Any]
    require: dict[str, Any]
    state: CommandState
    outcome: ResponseState | None
    code: str | None
    result: Any
    error: str | None
    not_after: datetime
    created_by: str
    created_at: datetime
    updated_at: datetime
    epoch: int | None
    sent: int
    pages: int
    steps: list[CommandStep] | msgspec.UnsetType = msgspec.UNSET


class CommandPage(msgspec.Struct, frozen=True):
    """Commands, newest first."""

    items: list[Command]
    next_cursor: str | None


def command_of(row: Mapping[str, Any], steps: Iterable[Mapping[str, Any]] | None = None) -> Command:
    """A row of command.sql or commands.sql, and rows of command_steps.sql."""
    happened = None
    if steps is not None:
        happened = [CommandStep(s["at"], s["event"], CommandState(s["state"]), s["detail"]) for s in steps]
    outcome = row["outcome"]
    return Command(
        id=str(row["id"]),
        vehicle=row["vehicle"],
        name=row["name"],
        args=row["args"],
        require=row["require"],
        state=CommandState(row["state"]),
        outcome=None if outcome is None else ResponseState(outcome),
        code=row["code"],
        result=row["result"],
        error=row["error"],
        not_after=row["not_after"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        epoch=row["epoch"],
        sent=row["sent"],
        pages=row["pages"],
        steps=msgspec.UNSET if happened is None else happened,
    )
