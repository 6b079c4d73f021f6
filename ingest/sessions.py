"""Where clients connect from, as the embedded broker tells: a retained message for each that is connected."""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from fleetcell.contract.errors import PayloadError
from fleetcell.contract.messages import decode

log = structlog.get_logger()

SESSION_PREFIX: Final = "$SYS/fleetcell/session/"
SESSION_FILTER: Final = SESSION_PREFIX + "+"


class SessionNotice(msgspec.Struct, frozen=True):
    """What the embedded broker tells of a client that is connected."""

    address: str


class Sessions:
    """The addresses of the clients that are connected; other brokers tell none."""

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Whether the broker tells; of the one who asks at least."""
        return bool(self._addresses)

    def hear(self, topic: str, payload: bytes) -> str:
        """A message below SESSION_PREFIX, empty when the client is gone; which client it is of."""
        client = topic.removeprefix(SESSION_PREFIX)
        if not payload:
            self._addresses.pop(client, None)
            return client
        try:
            self._addresses[client] = decode(SessionNotice, payload).address
        except PayloadError as error:
            log.warning("not a session notice", client=client[:64], reason=str(error))
        return client

    def address(self, client: str) -> str | None:
        """Where a client connects from; None where it is gone, or the broker does not tell."""
        return self._addresses.get(client)
