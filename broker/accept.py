"""Accepts sockets: as many as there may be, and no more. A socket too many is closed at once.

asyncio's servers tell nothing of a socket before its TLS and WebSocket handshakes are done, so sockets that
never begin them could not be counted. Here a socket has its place from the moment it is accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from broker.counters import Counters
    from broker.limits import Limits
    from broker.tls import ServerTls

log: Final = structlog.get_logger()

_BACKLOG: Final = 1024
_TURN: Final = 200  # sockets accepted before the connections get their turn
_PAUSE_S: Final = 1.0  # after the system had no more file descriptors
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Place:
    """The place of one socket among those of its listener and its address; given back once."""

    __slots__ = ("_address", "_gate", "_taken", "at")

    def __init__(self, gate: Gate, address: str, at: float) -> None:
        self.at = at  # monotonic seconds of its acceptance
        self._gate = gate
        self._address = address
        self._taken = True

    def leave(self) -> None:
        """The socket is closed."""
        if self._taken:
            self._taken = False
            self._gate.left(self._address)


class Gate:
    """Counts the sockets of one listener.

    Args:
        limits: `connections` and `connections_per_address`.
        limit: Sockets at a time, in place of `limits.connections`; 0: no limit.
        addresses: Sockets of each address, at all listeners.
    """

    def __init__(self, limits: Limits, counters: Counters, addresses: Counter[str], limit: int) -> None:
        self.limit = limit
        self.open = 0
        self._limits = limits
        self._counters = counters
        self._addresses = addresses

    def enter(self, address: str, now: float) -> Place | None:
        """A place for a socket of this address; None, and counted, when there is none."""
        key = address_key(address)
        per_address = self._limits.connections_per_address
        if self.limit and self.open >= self.limit:
            self._counters.sockets_refused["listener full"] += 1
            return None
        if per_address and self._addresses[key] >= per_address:
            self._counters.sockets_refused["address full"] += 1
            return None
        self.open += 1
        self._addresses[key] += 1
        return Place(self, key, now)

    def left(self, key: str) -> None:
        """A place is free again."""
        self.open -= 1
        self._addresses[key] -= 1
        if not self._addresses[key]:
            del self._addresses[key]


def address_key(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that one IPv6 host has to itself."""
    if ":" not in address:
        return address
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    if packed.startswith(bytes(10) + b"\xff\xff"):  # IPv4 through a socket of IPv6
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + bytes(8)) + "/64"


class Acceptor:
    """A listener: hands each accepted socket to a protocol.

    It has of `asyncio.Server` what amqtt uses: `sockets`, `close()`, `wait_closed()`.

    Args:
        make: The protocol for a socket with this place.
        tls: For a listener with TLS.
        handshake_s: Seconds for the TLS handshake.
    """

    def __init__(
        self,
        gate: Gate,
        make: Callable[[Place], asyncio.BaseProtocol],
        tls: ServerTls | None,
        handshake_s: float,
    ) -> None:
        self.sockets: list[socket.socket] = []
        self._gate = gate
        self._make = make
        self._tls = tls
        self._handshake_s = handshake_s
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, host: str | None, port: int) -> None:
        """Bind every address of the host, and accept; the address can be bound again at once after a crash.

        Raises:
            OSError: an address cannot be bound; then none is.
        """
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, kind, protocol, _, address in dict.fromkeys(found):
                self.sockets.append(_listening(family, kind, protocol, address))
        except OSError:
            self.close()
            raise
        for listening in self.sockets:
            self._loop.add_reader(listening, self._accept, listening)

    def close(self) -> None:
        """Accept no more; connections stay."""
        for listening in self.sockets:
            if listening.fileno() >= 0:
                self._loop.remove_reader(listening)
                listening.close()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until no handshake is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_TURN):
            try:
                accepted, peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._rest(listening, error)
                return
            place = self._gate.enter(str(peer[0]), self._loop.time())
            if place is None:
                accepted.close()
                continue
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio forgets it here
            task = self._loop.create_task(self._carry(accepted, place))
            self._tasks.add(task)
            task.add_done_callback(partial(self._carried, accepted, place))

    def _rest(self, listening: socket.socket, error: OSError) -> None:
        """Without file descriptors the socket stays readable: look again later instead of at once."""
        log.error("cannot accept connections; trying again", reason=str(error))
        self._loop.remove_reader(listening)

        def again() -> None:
            if listening.fileno() >= 0:
                self._loop.add_reader(listening, self._accept, listening)

        self._loop.call_later(_PAUSE_S, again)

    async def _carry(self, accepted: socket.socket, place: Place) -> None:
        options: dict[str, Any] = (
            {"ssl": self._tls.context, "ssl_handshake_timeout": self._handshake_s} if self._tls else {}
        )
        try:
            await self._loop.connect_accepted_socket(lambda: self._make(place), accepted, **options)
        except OSError:  # a handshake that failed or took too long
            _drop(accepted, place)

    def _carried(self, accepted: socket.socket, place: Place, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():  # perhaps before its first step, so that it could not clean up itself
            _drop(accepted, place)


def _drop(accepted: socket.socket, place: Place) -> None:
    """Close a socket of which the protocol never heard."""
    place.leave()
    with contextlib.suppress(OSError):
        accepted.close()


def _listening(family: int, kind: int, protocol: int, address: Any) -> socket.socket:
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        # asyncio's own words, which name the address.
        raise OSError(
            error.errno, f"error while attempting to bind on address {address!r}: {error.strerror}"
        ) from error
    return listening
