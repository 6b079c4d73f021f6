"""The bounded inbox."""

from __future__ import annotations

import asyncio

from ingest.inbox import Inbox
from tests.ingest.units import arrival


async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    inbox = Inbox(max_messages=3, max_bytes=10)
    assert inbox.put(arrival("a", b"1234", received_us=5))
    assert inbox.put(arrival("b", b"1234"))
    assert not inbox.put(arrival("c", b"1234")), "too many bytes"
    assert inbox.put(arrival("d", b"1"))
    assert not inbox.put(arrival("e", b"")), "too many messages"
    assert (len(inbox), inbox.bytes, inbox.dropped, inbox.oldest_us) == (3, 9, 2, 5)
    taken = [inbox.take(), inbox.take(), inbox.take(), inbox.take()]
    assert [one and one.topic.vehicle for one in taken] == ["a", "b", "d", None]
    assert (len(inbox), inbox.bytes, inbox.oldest_us) == (0, 0, None)


async def test_waiting_ends_when_something_comes() -> None:
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put(arrival("a", b"x"))
    await asyncio.wait_for(waiting, 60)
