"""Bytes by layer: what the lengths in the frames say, whatever pieces the stream comes in."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from fleetcell.mqtt.wire import Wire
from vehicle_sim.truth.meter import Frames, Meter


def conversation(bodies: list[bytes]) -> tuple[bytes, bytes, int]:
    """What a WebSocket client and server write: the handshake, these bodies, and a ping up."""
    client = ClientProtocol(WebSocketURI(False, "h", 80, "/mqtt", ""), subprotocols=[Subprotocol("mqtt")])
    server = ServerProtocol(subprotocols=[Subprotocol("mqtt")])
    client.send_request(client.connect())
    up = b"".join(client.data_to_send())
    server.receive_data(up)
    (request,) = server.events_received()
    server.send_response(server.accept(request))  # type: ignore[arg-type] # a Request, by the handshake
    down = b"".join(server.data_to_send())
    client.receive_data(down)
    head = len(up)
    for body in bodies:
        client.send_binary(body)
        server.send_binary(body)
    client.send_ping(b"are you there")
    return up + b"".join(client.data_to_send()), down + b"".join(server.data_to_send()), head


def pieces(data: bytes, seed: int) -> list[bytes]:
    rng, found = random.Random(seed), []
    while data:
        size = rng.randint(1, 40) if rng.random() < 0.8 else 70_000
        found.append(data[:size])
        data = data[size:]
    return found


@given(st.lists(st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536]), max_size=5), st.integers())
def test_mqtt_and_websocket_bytes_are_told_apart_in_any_pieces(sizes: list[int], seed: int) -> None:
    up, down, head = conversation([bytes(size) for size in sizes])
    for stream, masked in ((up, True), (down, False)):
        frames = Frames()
        for piece in pieces(stream, seed):
            frames.feed(piece)
        assert frames.mqtt == sum(sizes)
        assert frames.mqtt + frames.websocket == len(stream)
        if masked:
            headers = sum(2 + 4 + (0 if size < 126 else 2 if size < 65_536 else 8) for size in sizes)
            assert frames.websocket == head + headers + 2 + 4 + len(b"are you there")


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1), st.integers(0, 15))
def test_a_plain_connection_is_all_mqtt(parts: list[bytes], kind: int) -> None:
    frames = Frames()
    stream = bytes([kind << 4]) + b"".join(parts) if kind != 4 else b"\x10" + b"".join(parts)
    for piece in pieces(stream, 1):
        frames.feed(piece)
    assert (frames.mqtt, frames.websocket) == (len(stream), 0)


async def test_what_passes_a_real_connection_is_counted_both_ways() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readexactly(3000)) * 2)
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    meter = Meter()
    port = server.sockets[0].getsockname()[1]
    wire = await meter.around(None)(Wire, "127.0.0.1", port, tls=None, source=None)
    came = asyncio.Event()
    wire.on_data = lambda: came.set() if meter.read()[1].mqtt == 6000 else None
    wire.send(bytes(3000))
    meter.published(1000)
    async with asyncio.timeout(60):
        await came.wait()
    up, down = meter.read()
    assert (up.messages, up.payload, up.mqtt, up.websocket) == (1, 1000, 2000, 0)
    assert (down.payload, down.mqtt) == (0, 6000)
    assert (up.packets, up.tcp_ip, up.total) == (5, 200, 3200)  # SYN, three segments, FIN
    wire.close()
    async with asyncio.timeout(60):
        await wire.gone.wait()
    assert meter.read() == (up, down)
    server.close()
