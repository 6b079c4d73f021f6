"""Commands to vehicles: queue one, follow it, call it off."""

from datetime import datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

import structlog
from fastapi import APIRouter, Header, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dashboard import parameters
from dashboard.answers import Json, schema_reference
from dashboard.auth import Role
from dashboard.commands import Command, CommandPage, command_of
from dashboard.errors import BadRequestError, NotFoundError
from dashboard.guard import Who, require
from dashboard.paging import decode_key, page
from dashboard.routes.lookup import unknown_vehicle
from dashboard.services import Services, Wired
from fleetcell.contract.commands import CommandState, check_command
from fleetcell.contract.errors import PayloadError

log = structlog.get_logger()

DEFAULT_TTL_S: Final = 300.0
MAX_TTL_S: Final = 31 * 86400.0

router = APIRouter(tags=["commands"])


class Wish(BaseModel):
    """A command: `name` and what it takes; done until `not_after`, or within `ttl_s` seconds from now."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="ping, locate, lock, ...; units may have others", examples=["ping"])
    args: dict[str, Any] = Field(default={}, examples=[{}])
    require: dict[str, Any] | None = Field(
        default=None,
        description='Must hold at the vehicle: {"state": ..., "<wire key>": value or {"min": .., "max": ..}}',
        examples=[{"speed": 0}],
    )
    not_after: AwareDatetime | None = Field(default=None, description="RFC 3339; at most 31 days from now")
    ttl_s: Annotated[float, Field(gt=0, le=MAX_TTL_S)] | None = Field(
        default=None, description=f"Instead of not_after; default {DEFAULT_TTL_S:g}"
    )

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.not_after is not None and self.ttl_s is not None:
            raise ValueError("give not_after or ttl_s, not both")
        try:
            check_command(self.name, self.args, self.require)
        except PayloadError as error:
            raise ValueError(str(error)) from None
        return self


IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Of your choice: the same request sent again with it is the same command",
    ),
]


@router.post(
    "/vehicles/{vehicle}/commands",
    status_code=201,
    responses=schema_reference(Command),
    dependencies=[require(Role.OPERATOR)],
)
async def add(
    vehicle: str, wish: Wish, services: Wired, who: Who, idempotency_key: IdempotencyKey = None
) -> Response:
    """Queue a command. It is sent when the vehicle is reachable, and expires where that comes too late.

    201: it was made now; 200: it had been made by a request with this Idempotency-Key.
    """
    ttl_s = DEFAULT_TTL_S if wish.ttl_s is None and wish.not_after is None else wish.ttl_s
    row = await services.database.fetch_row(
        "command_add",
        vehicle,
        wish.name,
        wish.args,
        wish.require or {},
        wish.not_after,
        ttl_s,
        who.name,
        idempotency_key,
    )
    assert row is not None
    if row["id"] is None:
        raise _refusal(row["problem"], vehicle)
    if row["created"]:
        log.info("command queued", vehicle=vehicle, command=wish.name, id=str(row["id"]), by=who.name)
    return Json(
        await _command(services, row["id"]),
        status_code=201 if row["created"] else 200,
        headers={"Location": f"/api/v1/commands/{row['id']}"},
    )


def _refusal(problem: str, vehicle: str) -> Exception:
    match problem:
        case "unknown":
            return unknown_vehicle(vehicle)
        case "revoked":
            return HTTPException(409, f"{vehicle} is revoked: it cannot connect; rotate its credential first")
        case "deadline":
            return BadRequestError("not_after must be in the future, and at most 31 days from now")
        case "reused":
            return BadRequestError("this Idempotency-Key was used for another command: choose a new one")
        case _:
            return HTTPException(
                429,
                f"{vehicle} has 100 commands under way: wait for some to end, or cancel them",
                headers={"Retry-After": "10"},
            )


@router.get("/commands", responses=schema_reference(CommandPage))
async def commands(
    services: Wired,
    vehicle: parameters.OfVehicle = None,
    state: Annotated[
        list[str] | None, Query(description=f"{', '.join(CommandState)}; several with commas")
    ] = None,
    limit: parameters.Limit = 100,
    cursor: parameters.Cursor = None,
) -> Response:
    """Commands, newest first, without their steps."""
    states = parameters.known("state", state, CommandState)
    after = decode_key(cursor, datetime, UUID) or (None, None)
    rows = await services.database.fetch("commands", vehicle, states, *after, limit + 1)
    items, more = page([command_of(row) for row in rows], limit, [(r["created_at"], r["id"]) for r in rows])
    return Json(CommandPage(items, more))


@router.get("/commands/{command_id}", responses=schema_reference(Command))
async def command(command_id: UUID, services: Wired) -> Response:
    """A command with every step and its time."""
    return Json(await _command(services, command_id))


@router.delete(
    "/commands/{command_id}", responses=schema_reference(Command), dependencies=[require(Role.OPERATOR)]
)
async def cancel(command_id: UUID, services: Wired, who: Who) -> Response:
    """Call a command off, as long as it was not sent. 409: it was, or it has ended; the answer says how."""
    row = await services.database.fetch_row("command_cancel", command_id, who.name)
    if row is None:
        raise _unknown(command_id)
    found = await _command(services, command_id)
    if row["cancelled"]:
        log.info("command cancelled", id=str(command_id), by=who.name)
    if row["state"] == CommandState.CANCELLED:
        return Json(found)
    if row["state"] in (CommandState.SENT, CommandState.DELIVERED):
        raise HTTPException(
            409, f"it is {found.state}: the vehicle may have done it; it ends at {found.not_after:%FT%TZ}"
        )
    raise HTTPException(409, f"it has ended: {found.state}")


async def _command(services: Services, command_id: UUID) -> Command:
    row = await services.database.fetch_row("command", command_id)
    if row is None:
        raise _unknown(command_id)
    return command_of(row, await services.database.fetch("command_steps", command_id))


def _unknown(command_id: UUID) -> NotFoundError:
    return NotFoundError(f"there is no command {command_id}; GET /api/v1/commands lists them")
