"""A unit's connection over a link, on real sockets at the far end."""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from tests.vehicle_sim.links.virtual import SteadyAir, quiet_link
from vehicle_sim.links.line import Mark
from vehicle_sim.links.pump import TICK_S
from vehicle_sim.links.transport import LinkedTransport, Modem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PATIENCE_S = 60.0


class Peer(asyncio.Protocol):
    """One end of a connection; a test can wait until something has become true of it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.data = bytearray()
        self.lost: list[Exception | None] = []
        self.paused: list[bool] = []
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._changed.set()

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)
        self._changed.set()

    def pause_writing(self) -> None:
        self.paused.append(True)
        self._changed.set()

    def resume_writing(self) -> None:
        self.paused.append(False)
        self._changed.set()

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    async def until_data(self, size: int) -> bytes:
        """What has come, once it is so much."""
        await self._until(lambda: len(self.data) >= size)
        return bytes(self.data)

    async def until_lost(self) -> Exception | None:
        """With what the connection ended."""
        await self._until(lambda: bool(self.lost))
        return self.lost[0]

    async def until_paused(self, paused: list[bool]) -> None:
        """When writing was paused and resumed like this."""
        await self._until(lambda: self.paused == paused)

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


class Server:
    """A TCP server that hands out the connections it gets."""

    def __init__(self) -> None:
        self.port = 0
        self.peers: list[Peer] = []
        self._come: asyncio.Queue[Peer] = asyncio.Queue()

    def make(self) -> Peer:
        """For a new connection."""
        peer = Peer()
        self.peers.append(peer)
        self._come.put_nowait(peer)
        return peer

    async def next(self) -> Peer:
        """The next one that connects."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._come.get()


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """A server on a port of its own."""
    server = Server()
    listener = await asyncio.get_running_loop().create_server(server.make, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for peer in server.peers:
            if peer.transport is not None:
                peer.transport.abort()
        await listener.wait_closed()


@pytest.mark.both_loops
async def test_data_cross_the_link_whole_and_in_order_both_ways() -> None:
    link = quiet_link(SteadyAir(4e6, 6e6), up_s=0.02, down_s=0.01, jitter_s=0.005, loss=0.02)
    modem = Modem(link)
    up, down = bytes(range(256)) * 800, bytes(range(255, -1, -1)) * 1200
    async with serving() as server:
        near = await modem.connect(Peer, "127.0.0.1", server.port)
        far = await server.next()
        near.write(up)
        far.write(down)
        assert hashlib.sha256(await far.until_data(len(up))).digest() == hashlib.sha256(up).digest()
        assert hashlib.sha256(await near.until_data(len(down))).digest() == hashlib.sha256(down).digest()
        modem.drop()
    assert link.vanished_bytes == 0


async def test_a_connection_takes_a_round_trip_and_data_one_way() -> None:
    """Each delivery may be a tick of the event loop early."""
    modem = Modem(quiet_link(up_s=0.10, down_s=0.15))
    async with serving() as server:
        began = time.monotonic()
        near = await modem.connect(Peer, "127.0.0.1", server.port)
        connected = time.monotonic()
        assert connected - began >= 0.25 - 2 * TICK_S
        near.write(b"hello")
        far = await server.next()
        await far.until_data(5)
        assert time.monotonic() - connected >= 0.10 - TICK_S
        modem.drop()


async def test_where_nobody_listens_the_connection_is_refused() -> None:
    async with serving() as server:
        port = server.port
    modem = Modem(quiet_link(up_s=0.01))
    with pytest.raises(ConnectionRefusedError):
        await modem.connect(Peer, "127.0.0.1", port)
    await modem.finish(PATIENCE_S)


@pytest.mark.both_loops
async def test_closing_lets_what_was_sent_arrive_first() -> None:
    modem = Modem(quiet_link(SteadyAir(1e6, 1e6), up_s=0.05))
    async with serving() as server:
        near = await modem.connect(Peer, "127.0.0.1", server.port)
        far = await server.next()
        near.write(bytes(100_000))
        assert near.transport is not None
        near.transport.close()
        near.transport.write(b"too late")
        assert near.transport.is_closing()
        await modem.finish(PATIENCE_S)
        assert len(await far.until_data(100_000)) == 100_000
        assert await far.until_lost() is None
        assert near.lost == [None]


async def test_the_end_at_the_server_closes() -> None:
    modem = Modem(quiet_link(down_s=0.05))
    async with serving() as server:
        near = await modem.connect(Peer, "127.0.0.1", server.port)
        far = await server.next()
        far.write(b"goodbye")
        assert far.transport is not None
        far.transport.close()
        assert await near.until_lost() is None
        assert near.data == b"goodbye"
        await modem.finish(PATIENCE_S)


async def test_a_reset_reaches_both_ends() -> None:
    link = quiet_link()
    modem = Modem(link)
    async with serving() as server:
        near = await modem.connect(Peer, "127.0.0.1", server.port)
        far = await server.next()
        modem.pump.reset()
        assert isinstance(await near.until_lost(), ConnectionResetError)
        await far.until_lost()
        await modem.finish(PATIENCE_S)


async def test_half_open_neither_end_learns_that_the_other_is_gone() -> None:
    link = quiet_link()
    modem = Modem(link)
    async with serving() as server:
        near = await modem.connect(Peer, "127.0.0.1", server.port)
        far = await server.next()
        modem.pump.black_hole(0.0)
        near.write(b"into the void")
        far.write(b"likewise")
        assert near.transport is not None
        near.transport.close()
        other = await modem.connect(Peer, "127.0.0.1", server.port)  # behind what vanished
        other.write(b"x")
        await (await server.next()).until_data(1)
        assert not far.data
        assert not far.lost
        assert not near.data
        assert link.vanished_bytes > 0
        modem.drop()  # as when the run ends
        await far.until_lost()


async def test_a_full_queue_holds_the_sender_until_there_is_room() -> None:
    modem = Modem(quiet_link(SteadyAir(3e5, 3e5), buffer_bytes=50_000))
    async with serving() as server:
        near = await modem.connect(Peer, "127.0.0.1", server.port)
        far = await server.next()
        near.write(bytes(60_000))
        await near.until_paused([True, False])
        await far.until_data(60_000)
        far.write(bytes(400_000))  # more than the queue: the server's end is read in pieces
        assert len(await near.until_data(400_000)) == 400_000
        modem.drop()


async def test_who_gives_up_connecting_leaves_nothing_behind() -> None:
    modem = Modem(quiet_link(SteadyAir(0.0, 0.0)))
    async with serving() as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await modem.connect(Peer, "127.0.0.1", server.port)
        modem.drop()
        assert server.peers == []


async def test_finish_gives_up_after_its_time() -> None:
    modem = Modem(quiet_link(SteadyAir(10.0, 1e6)))
    async with serving() as server:
        connecting = asyncio.create_task(modem.connect(Peer, "127.0.0.1", server.port))
        await asyncio.sleep(0)
        await modem.finish(0.05)
        with pytest.raises(ConnectionRefusedError):
            await connecting


async def test_a_transport_passes_marks_on_only_once() -> None:
    modem = Modem(quiet_link())
    async with serving() as server:
        near = await modem.connect(Peer, "127.0.0.1", server.port)
        assert isinstance(near.transport, LinkedTransport)
        near.transport.mark(Mark.SYN)  # a repeated answer changes nothing
        near.transport.mark(Mark.FIN)
        near.transport.mark(Mark.RST)
        near.transport.abort()
        await near.until_lost()
        assert near.lost == [None]
        modem.drop()


async def test_when_the_program_dies_the_far_end_hears_a_reset_by_the_link() -> None:
    link = quiet_link(up_s=0.05, down_s=0.05)
    modem = Modem(link)
    async with serving() as server:
        await modem.connect(Peer, "127.0.0.1", server.port)
        far = await server.next()
        modem.pump.orphan()
        modem.drop()  # the program's own clean-up does not reach the far end
        assert not far.lost
        await far.until_lost()
        other = await modem.connect(Peer, "127.0.0.1", server.port)  # the next program, same modem
        other.write(b"again")
        await (await server.next()).until_data(5)
        modem.close()


async def test_when_the_power_fails_the_far_end_hears_nothing() -> None:
    link = quiet_link()
    modem = Modem(link)
    async with serving() as server:
        near = await modem.connect(Peer, "127.0.0.1", server.port)
        far = await server.next()
        modem.pump.power_off()
        near.write(b"last words")
        modem.drop()
        other = await modem.connect(Peer, "127.0.0.1", server.port)  # behind what vanished
        other.write(b"x")
        await (await server.next()).until_data(1)
        assert not far.data
        assert not far.lost
        modem.close()  # the end of the run ends what is half open
        await far.until_lost()


async def test_a_connection_that_is_given_up_may_be_refused_in_the_same_moment() -> None:
    modem, peer = Modem(quiet_link()), Peer()
    transport = LinkedTransport(modem.pump.open(), peer)
    transport.established.cancel()  # as a time limit does, before the one who waits has heard of it
    transport.mark(Mark.RST)
    await asyncio.sleep(0)
    assert transport.is_closing()
    assert peer.lost == []
    modem.close()
