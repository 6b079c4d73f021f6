"""The COPY encoding, read back by a real PostgreSQL."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import binary_copy
from ingest.binary_copy import Bools, Column

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ingest.database import Connection

COLUMNS = {
    "n": "bigint",
    "t": "timestamptz",
    "u": "uuid",
    "f": "double precision",
    "i": "integer",
    "s": "smallint",
    "b": "boolean",
    "a": "text",
    "j": "jsonb",
}
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300)
rows = st.fixed_dictionaries(
    {
        "t": st.datetimes(timezones=st.just(UTC)),
        "u": st.uuids(),
        "f": st.none() | st.floats(allow_nan=False),
        "i": st.none() | st.integers(-(2**31), 2**31 - 1),
        "s": st.integers(-(2**15), 2**15 - 1),
        "b": st.none() | st.booleans(),
        "a": st.none() | texts,
        "j": st.none() | st.dictionaries(texts, st.integers() | texts, max_size=3),
    }
)


def valid(values: list[Any]) -> Bools:
    return np.array([value is not None for value in values], dtype=np.bool_)


def encode(table: list[dict[str, Any]]) -> bytes:
    by_column = {name: [row[name] for row in table] for name in COLUMNS if name != "n"}
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    columns: list[Column] = [
        binary_copy.int8(range(len(table))),
        binary_copy.timestamptz([(t - epoch) // timedelta(microseconds=1) for t in by_column["t"]]),
        binary_copy.uuids([u.bytes for u in by_column["u"]]),
        binary_copy.float8([math.nan if f is None else f for f in by_column["f"]], valid(by_column["f"])),
        binary_copy.int4([i or 0 for i in by_column["i"]], valid(by_column["i"])),
        binary_copy.int2(by_column["s"]),
        binary_copy.boolean([b or False for b in by_column["b"]], valid(by_column["b"])),
        binary_copy.text(by_column["a"]),
        binary_copy.jsonb([None if j is None else json.dumps(j).encode() for j in by_column["j"]]),
    ]
    return binary_copy.encode(columns, len(table))


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.lists(rows, max_size=12))
async def test_what_goes_in_comes_out(connection: Connection, table: list[dict[str, Any]]) -> None:
    declared = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    await connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS given ({declared}); TRUNCATE given")
    await connection.copy_to_table("given", source=stream(encode(table)), format="binary")
    found = [dict(row) for row in await connection.fetch("SELECT * FROM given ORDER BY n")]
    for row in found:
        row.pop("n")
        row["u"] = UUID(bytes=row["u"].bytes)
        row["j"] = None if row["j"] is None else json.loads(row["j"])
    assert found == table


def test_no_rows_are_a_stream_too() -> None:
    assert encode([]) == binary_copy.SIGNATURE + binary_copy.TRAILER


def test_one_long_text_does_not_widen_the_other_rows() -> None:
    values: list[str | None] = ["x" * 100_000, *["short"] * 5000]
    encoded = binary_copy.encode([binary_copy.text(values)], len(values))
    assert len(encoded) == 19 + 2 + sum(2 + 4 + len(value) for value in values if value)
