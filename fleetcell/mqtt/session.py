"""One MQTT session, from CONNECT to the end of its connection; never used twice.

Each connection gets a paho client of its own, so no message of an earlier session can be sent again
behind the caller's back: what was not acknowledged is the caller's to repeat.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
)
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from fleetcell.contract.errors import NotConnectedError
from fleetcell.mqtt.codec import Codec
from fleetcell.mqtt.types import Message, Will
from fleetcell.mqtt.wire import Wire

_MAX_UNACKNOWLEDGED = 512  # QoS 1 messages sent and not acknowledged; further publishers wait
_SILENCE = 1.5  # keep-alive intervals without a byte; the broker's own limit towards a client
_FLUSH_S = 2.0  # for what was written last, DISCONNECT above all, to reach the broker
_TIMER_MARGIN = 0.02  # seconds
_STILL_S = 0.25  # a timer that is later than this: the process stood still

_NOBODY = "fleetcell/echo"  # a filter that is never subscribed

log = structlog.get_logger()


class _Acknowledgement:
    """What one or several packets wait for."""

    __slots__ = ("done", "left")

    def __init__(self, done: asyncio.Future[None], left: int) -> None:
        self.done = done
        self.left = left

    def one_came(self) -> None:
        """Of so many as are left."""
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


class Session:
    """paho on one wire, with futures for what the broker acknowledges.

    `closed` is done, with the reason, when the session has ended for whatever cause.
    """

    def __init__(
        self, wire: Wire, client_id: str, keep_alive: int, receive: Callable[[Message], None]
    ) -> None:
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._wire = wire
        self._client = Codec(wire, client_id)
        self._keep_alive = keep_alive
        self._receive = receive
        self._promises: set[asyncio.Future[Any]] = set()
        self._accepted: asyncio.Future[None] | None = None
        self._granted: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        self._unawaited: dict[int, list[str]] = {}  # filters by packet id
        self._waiting: list[asyncio.Future[None]] = []  # publishers, for room in a queue
        self._timer: asyncio.TimerHandle | None = None
        self._pinged = 0.0  # time.monotonic() of the last PINGREQ
        self._awake_since = 0.0  # likewise, when this process last stood still

    # -- begin and end ------------------------------------------------------------------------

    async def open(
        self,
        username: str | None,
        password: str | None,
        will: Will | None,
        subscriptions: Sequence[tuple[str, int]],
    ) -> None:
        """CONNECT and subscribe; returns when the broker has accepted both.

        Raises:
            ConnectionError: refused, or lost meanwhile.
        """
        client, wire = self._client, self._wire
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_publish = self._on_publish
        client.answered = self._answered
        client.received = self._receive
        client.on_message = self._on_message
        client.max_inflight_messages_set(0)  # no second queue: the next line is the only limit
        client.max_queued_messages_set(_MAX_UNACKNOWLEDGED)
        if username is not None:
            client.username_pw_set(username, password)
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        wire.on_data = self._read
        wire.on_lost = self._end
        wire.on_writable = self._wake
        accepted = self._accepted = self._promise()
        client.connect("broker", keepalive=self._keep_alive)  # the wire is connected; the name goes nowhere
        self._read()  # what came before on_data was set
        await accepted
        self._accepted = None
        client.will_clear()  # the broker has it
        client.username_pw_set(None)
        self._schedule_keep_alive()
        if subscriptions:
            await self._subscribe(subscriptions)

    async def try_subscribe(self, subscription: tuple[str, int]) -> bool:
        """Subscribe to one filter more; False when the broker refuses it.

        Raises:
            ConnectionError: it closes the connection instead.
        """
        return not (await self._ask(subscription))[0].is_failure

    def subscribe_nowait(self, subscriptions: Sequence[tuple[str, int]]) -> bool:
        """As MqttBridge.subscribe_nowait."""
        if self.closed.done() or not self._wire.writable:
            return False
        _, mid = self._client.subscribe(list(subscriptions))
        if mid is None:
            return False
        self._unawaited[mid] = [name for name, _ in subscriptions]
        return True

    def unsubscribe_nowait(self, filters: Sequence[str]) -> bool:
        """As MqttBridge.unsubscribe_nowait."""
        if self.closed.done() or not self._wire.writable:
            return False
        return self._client.unsubscribe(list(filters))[1] is not None

    async def echo(self) -> None:
        """As MqttBridge.echo, but what was sent before may still be on its way to `receive`."""
        if self.closed.done():
            raise NotConnectedError(self.closed.result())
        # Every broker answers an UNSUBSCRIBE, of whatever (MQTT-3.10.4-5), and the answer has a number.
        mid = self._client.unsubscribe(_NOBODY)[1]
        if mid is None:
            raise NotConnectedError("connection lost before UNSUBSCRIBE")
        await self._answer(mid)

    def disconnect(self) -> None:
        """Send DISCONNECT, so that the broker drops the will, and close."""
        if not self.closed.done():
            self._client.disconnect()
        self._end("disconnected")

    def abort(self, reason: str) -> None:
        """Drop the connection as a lost link would: the broker publishes the will."""
        if not self.closed.done():
            self._end(reason)
            self._wire.abort()

    # -- publishing ---------------------------------------------------------------------------

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        """As MqttBridge.publish."""
        while (mid := self._try_publish(topic, payload, qos, retain)) is None:
            await self._room()
        self._wake()  # there may be room for the next one too
        if qos:
            await self._answer(mid)

    async def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """As MqttBridge.publish_all."""
        if not messages:
            return
        all_came = _Acknowledgement(self._promise(), len(messages))
        try:
            for topic, payload in messages:
                while (mid := self._try_publish(topic, payload, 1, retain=False)) is None:
                    await self._room()
                self._client.under_way[mid] = all_came
        except BaseException:
            if not all_came.done.cancel():
                all_came.done.exception()  # nobody asks for it any more
            raise
        self._wake()
        await all_came.done

    def publish_nowait(self, topic: str, payload: bytes, qos: int, retain: bool) -> bool:
        """As MqttBridge.publish_nowait."""
        return not self.closed.done() and self._try_publish(topic, payload, qos, retain) is not None

    def _try_publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> int | None:
        """Hand one message to paho; its packet id, or None when the queue or the connection is full."""
        if self.closed.done():
            raise NotConnectedError(self.closed.result())
        if not self._wire.writable:
            return None
        if qos == 1:
            if len(self._client.under_way) >= _MAX_UNACKNOWLEDGED:
                return None
            try:
                return self._client.publish_once(topic.encode(), payload, retain)
            except ConnectionError as error:
                raise NotConnectedError(str(error)) from None
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            return None
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise NotConnectedError(info.rc.name)
        return info.mid

    # -- what the wire calls ------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while self._wire.inbound and not self.closed.done():
                if not self._client.read_frequent():
                    self._client.loop_read()
            if self._client.want_write():  # answers that paho queued inside a callback
                self._client.loop_write()
        except Exception as error:  # noqa: BLE001 - whatever a broker sends, only its session may suffer
            log.warning("mqtt.malformed_packet", error=repr(error))
            self.abort(f"the broker sent a malformed packet: {error!r}")

    def _end(self, reason: str) -> None:
        if self.closed.done():
            return
        self.closed.set_result(reason)
        if self._timer is not None:
            self._timer.cancel()
        for promise in list(self._promises):
            if not promise.done():
                promise.set_exception(NotConnectedError(reason))
        self._wire.close()
        asyncio.get_running_loop().call_later(_FLUSH_S, self._wire.abort)

    async def _room(self) -> None:
        room = self._promise()
        self._waiting.append(room)
        try:
            await room
        except asyncio.CancelledError:
            self._wake()  # in case it was this one's turn
            raise

    def _wake(self) -> None:
        """Let the next waiting publisher try again."""
        while self._waiting:
            room = self._waiting.pop(0)
            if not room.done():
                room.set_result(None)
                return

    # -- what paho calls ----------------------------------------------------------------------

    def _on_connect(
        self,
        _client: Client,
        _data: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _props: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._end(f"the broker refused the connection: {reason}")
        elif self._accepted is not None and not self._accepted.done():
            self._accepted.set_result(None)

    def _on_disconnect(
        self,
        _client: Client,
        _data: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _props: Properties | None,
    ) -> None:
        self._end(f"connection ended: {reason}")

    def _on_subscribe(
        self, _client: Client, _data: object, mid: int, codes: list[ReasonCode], _props: Properties | None
    ) -> None:
        unawaited = self._unawaited.pop(mid, ())
        refused = [name for name, code in zip(unawaited, codes, strict=False) if code.is_failure]
        if refused:
            log.warning("mqtt.subscription_refused", filters=refused)
        granted = self._granted.pop(mid, None)
        if granted is not None and not granted.done():
            granted.set_result(codes)

    def _on_unsubscribe(
        self, _client: Client, _data: object, mid: int, _codes: list[ReasonCode], _props: Properties | None
    ) -> None:
        self._answered(mid)

    def _on_publish(
        self, _client: Client, _data: object, mid: int, _reason: ReasonCode, _props: Properties | None
    ) -> None:
        self._answered(mid)

    def _answered(self, mid: int) -> None:
        waiting = self._client.under_way.pop(mid, None)
        if waiting is not None:
            waiting.one_came()
        self._wake()

    async def _answer(self, mid: int) -> None:
        waiting = self._client.under_way[mid] = _Acknowledgement(self._promise(), 1)
        await waiting.done

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._receive(Message(message.topic, bytes(message.payload), message.qos, message.retain))

    # -- the rest -----------------------------------------------------------------------------

    async def _ask(self, *subscriptions: tuple[str, int]) -> list[ReasonCode]:
        _, mid = self._client.subscribe(list(subscriptions))
        if mid is None:
            raise NotConnectedError("connection lost before SUBSCRIBE")
        granted = self._granted[mid] = self._promise()
        codes: list[ReasonCode] = await granted
        return codes

    async def _subscribe(self, subscriptions: Sequence[tuple[str, int]]) -> None:
        codes = await self._ask(*subscriptions)
        refused = [name for (name, _), code in zip(subscriptions, codes, strict=True) if code.is_failure]
        if refused:
            raise ConnectionError(f"the broker refused to subscribe to {', '.join(refused)}")

    def _promise(self) -> asyncio.Future[Any]:
        """A future that fails with NotConnectedError when the session ends first."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._promises.add(future)
        future.add_done_callback(self._over)
        return future

    def _over(self, promise: asyncio.Future[Any]) -> None:
        self._promises.discard(promise)
        if not self._promises:
            self._promises.clear()  # an empty set stays as large as it once was, until it is cleared

    def _schedule_keep_alive(self) -> None:
        """One timer a session: at the next PINGREQ, or at the moment when its answer is overdue."""
        if not self._keep_alive or self.closed.done():
            return
        wire, interval = self._wire, self._keep_alive
        if self._pinged > wire.last_received:
            due = self._given_up_at
        else:
            due = min(wire.last_received, wire.last_sent) + interval
        # paho keeps stamps of its own that are a little later, so never fire early nor spin
        loop = asyncio.get_running_loop()
        delay = max(due - time.monotonic(), 0.0) + _TIMER_MARGIN
        self._timer = loop.call_later(delay, self._keep_alive_due, time.monotonic() + delay)

    @property
    def _given_up_at(self) -> float:
        """When the broker has been silent for too long.

        A process that stands still asks it nothing. So its silence counts from the end of that; once in a
        silence, for a process that is always late must notice it too.
        """
        return max(self._wire.last_received, self._awake_since) + _SILENCE * self._keep_alive

    def _keep_alive_due(self, due: float) -> None:
        now = time.monotonic()
        if now > due + _STILL_S and self._awake_since <= self._wire.last_received:
            self._awake_since = now
        if now >= self._given_up_at:
            self.abort(f"the broker was silent for {_SILENCE * self._keep_alive:g} s")
            return
        if self._pinged <= self._wire.last_received:
            sent_before = self._wire.last_sent
            self._client.loop_misc()  # sends PINGREQ when it is time
            if self._wire.last_sent > sent_before:
                self._pinged = self._wire.last_sent
        self._schedule_keep_alive()
