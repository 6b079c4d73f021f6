"""What the ingest service and its process that derives tell each other: a line of JSON each."""

from __future__ import annotations

import msgspec

from ingest.derive.rules import Rules  # noqa: TC001 - msgspec looks at it when it decodes


class Orders(msgspec.Struct, frozen=True):
    """The first and only line to the process; the end of that stream is the end of the service.

    delay_s: how long a bucket stays dirty before it is looked at. timeout_s: of a statement.
    """

    dsn: str
    application: str
    rules: Rules
    delay_s: float
    timeout_s: float
    log_level: str = "info"
    log_json: bool = False


class Backlog(msgspec.Struct, frozen=True):
    """How many buckets are dirty, and for how long the oldest has been; none where another one derives."""

    buckets: int = 0
    oldest_s: float = 0.0


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has changed since it was told last: buckets derived, and the backlog where it was looked at."""

    derived: int = 0
    backlog: Backlog | None = None
