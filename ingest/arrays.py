"""Lists of numbers as one text, for `$1::text::bigint[]`: asyncpg looks long at each number of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence


def array(values: Sequence[float | None]) -> str:
    """Numbers as PostgreSQL reads an array; None is NULL."""
    return "{" + msgspec.json.encode(values)[1:-1].decode() + "}"
