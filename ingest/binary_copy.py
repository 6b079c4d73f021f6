"""PostgreSQL's binary COPY format, written from numpy columns without a loop over the rows.

A structured array holds each row at full width: a field count, then a length and a value for each column.
NULLs and text are shorter than that, so a mask says which bytes belong to the stream. Source of the format:
PostgreSQL documentation, COPY, "Binary Format".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # magic, flags, length of the header extension
TRAILER = b"\xff\xff"

POSTGRES_EPOCH_US = (
    946_684_800_000_000  # 2000-01-01T00:00:00Z in µs since 1970: where timestamptz counts from
)

# Text up to this length shares one pass; longer rows are encoded with their like, so that a single long value
# does not widen every row of the batch.
SHORT_TEXT = 64


@dataclass(frozen=True, slots=True)
class Fixed:
    """A column of values of one size.

    `values` has a big-endian dtype of the column's PostgreSQL size, or `S16` for uuid; `valid` is None when
    no value is NULL.
    """

    values: npt.NDArray[Any]
    valid: Bools | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """A column of texts (as UTF-8), or of byte strings (jsonb with its version byte); None is NULL."""

    values: Sequence[str | None] | Sequence[bytes | None]


Column = Fixed | Variable


def float8(values: npt.ArrayLike, valid: Bools | None = None) -> Fixed:
    """Double precision column."""
    return Fixed(np.asarray(values, dtype=">f8"), valid)


def int8(values: npt.ArrayLike, valid: Bools | None = None) -> Fixed:
    """Bigint column."""
    return Fixed(np.asarray(values, dtype=">i8"), valid)


def int4(values: npt.ArrayLike, valid: Bools | None = None) -> Fixed:
    """Integer column."""
    return Fixed(np.asarray(values, dtype=">i4"), valid)


def int2(values: npt.ArrayLike, valid: Bools | None = None) -> Fixed:
    """Smallint column."""
    return Fixed(np.asarray(values, dtype=">i2"), valid)


def boolean(values: npt.ArrayLike, valid: Bools | None = None) -> Fixed:
    """Boolean column."""
    return Fixed(np.asarray(values, dtype=np.uint8), valid)


def timestamptz(microseconds: npt.ArrayLike) -> Fixed:
    """Timestamptz column, from µs since 1970-01-01T00:00:00Z."""
    return Fixed((np.asarray(microseconds, dtype=np.int64) - POSTGRES_EPOCH_US).astype(">i8"))


def uuids(values: Sequence[bytes]) -> Fixed:
    """Uuid column, from 16 bytes each."""
    return Fixed(np.frombuffer(b"".join(values), dtype="V16"))


def nulls(rows: int) -> Fixed:
    """A column of any type without a value."""
    return Fixed(np.zeros(rows, dtype=np.uint8), np.zeros(rows, dtype=np.bool_))


def text(values: Sequence[str | None]) -> Variable:
    """Text column."""
    return Variable(values)


def jsonb(values: Sequence[bytes | None]) -> Column:
    """Jsonb column, from JSON documents."""
    if not any(values):
        return nulls(len(values))
    return Variable([None if value is None else b"\x01" + value for value in values])


def encode(columns: Sequence[Column], rows: int) -> bytes:
    """A whole COPY stream of `rows` rows; the order of the rows is not kept.

    Each column has one value a row. The caller guarantees that text holds no NUL.
    """
    parts: list[bytes | memoryview] = [SIGNATURE]
    if rows:
        variable = {i: _Text.of(c.values) for i, c in enumerate(columns) if isinstance(c, Variable)}
        parts += [_encode(columns, variable, chosen, rows) for chosen in _passes(variable, rows)]
    parts.append(TRAILER)
    return b"".join(parts)


def joined(streams: Sequence[bytes]) -> bytes:
    """Several whole streams of the same columns as one."""
    if len(streams) == 1:
        return streams[0]
    rows = (stream[len(SIGNATURE) : -len(TRAILER)] for stream in streams)
    return b"".join([SIGNATURE, *rows, TRAILER])


@dataclass(frozen=True, slots=True)
class _Text:
    values: npt.NDArray[np.bytes_] | list[bytes]
    lengths: Ints  # -1 is NULL

    @classmethod
    def of(cls, values: Sequence[str | None] | Sequence[bytes | None]) -> _Text:
        kinds = list(dict.fromkeys(values))
        whole = [b"" if kind is None else kind.encode() if isinstance(kind, str) else kind for kind in kinds]
        lengths = np.array(
            [-1 if kind is None else len(text) for kind, text in zip(kinds, whole, strict=True)], np.int64
        )
        if len(kinds) == len(values):
            return cls(whole, lengths)
        places = {kind: place for place, kind in enumerate(kinds)}
        rows = np.fromiter(map(places.__getitem__, values), np.intp, len(values))
        if lengths.max() > SHORT_TEXT:
            return cls([whole[row] for row in rows], lengths[rows])
        return cls(np.array(whole, dtype=f"S{max(1, int(lengths.max()))}")[rows], lengths[rows])

    def taken(self, chosen: Ints | None) -> _Text:
        if chosen is None:
            return self
        if isinstance(self.values, list):
            return _Text([self.values[i] for i in chosen], self.lengths[chosen])
        return _Text(self.values[chosen], self.lengths[chosen])


def _passes(variable: dict[int, _Text], rows: int) -> Iterator[Ints | None]:
    """Groups of rows whose text is of like length: None for all of them at once."""
    total = np.zeros(rows, dtype=np.int64)
    for column in variable.values():
        total += np.maximum(column.lengths, 0)
    if total.max(initial=0) <= SHORT_TEXT:
        yield None
        return
    classes = np.ceil(np.log2(np.maximum(total, SHORT_TEXT))).astype(np.int64)
    for size in np.unique(classes):
        yield np.flatnonzero(classes == size)


def _encode(
    columns: Sequence[Column], variable: dict[int, _Text], chosen: Ints | None, rows: int
) -> memoryview:
    rows = rows if chosen is None else len(chosen)
    texts = {i: column.taken(chosen) for i, column in variable.items()}
    missing = {i: _missing(column, chosen) for i, column in enumerate(columns) if isinstance(column, Fixed)}
    row = _row(columns, texts, missing)
    table = np.frombuffer(bytearray(row.tobytes()) * rows, dtype=row.dtype)  # 40 times as fast as numpy.full
    fields = table.dtype.fields
    assert fields is not None
    kept: Bools | None = None  # made when the first byte has to go

    for i, column in enumerate(columns):
        if isinstance(column, Variable):
            lengths = texts[i].lengths
            table[f"length{i}"] = lengths
            if f"value{i}" not in fields:
                continue
            table[f"value{i}"] = texts[i].values
            width, start = fields[f"value{i}"][0].itemsize, fields[f"value{i}"][1]
            if int(lengths.min()) < width:
                kept = _all(table) if kept is None else kept
                kept[:, start : start + width] = np.arange(width) < lengths[:, None]
            continue
        without = missing[i]
        if without is True:
            continue
        values = column.values if chosen is None else column.values[chosen]
        table[f"value{i}"] = values
        if without is not None:
            kept = _all(table) if kept is None else kept
            start = fields[f"value{i}"][1]
            kept[without, start : start + values.dtype.itemsize] = False
            table[f"length{i}"][without] = -1
    stream = table.view(np.uint8)
    return (stream if kept is None else stream.reshape(rows, table.dtype.itemsize)[kept]).data


def _row(
    columns: Sequence[Column], texts: dict[int, _Text], missing: dict[int, Bools | Literal[True] | None]
) -> npt.NDArray[np.void]:
    """What rows have in common: their layout, the field count, and the lengths of columns of one size."""
    layout: list[tuple[str, str]] = [("count", ">i2")]
    lengths = {}
    for i, column in enumerate(columns):
        layout.append((f"length{i}", ">i4"))
        if isinstance(column, Variable):
            if (widest := int(texts[i].lengths.max())) > 0:
                layout.append((f"value{i}", f"S{widest}"))
        elif missing[i] is True:
            lengths[f"length{i}"] = -1
        else:
            lengths[f"length{i}"] = column.values.dtype.itemsize
            layout.append((f"value{i}", column.values.dtype.str))
    row = np.zeros((), dtype=np.dtype(layout))
    row["count"] = len(columns)
    for name, length in lengths.items():
        row[name] = length
    return row


def _missing(column: Fixed, chosen: Ints | None) -> Bools | Literal[True] | None:
    """Which of the rows are NULL; True: all, None: none of them."""
    if column.valid is None:
        return None
    valid = column.valid if chosen is None else column.valid[chosen]
    if valid.all():
        return None
    return ~valid if valid.any() else True


def _all(table: npt.NDArray[np.void]) -> Bools:
    return np.ones((len(table), table.dtype.itemsize), dtype=np.bool_)
