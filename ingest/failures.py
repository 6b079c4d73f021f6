"""What a failure of the database means: wait and try again, or this data will never go in."""

from __future__ import annotations

from typing import Final

import asyncpg

# asyncpg raises InterfaceError for a connection that is closed, OSError and TimeoutError for one that broke,
# and InternalClientError where it broke in the middle of something.
FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)

# SQLSTATE classes of data that the server will refuse however often it is sent: data exception, integrity
# constraint, with check option, program limit exceeded (source: PostgreSQL documentation, appendix A).
_REFUSED: Final = frozenset({"22", "23", "44", "54"})


def refuses_data(error: BaseException) -> bool:
    """Whether the data is at fault, not the database or the connection."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] in _REFUSED
    # The arguments of a statement are checked by asyncpg before they are sent.
    return isinstance(error, asyncpg.exceptions.DataError)


def reason(error: BaseException) -> str:
    """One line for a log or a dead letter."""
    return f"{type(error).__name__}: {error}".splitlines()[0].replace("\0", "")[:500]
