"""Keyset cursors survive the way through a client, and nothing else is taken for one."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.errors import BadRequestError
from dashboard.live.cursor import Cursor, decode_cursor
from dashboard.paging import decode_key, encode_key, page


@given(st.datetimes(timezones=st.just(UTC)), st.text(max_size=64), st.uuids(), st.integers(0, 2**62))
def test_keys_round_trip(time: datetime, name: str, boot: UUID, seq: int) -> None:
    key = (time, name, boot, seq)
    assert decode_key(encode_key(key), datetime, str, UUID, int) == key


@given(st.text(max_size=80))
def test_other_texts_are_refused_not_a_fault(text: str) -> None:
    for kinds in ((str,), (int,), (datetime, str, UUID, int)):
        with suppress(BadRequestError):
            decode_key(text, *kinds)
    with suppress(BadRequestError):
        decode_cursor(text)


@given(
    st.text(max_size=36),
    st.integers(0, 2**62),
    st.text(max_size=8),
    st.text(max_size=8),
    st.integers(0, 2**62),
)
def test_live_cursors_round_trip(
    generation: str, sequence: int, silent: str, instance: str, moves: int
) -> None:
    cursor = Cursor(generation, sequence, silent, instance, moves)
    assert decode_cursor(cursor.encode()) == cursor


def test_a_key_of_another_list_is_refused() -> None:
    with pytest.raises(BadRequestError, match="not one that this list gave out"):
        decode_key(encode_key(("a",)), int)


@given(st.lists(st.integers()), st.integers(1, 10))
def test_pages_end_exactly(items: list[int], limit: int) -> None:
    shown, more = page(items[: limit + 1], limit, [(item,) for item in items[: limit + 1]])
    assert shown == items[:limit]
    assert (more is not None) == (len(items) > limit)
    if more is not None:
        assert decode_key(more, int) == (shown[-1],)
