"""What the paths work with: made by `app`, handed to each path by `services`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from dashboard.auth import Tokens
from dashboard.database import Database
from dashboard.guard import Keys
from dashboard.live.feed import Feed
from dashboard.metrics import Metrics
from dashboard.passwords import Passwords


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a running dashboard."""

    database: Database
    feed: Feed
    tokens: Tokens
    keys: Keys
    passwords: Passwords
    metrics: Metrics
    credentials_key: Callable[[], bytes]
    public_url: str | None
    roads_file: Path | None


async def _services(connection: HTTPConnection) -> Services:  # else FastAPI runs it in a thread
    services = connection.app.state.services
    assert isinstance(services, Services)
    return services


Wired = Annotated[Services, Depends(_services)]
