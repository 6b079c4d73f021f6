"""A lasting connection to a broker: connect, serve, reconnect."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from fleetcell.contract.errors import NotConnectedError
from fleetcell.flag import Flag, over, set_within
from fleetcell.mqtt.address import parse_url, source_problem
from fleetcell.mqtt.session import Session
from fleetcell.mqtt.types import Backoff, Message, TlsOptions, Will
from fleetcell.mqtt.wire import Connect, Wire, open_wire

_SLICE_S = 0.01  # seconds of receiving before the loop gets its turn
_NONE: frozenset[str] = frozenset()  # one for all: each is 200 bytes
_STABLE_S = 5.0  # a session that lasted this long starts the backoff anew
_CLOSED_IS_NO = 3  # times in a row that a broker closes the connection at an optional filter

log = structlog.get_logger()


class MqttBridge:
    """One client of one broker. Every session is a clean one; nothing outlives a connection.

    Args:
        url: `ws://`, `wss://`, `mqtt://` or `mqtts://`; see parse_url.
        client_id: MQTT client identifier.
        username, password: None for an anonymous client.
        keep_alive: seconds, 0 for none. A broker silent for 1.5 times this is given up.
        subscriptions: (topic filter, QoS), subscribed in each session before it counts as connected.
        optional: the same; a broker that refuses one (or closes the connection for it) is used without,
            and the filter is in `missing`.
        receive: called on the event loop, in order, with each message.
        prepare: awaited before each CONNECT, when there is a connection; for what has to be on a disk first.
        will: asked for the will just before each CONNECT, so that it can name that session.
        on_connect: awaited after each successful CONNECT and SUBSCRIBE, while the session is served.
        on_disconnect: called with the reason each time an established session ended.
        inbox_size: messages waiting for `receive`; one more is counted in `dropped`.
        backoff: how long to wait between attempts.
        tls: for `wss` and `mqtts`.
        rng: for the jitter of the backoff.
        connect_timeout: seconds for TCP, TLS, WebSocket, CONNECT and SUBSCRIBE together.
        source: the address of this machine to connect from; where that is not possible, any.
        connect: another way to get connections than the event loop's own; a simulated link, for instance.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        username: str | None = None,
        password: str | None = None,
        keep_alive: int = 20,
        subscriptions: Sequence[tuple[str, int]] = (),
        optional: Sequence[tuple[str, int]] = (),
        receive: Callable[[Message], None] | None = None,
        prepare: Callable[[], Awaitable[None]] | None = None,
        will: Callable[[], Will | None] | None = None,
        on_connect: Callable[[], Awaitable[None]] | None = None,
        on_disconnect: Callable[[str], None] | None = None,
        inbox_size: int = 10_000,
        backoff: Backoff | None = None,
        tls: TlsOptions | None = None,
        rng: random.Random | None = None,
        connect_timeout: float = 10.0,
        source: str | None = None,
        connect: Connect | None = None,
    ) -> None:
        self.address = parse_url(url)
        self.dropped = 0
        self.last_error: str | None = None  # why there is no connection
        self._client_id = client_id
        self._username = username
        self._password = password
        self._keep_alive = keep_alive
        self._subscriptions = tuple(subscriptions)
        self._optional = tuple(optional)
        self.missing = _NONE  # optional filters that the broker does not have
        self._lost_at: tuple[str, ...] = ()  # those at which it closed the connection, once each time
        self._receive = receive
        self._prepare = prepare
        self._will = will
        self._on_connect = on_connect
        self._on_disconnect = on_disconnect
        self._inbox: deque[Message] | None = None  # None: empty
        self._inbox_size = inbox_size
        self._backoff = backoff or Backoff()
        self._tls = tls or TlsOptions()
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._connect_timeout = connect_timeout
        self._source = self._checked(source)
        self._connect = connect
        self._session: Session | None = None
        self._connecting: asyncio.Timeout | None = None
        self._wire: Wire | None = None
        self._connected = Flag()
        self._closing = Flag()

    def _checked(self, source: str | None) -> str | None:
        problem = None if source is None else source_problem(source, self.address)
        if problem is not None:
            self._log.info("mqtt.source_not_usable", reason=problem)
            return None
        return source

    @property
    def _log(self) -> structlog.stdlib.BoundLogger:
        bound: structlog.stdlib.BoundLogger = log.bind(client=self._client_id, broker=str(self.address))
        return bound

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    async def wait_connected(self) -> None:
        """Return when there is a session, subscriptions included."""
        await self._connected.wait()

    async def run(self) -> None:
        """Connect, serve and reconnect until `close` or `disconnect`.

        Cancelling it drops the connection as a lost link would: the broker publishes the will.

        Raises:
            Exception: whatever `prepare`, `will` or `on_connect` raises, OSError and NotConnectedError apart.
        """
        attempt = 0
        while not self._closing.is_set():
            started = time.monotonic()
            try:
                await self._connect_and_serve()
            except (OSError, NotConnectedError) as error:
                self._note_failure(error)
            if time.monotonic() - started > _STABLE_S:
                attempt = 0
            await set_within(self._closing, self._backoff.delay(attempt, self._rng))
            attempt += 1

    async def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        """Publish; QoS 1 returns on PUBACK, QoS 0 when the message is on its way.

        Waits while the connection or the queue of unacknowledged messages is full.

        Raises:
            NotConnectedError: no session, or it ended before the PUBACK. The broker may still have it.
            ValueError: no valid topic name.
        """
        if self._session is None or not self.connected:
            raise NotConnectedError(self.last_error or "not connected yet")
        await self._session.publish(topic, payload, qos, retain)

    async def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish (topic, payload) pairs with QoS 1; returns when all are acknowledged.

        Cheaper than to wait for each by itself. Waits for room as `publish` does.

        Raises:
            NotConnectedError: no session, or it ended before the last PUBACK. The broker may still have some.
            ValueError: no valid topic name; those before it are on their way.
        """
        if self._session is None or not self.connected:
            raise NotConnectedError(self.last_error or "not connected yet")
        await self._session.publish_all(messages)

    def publish_nowait(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> bool:
        """Publish without waiting for an acknowledgement; False when not connected or full."""
        if self._session is None or not self.connected:
            return False
        return self._session.publish_nowait(topic, payload, qos, retain)

    def subscribe_nowait(self, subscriptions: Sequence[tuple[str, int]]) -> bool:
        """Subscribe to more in this session, without waiting; False when not connected or full.

        The next session does not have them. What the broker refuses is not heard, and logged.
        """
        return self._session is not None and self.connected and self._session.subscribe_nowait(subscriptions)

    def unsubscribe_nowait(self, filters: Sequence[str]) -> bool:
        """End subscriptions of this session; False when not connected or full."""
        return self._session is not None and self.connected and self._session.unsubscribe_nowait(filters)

    async def echo(self) -> None:
        """Return when the broker has answered what is asked now, and all that it sent before was received.

        Raises:
            NotConnectedError: no session, or it ended before the answer.
        """
        if self._session is None or not self.connected:
            raise NotConnectedError(self.last_error or "not connected yet")
        await self._session.echo()
        while self._inbox:  # noqa: ASYNC110 - `_drain` takes its turns on this very loop
            await asyncio.sleep(0)

    def resubscribe(self, subscriptions: Sequence[tuple[str, int]]) -> None:
        """Have these subscriptions from now on: a session with others ends cleanly, and the next follows."""
        if tuple(subscriptions) == self._subscriptions:
            return
        self._subscriptions = tuple(subscriptions)
        if self._session is not None and self._connecting is None:
            self._session.disconnect()
        elif self._session is not None:
            self._session.abort("other subscriptions")

    def close(self) -> None:
        """End with a DISCONNECT, so that the broker publishes no will; `run` returns."""
        self._closing.set()
        if self._connecting is not None:
            if not self._connecting.expired():  # else it is ending already
                self._connecting.reschedule(asyncio.get_running_loop().time())
        elif self._session is not None:
            self._session.disconnect()

    async def disconnect(self) -> None:
        """As close; returns when DISCONNECT was sent and the connection is closed."""
        self.close()
        if self._wire is not None:
            await self._wire.gone.wait()

    def drop(self, reason: str = "dropped") -> None:
        """Lose the connection without DISCONNECT, as a broken link does; `run` connects again."""
        if self._session is not None:
            self._session.abort(reason)

    # -- one session --------------------------------------------------------------------------

    async def _connect_and_serve(self) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout) as self._connecting:
                session = await self._open_session()
            self._connecting = None
            if self._closing.is_set():  # told to end when the last answer had come: too late for the timeout
                session.disconnect()
                return
            await self._serve(session)
        finally:
            self._connecting = None
            if self._session is not None:
                self._session.abort("stopped")
            self._session = None

    async def _open_session(self) -> Session:
        wire = self._wire = await open_wire(self.address, self._tls, self._source, self._connect)
        if self._prepare is not None:
            await self._ready(wire, self._prepare())
        self._session = Session(self._wire, self._client_id, self._keep_alive, self._enqueue)
        will = self._will() if self._will is not None else None
        await self._session.open(self._username, self._password, will, self._subscriptions)
        for subscription in self._optional:
            if subscription[0] not in self.missing:
                await self._try_subscribe(self._session, subscription)
        return self._session

    async def _ready(self, wire: Wire, preparing: Awaitable[None]) -> None:
        try:
            await preparing
        except BaseException:
            wire.abort()
            raise
        if wire.gone.is_set():
            raise ConnectionError("connection lost before CONNECT")

    async def _try_subscribe(self, session: Session, subscription: tuple[str, int]) -> None:
        try:
            if await session.try_subscribe(subscription):
                self._lost_at = tuple(name for name in self._lost_at if name != subscription[0])
                return
        except NotConnectedError:
            # MQTT 3.1.1 lets a broker say no so, too. But a connection may be lost by chance.
            self._lost_at += (subscription[0],)
            if self._lost_at.count(subscription[0]) >= _CLOSED_IS_NO:
                self.missing |= {subscription[0]}
            raise
        self.missing |= {subscription[0]}

    async def _serve(self, session: Session) -> None:
        self.last_error = None
        self._connected.set()
        self._log.info("mqtt.connected")
        task = asyncio.create_task(self._greet())
        greeting: asyncio.Task[None] | None = task
        try:
            await asyncio.wait((task, session.closed), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
                greeting = None  # a task that is over is as large as before, and a session lasts for days
            del task
            await over(session.closed)  # not awaited itself: cancelling us must not end the future
        finally:
            session.abort("stopped")
            reason = self.last_error = session.closed.result()
            self._connected.clear()
            self._log.info("mqtt.disconnected", reason=reason)
            if self._on_disconnect is not None:
                self._on_disconnect(reason)
            if greeting is not None:
                greeting.cancel()
                await asyncio.wait((greeting,))
        if greeting is not None and not greeting.cancelled():
            greeting.result()

    async def _greet(self) -> None:
        if self._on_connect is not None:
            try:
                await self._on_connect()
            except NotConnectedError:
                self._log.debug("mqtt.lost_while_greeting")

    def _note_failure(self, error: Exception) -> None:
        reason = str(error) or "no answer from the broker in time"
        if reason != self.last_error and not self._closing.is_set():  # once, not at each attempt
            self._log.warning("mqtt.connect_failed", reason=reason)
        self.last_error = reason

    # -- the inbox ----------------------------------------------------------------------------

    def _enqueue(self, message: Message) -> None:
        if self._receive is None:
            return
        if self._inbox is None:
            self._inbox = deque((message,))
            asyncio.get_running_loop().call_soon(self._drain)
        elif len(self._inbox) >= self._inbox_size:
            self.dropped += 1
        else:
            self._inbox.append(message)

    def _drain(self) -> None:
        """Hand over messages for one slice of time, then let the loop run."""
        inbox = self._inbox
        assert self._receive is not None
        assert inbox is not None
        until = time.monotonic() + _SLICE_S
        while inbox:
            message = inbox.popleft()
            try:
                self._receive(message)
            except Exception:  # noqa: BLE001 - one bad message must not stop those behind it
                self._log.exception("mqtt.receive_failed", topic=message.topic)
            if time.monotonic() >= until and inbox:
                asyncio.get_running_loop().call_soon(self._drain)
                return
        self._inbox = None  # the next message asks for a drain; an empty queue would be kept 600 bytes large
