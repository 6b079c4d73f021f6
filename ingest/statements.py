"""The SQL of the package: one file a statement, in ingest/sql/; its name is the statement's."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

SQL: Final = Path(__file__).parent / "sql"


@cache
def statement(name: str) -> str:
    """The SQL of `ingest/sql/<name>.sql`."""
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")
