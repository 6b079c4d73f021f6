"""A TCP relay that a test cuts: the network between a service and what it talks to."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Relay:
    """Passes every connection on to a server, until it is cut or becomes a hole.

    Args:
        server: host and port, or the path of a Unix socket.

    Attributes:
        accepted: how many connections were made to it.
    """

    def __init__(self, server: tuple[str, int] | str) -> None:
        self._server = server
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._cut = False
        self.accepted = 0
        self._passing = asyncio.Event()
        self._passing.set()

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        assert self._listener is not None
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen on a free port."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    def cut(self) -> None:
        """End all connections, and let no new one through."""
        self._cut = True
        for writer in self._writers:
            writer.transport.abort()

    def swallow(self) -> None:
        """From now on nothing arrives, not even the end of a connection, and nobody is told."""
        self._passing.clear()

    def mend(self) -> None:
        """Let connections through again; what was swallowed arrives, as TCP would send it again."""
        self._cut = False
        self._passing.set()

    async def stop(self) -> None:
        """End everything."""
        self.cut()
        self._passing.set()
        assert self._listener is not None
        self._listener.close()
        await self._listener.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        await self._passing.wait()
        if self._cut:
            writer.transport.abort()
            return
        try:
            if isinstance(self._server, str):
                there, back = await asyncio.open_unix_connection(self._server)
            else:
                there, back = await asyncio.open_connection(*self._server)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            self._writers -= {writer, back}

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._passing.wait()
                if target.transport.is_closing():  # uvloop fails to write where asyncio says nothing
                    break
                target.write(data)
                await target.drain()
        await self._passing.wait()
        target.close()
