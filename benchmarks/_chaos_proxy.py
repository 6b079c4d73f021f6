"""The network between two processes of the chaos harness: a TCP proxy that misbehaves as it is told.

A stall holds bytes and delivers them late, as TCP does after an outage. A black hole keeps them for good, so
its connections are reset when it ends: no TCP connection goes on with bytes missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK: Final = 64 * 1024
_NO_LINGER: Final = struct.pack("ii", 1, 0)  # close() sends RST
_LENGTH: Final = struct.Struct(">I")
_QUERY: Final = ord("Q")
_HEAD: Final = 5  # type and length of a message of the PostgreSQL protocol


class AtCommit(StrEnum):
    """What becomes of a COMMIT that a client sends."""

    ANSWER_LOST = "answer lost"  # the server has it and commits; its answer is dropped
    NEVER_SENT = "never sent"  # it does not reach the server, which rolls back


class CommitWatch:
    """Finds COMMIT in what a client of PostgreSQL sends, wherever the stream is cut into chunks."""

    def __init__(self) -> None:
        self._rest = b""
        self._started = False  # the first message has no type

    def split(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Whole messages, each with whether it is a COMMIT; what is not whole yet is kept."""
        self._rest += data
        while True:
            at = 1 if self._started else 0
            if len(self._rest) < at + _LENGTH.size:
                return
            size = at + _LENGTH.unpack_from(self._rest, at)[0]
            if len(self._rest) < size:
                return
            message, self._rest = self._rest[:size], self._rest[size:]
            yield message, self._started and message[0] == _QUERY and message[_HEAD:].startswith(b"COMMIT")
            self._started = True


@dataclass(eq=False)
class _Line:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    lost_bytes: bool = False  # it cannot go on
    mute: bool = False  # the server's answers are dropped
    half: set[bool] = field(default_factory=set)  # directions that were closed: True is towards the server

    def reset(self) -> None:
        for writer in (self.client, self.server):
            _reset(writer)


class Proxy:
    """Passes connections on to a server.

    Args:
        name: for people, such as "units-broker".
        server: host and port, or the path of a Unix socket.
        is_database: whether its clients speak the PostgreSQL protocol.

    Attributes:
        commits_hit: COMMITs that were cut.
    """

    def __init__(self, name: str, server: tuple[str, int] | str, *, is_database: bool = False) -> None:
        self.name = name
        self.server = server
        self.is_database = is_database
        self.delay_s = 0.0
        self.hole = False
        self.refuses = False
        self.commits_hit = 0
        self._at_commit: AtCommit | None = None
        self._tear: float | None = None  # share of the next chunk that gets through before a reset
        self._passing = asyncio.Event()
        self._passing.set()
        self._lines: set[_Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        assert self._listener is not None
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    @property
    def has_lost(self) -> bool:
        """Whether a connection that is open has lost bytes."""
        return any(line.lost_bytes for line in self._lines)

    async def start(self) -> None:
        """Listen on a free port."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        """End everything."""
        assert self._listener is not None
        self._listener.close()
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what it does to the network ------------------------------------------------------------------

    def stall(self) -> None:
        """Nothing passes, and nobody is told; what was sent arrives later."""
        self._passing.clear()

    def reset(self) -> None:
        """End every connection by RST."""
        for line in list(self._lines):
            line.reset()

    def half_close(self, *, to_server: bool) -> None:
        """End one direction of every connection; the other goes on."""
        for line in list(self._lines):
            line.half.add(to_server)
            writer = line.server if to_server else line.client
            with contextlib.suppress(OSError, RuntimeError):
                writer.write_eof()

    def tear(self, share: float) -> None:
        """Of the next chunk that comes only this share (0 to 1) passes, then the connection is reset."""
        self._tear = share

    def hit_commit(self, how: AtCommit) -> None:
        """The next COMMIT is cut, and its connection is reset."""
        self._at_commit = how

    def heal(self) -> None:
        """Pass everything again. Connections that lost bytes end."""
        self.delay_s, self.hole, self.refuses = 0.0, False, False
        self._tear = self._at_commit = None
        for line in list(self._lines):
            if line.lost_bytes or line.mute:
                line.reset()
        self._passing.set()

    # -- inside -----------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await self._passing.wait()
        if self.refuses:
            _reset(writer)
            return
        try:
            if isinstance(self.server, str):
                there, back = await asyncio.open_unix_connection(self.server)
            else:
                there, back = await asyncio.open_connection(*self.server)
        except OSError:
            _reset(writer)
            return
        line = _Line(writer, back)
        self._lines.add(line)
        try:
            await asyncio.gather(
                self._pump(line, reader, to_server=True), self._pump(line, there, to_server=False)
            )
        finally:
            self._lines.discard(line)
            line.client.close()
            line.server.close()

    async def _pump(self, line: _Line, source: asyncio.StreamReader, *, to_server: bool) -> None:
        target = line.server if to_server else line.client
        watch = CommitWatch() if self.is_database and to_server else None
        with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: it was reset meanwhile (uvloop)
            while data := await source.read(CHUNK):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._passing.wait()
                if self.hole or to_server in line.half or (line.mute and not to_server):
                    line.lost_bytes |= self.hole
                    if line.mute:  # the server has answered: COMMIT is done, and nobody knows
                        line.reset()
                    continue
                if self._tear is not None:
                    target.write(data[: int(len(data) * self._tear)])
                    self._tear = None
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(target.drain(), 0.2)
                    line.reset()
                    return
                if watch is None:
                    target.write(data)
                elif not self._send_statements(line, watch, data):
                    return
                await target.drain()
        if self.hole or to_server in line.half:  # the end of a connection is lost in a hole too
            line.lost_bytes |= self.hole
            return
        with contextlib.suppress(OSError, RuntimeError):
            target.write_eof()

    def _send_statements(self, line: _Line, watch: CommitWatch, data: bytes) -> bool:
        """Pass whole messages on; False: the connection was reset."""
        for message, is_commit in watch.split(data):
            if is_commit and self._at_commit is not None:
                how, self._at_commit = self._at_commit, None
                self.commits_hit += 1
                if how is AtCommit.NEVER_SENT:
                    line.reset()
                    return False
                line.mute = True
            line.server.write(message)
        return True


def _reset(writer: asyncio.StreamWriter) -> None:
    if writer.transport.is_closing():
        return
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()
