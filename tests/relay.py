"""A TCP relay that a test cuts: the network between a service and what it talks to."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Relay:
    """Passes every connection on to a server, until it is cut.

    Args:
        server: host and port, or the path of a Unix socket.
    """

    def __init__(self, server: tuple[str, int] | str) -> None:
        self._server = server
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._cut = False

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

    def mend(self) -> None:
        """Let connections through again."""
        self._cut = False

    async def stop(self) -> None:
        """End everything."""
        self.cut()
        assert self._listener is not None
        self._listener.close()
        await self._listener.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            self._writers -= {writer, back}


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()
