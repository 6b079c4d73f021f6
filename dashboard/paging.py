"""Keyset cursors of lists: the sort key of the last item, opaque to clients."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from dashboard.errors import BadRequestError


def encode_key(key: tuple[Any, ...]) -> str:
    """A sort key as a cursor: base64url, safe in a query."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode_key(text: str | None, *kinds: Any) -> tuple[Any, ...] | None:
    """Read a cursor back as values of these types; None stays None.

    Raises:
        BadRequestError: it is not a cursor of this list.
    """
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        key: tuple[Any, ...] = msgspec.json.decode(raw, type=tuple[kinds])  # type: ignore[valid-type]
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise BadRequestError(
            f"cursor {text[:60]!r} is not one that this list gave out; leave it out to start at its beginning"
        ) from None
    return key


def page(items: list[Any], limit: int, keys: list[tuple[Any, ...]]) -> tuple[list[Any], str | None]:
    """Cut `limit` + 1 items to a page, and the cursor of the next where there is more."""
    if len(items) <= limit:
        return items, None
    return items[:limit], encode_key(keys[limit - 1])
