"""What a behaviour is tried with: clients of one broker, and messages as they come."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tests.broker.raw_client import (
    CONNACK,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    Message,
    Packet,
    RawClient,
    Will,
    acknowledgement_packet,
    connect_packet,
    subscribe_packet,
    to_message,
)

T = TypeVar("T")

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a behaviour waits, where the broker's answer may be that nothing comes.

    Attributes:
        for_some_s: for what should come; over as soon as it has.
        for_none_s: for what should not come, after a mark has; always to its end.
        keep_alives: the intervals that are tried until one is kept to. Its lateness is this machine's too:
            of a longer interval it is a smaller part.
    """

    for_some_s: float
    for_none_s: float
    keep_alives: tuple[int, ...]


IN_TIME = Waiting(20.0, 0.25, (2, 8))  # of a broker that should do everything
AT_ONCE = Waiting(1.0, 0.25, (2,))  # of one that lacks some: what it lacks is waited for in vain
AT_LENGTH = Waiting(10.0, 3.0, (2, 8))  # to be sure
# The same where it is known to do something else. Mosquitto looks at keep-alives every five seconds: that is
# late for a short one, unless it looks just then.
LACKING = Waiting(10.0, 3.0, (2,))

Complete = Callable[[list[Message]], bool]  # whether that is all that is waited for

_numbers = itertools.count(1)


class DifferenceError(Exception):
    """The broker does something else than MQTT 3.1.1 says, or than fleetcell's does; says what."""


@dataclass(frozen=True, slots=True)
class Address:
    """A running broker where anybody may do anything, save the account `refused`: it may not subscribe."""

    name: str
    version: str
    mqtt_port: int
    ws_port: int
    user: str = "conformance"
    refused_user: str = "refused"
    password: str = "conformance"


@dataclass
class Bench:
    """Clients of one behaviour; topics and client ids are its own."""

    broker: Address
    prefix: str
    waiting: Waiting = IN_TIME
    clients: list[RawClient] = field(default_factory=list)

    def topic(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    async def open(self, *, ws: bool = False) -> RawClient:
        """A connection without CONNECT."""
        broker = self.broker
        client = await (RawClient.open_ws(broker.ws_port) if ws else RawClient.open_tcp(broker.mqtt_port))
        self.clients.append(client)
        return client

    async def login(
        self,
        client_id: str | None,
        *filters: tuple[str, int],
        ws: bool = False,
        clean: bool = True,
        keep_alive: int = 0,
        will: Will | None = None,
        user: str | None = None,
    ) -> RawClient:
        """A client that is connected and subscribed; None: an empty client id."""
        client = await self.open(ws=ws)
        name = "" if client_id is None else f"{self.prefix}-{client_id}"
        client.send(
            connect_packet(
                name, user or self.broker.user, self.broker.password,
                clean=clean, keep_alive=keep_alive, will=will,
            )
        )  # fmt: skip
        answer = await within(client.expect(CONNACK))
        if answer.body[1]:
            raise DifferenceError(f"CONNECT refused with code {answer.body[1]}")
        if filters:
            await within(client.subscribe(*filters))
        return client

    async def heard(
        self, publisher: RawClient, subscriber: RawClient, complete: Complete | None = None
    ) -> list[Message]:
        """All that came of what the publisher sent, acknowledged; it is waited for until it is complete.

        A mark that the publisher sends at QoS 1 comes last. Of another program QoS 0 may come even later.
        """
        mark = f"{self.prefix}-mark/{next(_numbers)}"
        found = [*subscriber.messages]
        subscriber.messages = []
        for message in found:
            acknowledge(subscriber, message)
        subscriber.send(subscribe_packet([(mark, 1)], 1))
        await _gather(subscriber, found, lambda packet: packet.kind == SUBACK)
        await publish(publisher, mark, b"mark", 1)
        await _gather(subscriber, found, lambda _: bool(found) and found[-1].topic == mark)
        found.pop()
        if complete is not None:
            await self.comes(subscriber, complete, found)
        return found + await drain(subscriber, self.waiting.for_none_s)

    async def comes(
        self, client: RawClient, complete: Complete, found: list[Message] | None = None
    ) -> list[Message]:
        """What came, acknowledged: all that is needed, or as much of it as comes in that time."""
        found = [] if found is None else found
        if not complete(found):
            with contextlib.suppress(TimeoutError):
                gathering = _gather(client, found, lambda _: complete(found))
                await asyncio.wait_for(gathering, self.waiting.for_some_s)
        return found

    async def close(self) -> None:
        for client in self.clients:
            with contextlib.suppress(Exception):
                client.writer.transport.abort()


async def within(work: Awaitable[T]) -> T:
    """The result; no answer is an answer too."""
    try:
        return await asyncio.wait_for(work, PATIENCE_S)
    except TimeoutError:
        raise DifferenceError("no answer") from None
    except AssertionError as error:
        raise DifferenceError(str(error)) from error
    except ConnectionError:
        raise DifferenceError("the broker closed the connection") from None


async def publish(
    client: RawClient, topic: str, payload: bytes, qos: int = 0, *, retain: bool = False
) -> None:
    """Publish, and see the handshake of its QoS through."""
    packet_id = next(_numbers) % 65535 + 1
    client.publish(topic, payload, qos, retain=retain, packet_id=packet_id)
    if qos == 1:
        await _answer(client, PUBACK)
    elif qos == 2:
        answer = await within(client.read())
        if answer is None or answer.kind != PUBREC:
            raise DifferenceError("QoS 2 is answered with PUBACK" if answer else "the connection is closed")
        client.send(acknowledgement_packet(PUBREL, packet_id))
        await _answer(client, PUBCOMP)


async def _answer(client: RawClient, kind: int) -> Packet:
    return await within(client.expect(kind))


def acknowledge(client: RawClient, message: Message) -> None:
    """PUBACK, or the first half of QoS 2."""
    if message.qos:
        client.send(acknowledgement_packet(PUBACK if message.qos == 1 else PUBREC, message.packet_id))


async def _gather(client: RawClient, found: list[Message], last: Callable[[Packet], bool]) -> None:
    """Take what comes, and acknowledge it, until a packet is the last."""
    while True:
        packet = await within(client.read())
        if packet is None:
            raise DifferenceError("the broker closed the connection")
        if packet.kind == PUBLISH:
            found.append(to_message(packet))
            acknowledge(client, found[-1])
        elif packet.kind == PUBREL:
            client.send(acknowledgement_packet(PUBCOMP, packet.packet_id))
        if last(packet):
            return


async def drain(client: RawClient, for_s: float) -> list[Message]:
    """What still comes within that time; acknowledged."""
    found: list[Message] = []
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(_gather(client, found, lambda _: False), for_s)
    return found


def at_least(count: int, payload: bytes | None = None) -> Complete:
    """That many messages; only those with this payload count, where one is given."""
    return lambda found: sum(payload in (None, message.payload) for message in found) >= count


async def closed(client: RawClient, patience_s: float = PATIENCE_S) -> bool:
    """Whether the broker closes the connection in that time."""
    try:
        await client.wait_closed(patience_s)
    except TimeoutError:
        return False
    return True


def expect(what: object, wanted: object, difference: str) -> None:
    """The behaviour differs, unless both are equal."""
    if what != wanted:
        raise DifferenceError(difference)
