"""Where a live client stands: opaque to it, so that what is in it can change."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import msgspec

from dashboard.errors import BadRequestError


class _Wire(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: int
    generation: str
    sequence: int
    silent: str
    instance: str
    moves: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the feed.

    generation: of the database's presence feed; another one makes the sequence meaningless.
    sequence: the last presence event that the client has.
    silent: which gateways were shown as silent (a digest); when it differs, shown states differ too.
    instance, moves: the hub, and the last of its position changes, that a poll answered with.
    """

    generation: str
    sequence: int
    silent: str = ""
    instance: str = ""
    moves: int = 0

    def encode(self) -> str:
        """As clients see it: base64url, safe in a query and in `Last-Event-ID`."""
        wire = _Wire(1, self.generation, self.sequence, self.silent, self.instance, self.moves)
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(wire)).decode().rstrip("=")


def decode_cursor(text: str) -> Cursor:
    """Read a cursor that a client sent back.

    Raises:
        BadRequestError: it is none of ours.
    """
    try:
        padded = text + "=" * (-len(text) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        wire = msgspec.msgpack.decode(raw, type=_Wire)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise BadRequestError(
            f"cursor {text[:60]!r} is not one that this API gave out; leave it out to start with a snapshot"
        ) from None
    if wire.version != 1 or wire.sequence < 0 or wire.moves < 0:
        raise BadRequestError("this cursor is of another version; leave it out to start with a snapshot")
    return Cursor(wire.generation, wire.sequence, wire.silent, wire.instance, wire.moves)
