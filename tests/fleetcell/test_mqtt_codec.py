"""What is read without paho is what paho would have read: the same messages, answers and end."""

from __future__ import annotations

import asyncio
import struct
from itertools import pairwise
from typing import Any
from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st

from fleetcell.mqtt import Message
from fleetcell.mqtt.codec import Codec
from fleetcell.mqtt.session import Session
from fleetcell.mqtt.wire import Wire
from tests.fleetcell.test_mqtt_gathering import CONNACK

Outcome = tuple[list[Message], bytes, str | None]


def packet(head: int, body: bytes) -> bytes:
    size, length = len(body), b""
    while True:
        size, rest = divmod(size, 128)
        length += bytes([rest | 128 * bool(size)])
        if not size:
            return bytes([head]) + length + body


def publish(qos: int, flags: int, topic: bytes, packet_id: int, payload: bytes) -> bytes:
    number = struct.pack(">H", packet_id) if qos else b""
    return packet(0x30 | qos << 1 | flags, struct.pack(">H", len(topic)) + topic + number + payload)


ids = st.integers(1, 65_535)
topics = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).map(str.encode)
payloads = st.binary(max_size=300) | st.integers(0, 20_000).map(bytes)
good = (
    st.builds(publish, st.integers(0, 2), st.sampled_from([0, 1, 8, 9]), topics, ids, payloads)
    | ids.map(lambda number: packet(0x40, struct.pack(">H", number)))
    | st.just(b"\xd0\x00")
)
bad = st.sampled_from(
    [
        publish(1, 0, b"", 1, b"no topic"),
        publish(0, 0, b"\xff", 1, b"no UTF-8"),
        publish(3, 0, b"t", 1, b"no such QoS"),
        packet(0x32, b"\x00\x01t\x00"),
        packet(0x30, b"\x00\x09short"),
        packet(0x30, b"\x00"),
        packet(0x40, b"\x01"),
        packet(0x40, b"\x00\x01\x00"),
        packet(0xF0, b""),
        b"\x30\xff\xff\xff\xff\x01",
    ]
)


class Kept(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        """The test ends it."""

    def abort(self) -> None:
        """Likewise."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""


async def told(pieces: list[bytes]) -> Outcome:
    """What a session makes of it: messages, what it writes, why it ended."""
    heard: list[Message] = []
    wire, kept = Wire(), Kept()
    wire.connection_made(kept)
    session = Session(wire, "a", 0, heard.append)
    opening = asyncio.ensure_future(session.open(None, None, None, []))
    await asyncio.sleep(0)
    wire.data_received(CONNACK)
    await opening
    kept.written = b""
    for piece in pieces:
        wire.data_received(piece)
    await asyncio.sleep(0)  # what is written goes out at the end of the turn
    why = session.closed.result() if session.closed.done() else None
    session.abort("the test is over")
    return heard, kept.written, why


@given(
    stream=st.lists(good, max_size=8),
    end=st.just(b"") | bad,
    cuts=st.lists(st.integers(0, 3_000), max_size=6),
)
@example([publish(1, 0, b"t", 7, b"x")], b"", [1, 2, 3, 4, 5, 6, 7])
def test_a_stream_means_the_same_however_it_is_read(stream: list[bytes], end: bytes, cuts: list[int]) -> None:
    whole = b"".join(stream) + end
    places = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    pieces = [whole[a:b] for a, b in pairwise(places)]
    ours = asyncio.run(told(pieces))
    with patch.object(Codec, "read_frequent", lambda _: False):
        assert asyncio.run(told(pieces)) == ours


def test_frequent_packets_do_not_need_paho() -> None:
    stream = [publish(1, 0, b"t", 7, b"x"), publish(0, 1, b"u", 0, bytes(70_000)), packet(0x40, b"\x00\x09")]
    with patch.object(Codec, "loop_read", autospec=True, side_effect=Codec.loop_read) as paho:
        heard, written, why = asyncio.run(told([b"".join(stream)]))
    assert paho.call_count == 1, "CONNACK"
    assert heard == [Message("t", b"x", 1, retain=False), Message("u", bytes(70_000), 0, retain=True)]
    assert (written, why) == (b"\x40\x02\x00\x07", None)
