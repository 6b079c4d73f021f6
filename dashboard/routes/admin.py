"""Provisioning: credentials of vehicles. The secret is made here, shown once, and kept nowhere."""

from typing import Annotated, Final, Self

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from starlette.responses import Response

from dashboard import shapes
from dashboard.answers import Json, schema_reference
from dashboard.auth import Role
from dashboard.errors import NotFoundError
from dashboard.guard import Who, require
from dashboard.services import Wired
from fleetcell.contract import credentials
from fleetcell.contract.errors import TopicError
from fleetcell.contract.topics import check_name

log = structlog.get_logger()

MAX_IDS: Final = 10_000

router = APIRouter(tags=["vehicles"], dependencies=[require(Role.ADMIN)])


class Provision(BaseModel):
    """One vehicle (`id`) or several (`ids`)."""

    model_config = ConfigDict(extra="forbid")

    id: str | None = None
    ids: Annotated[list[str], Field(max_length=MAX_IDS)] | None = None
    rotate: bool = Field(default=False, description="Give vehicles that exist a new secret; the old one ends")

    @field_validator("id", "ids")
    @classmethod
    def _names(cls, value: str | list[str] | None) -> str | list[str] | None:
        names = [value] if isinstance(value, str) else value or []
        for name in names:
            try:
                check_name(name, "vehicle id")
            except TopicError as error:
                raise ValueError(str(error)) from None
        if len(set(names)) < len(names):
            raise ValueError("an id is given twice")
        return value

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.id is None) == (self.ids is None):
            raise ValueError('give {"id": "..."} or {"ids": ["...", ...]}')
        return self


@router.post("/vehicles", status_code=201, responses=schema_reference(shapes.ProvisionedPage))
async def provision(wish: Provision, services: Wired, who: Who) -> Response:
    """Make vehicles. Each secret is shown this once; a vehicle that exists keeps its own, unless `rotate`."""
    ids = [wish.id] if wish.id is not None else wish.ids or []
    key = services.credentials_key()
    secrets = [credentials.new_secret() for _ in ids]
    macs = [credentials.mac(key, secret) for secret in secrets]
    rows = await services.database.fetch("provision", ids, macs, wish.rotate)
    items = [
        shapes.Provisioned(
            id=row["name"],
            secret=secret if row["created"] or row["rotated"] else None,
            created=row["created"],
            rotated=row["rotated"],
            revoked=row["revoked"],
        )
        for row, secret in zip(rows, secrets, strict=True)
    ]
    made = sum(item.secret is not None for item in items)
    log.info("vehicles provisioned", asked=len(items), secrets=made, by=who.name)
    return Json(shapes.ProvisionedPage(items, None), status_code=201, headers={"Cache-Control": "no-store"})


@router.post("/vehicles/{vehicle}/revoke", status_code=204)
async def revoke(vehicle: str, services: Wired, who: Who) -> Response:
    """End a vehicle's credential; a live session is closed within 5 s. `rotate` gives it a new one."""
    if not await services.database.fetch_value("revoke", vehicle):
        raise NotFoundError(f"there is no vehicle {vehicle[:80]!r}; GET /api/v1/vehicles lists them")
    log.info("vehicle revoked", vehicle=vehicle, by=who.name)
    return Response(status_code=204)
