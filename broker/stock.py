"""What waits for all clients together: the bound on the process, where a session's own is not enough."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broker.session import Session
    from broker.topics import Message

_OBJECT: Final = 220  # bytes of a message beside its topic and payload, measured with tracemalloc
_ENTRY: Final = 130  # of its place in one session's queue, likewise
_AFTERWARDS: Final = 0.9  # how full it is when room was made, so that it is not made for each message


class Stock:
    """Bytes of the messages that wait for any client; a message counts once, however many wait for it.

    Args:
        limit: Most bytes; 0: no limit.
    """

    __slots__ = ("bytes", "limit")

    def __init__(self, limit: int = 0) -> None:
        self.limit: float = limit or math.inf
        self.bytes = 0

    def add(self, message: Message) -> None:
        """One more session keeps this message."""
        if not message.holders:
            self.bytes += message.size + _OBJECT
        message.holders += 1
        self.bytes += _ENTRY

    def remove(self, message: Message) -> None:
        """One session less."""
        message.holders -= 1
        self.bytes -= _ENTRY
        if not message.holders:
            self.bytes -= message.size + _OBJECT

    @property
    def fill(self) -> float:
        """How full it is: 1.0 is the limit."""
        return self.bytes / self.limit

    @property
    def excess(self) -> float:
        """Bytes to drop, so that there is room for a while."""
        return self.bytes - _AFTERWARDS * self.limit

    def skip(self, sessions: Iterable[Session]) -> None:
        """Make room with QoS 0 messages: the oldest of the largest such queue, then of the next."""
        for session in sorted(sessions, key=lambda session: session.skippable_bytes, reverse=True):
            if self.excess <= 0 or not session.skippable_bytes:
                return
            session.skip()


def largest(sessions: Iterable[Session]) -> Session | None:
    """The session for which the most bytes wait; None when nothing waits for any."""
    found = max(sessions, key=lambda session: session.bytes, default=None)
    return found if found is not None and found.bytes else None
