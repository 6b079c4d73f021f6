"""The embedded broker: amqtt's configuration, listeners, plugins and life cycle around our own data path.

What of amqtt 0.12.1 is replaced, and why, is told in docs/broker.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
from amqtt.broker import Broker as AmqttBroker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType
from amqtt.errors import BrokerError as AmqttBrokerError

from broker.accept import Gate
from broker.core import Core
from broker.counters import Counters
from broker.errors import BrokerError
from broker.identity import PluginAccess
from broker.limits import Limits
from broker.listeners import Listener, tcp_listener, websocket_listener
from broker.router import Events
from broker.tls import ServerTls

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Collection

    from amqtt.events import BrokerEvents

    from broker.listeners import Carrier
    from broker.session import Link

log: Final = structlog.get_logger()

_silent: Final = logging.getLogger("broker.amqtt")
_silent.setLevel(logging.CRITICAL + 1)

_SWEEP_S: Final = 0.25
_STILL_S: Final = 0.5  # a sweep that is later than this: the process stood still, it is not only busy
_CLOSING_S: Final = 1.0  # what a client gets to read its last bytes


def _keep_types(listeners: dict[str, ListenerConfig], config: BrokerConfig | dict[str, Any]) -> None:
    """A listener is of the type it was given; amqtt takes `tcp` for none, and gives it that of `default`."""
    if isinstance(config, dict):
        for name, given in config.get("listeners", {}).items():
            if "type" in given:
                listeners[name].type = ListenerType(given["type"])


class Broker(AmqttBroker):
    """An MQTT 3.1.1 broker.

    Args:
        config: amqtt's own configuration (listeners, plugins).
        limits: What one client may cost.
        origins: Web origins that may open a WebSocket; clients that send none always may.
    """

    def __init__(
        self,
        config: BrokerConfig | dict[str, Any],
        limits: Limits | None = None,
        *,
        origins: Collection[str] = (),
    ) -> None:
        super().__init__(config)
        _keep_types(self.listeners_config, config)
        self.logger = _silent  # what it has to tell is told by the core, and errors are raised
        self.counters = Counters()
        plugins = self.plugins_manager
        self.core = Core(
            PluginAccess(plugins),
            limits or Limits(),
            self.counters,
            Events(frozenset(plugins._event_plugin_callbacks), self._fire),  # noqa: SLF001 - amqtt has no accessor
        )
        self.addresses: dict[str, tuple[str, int]] = {}
        self._tls: dict[ssl.SSLContext, ServerTls] = {}  # by the context that amqtt hands on
        self.gates: dict[str, Gate] = {}
        self._addresses: Counter[str] = Counter()
        self._origins = frozenset(origins)
        self._carriers: dict[Link, Carrier] = {}
        self._dirty: list[Link] = []
        self._closing: list[tuple[float, Link]] = []
        self._events: set[asyncio.Task[None]] = set()

    # -- amqtt's life cycle -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the credentials, then listen.

        Raises:
            BrokerError: an address cannot be bound, or the like; the message says why.
        """
        self._refresh_plugins()
        try:
            await super().start()
        except AmqttBrokerError as error:
            self._stop_listening()
            raise BrokerError(str(error.__cause__ or error)) from error

    async def shutdown(self) -> None:
        """Stop: no more connections, every link closed. No will is published: the clients are not lost."""
        self._stop_listening()
        for link in list(self.core.links):
            self.core.end(link, "broker stops", will=False)
        self._flush()
        deadline = self._loop.time() + _CLOSING_S
        while self._carriers and self._loop.time() < deadline:  # noqa: ASYNC110 - once, bounded
            await asyncio.sleep(0.01)
        for carrier in list(self._carriers.values()):
            carrier.abort()
        if self._events:  # plugins that still note what happened
            await asyncio.wait(self._events, timeout=_CLOSING_S)
        await super().shutdown()

    def _stop_listening(self) -> None:
        for server in self._servers.values():
            if server.instance is not None:
                server.instance.close()

    async def _create_server_instance(
        self,
        listener_name: str,
        listener_type: ListenerType,
        address: str | None,
        port: int,
        ssl_context: ssl.SSLContext | None,
    ) -> Any:
        limits = self.core.limits
        tls = self._tls.get(ssl_context) if ssl_context is not None else None
        limit = max(self.listeners_config[listener_name].max_connections, 0) or limits.connections
        gate = self.gates[listener_name] = Gate(limits, self.counters, self._addresses, limit)
        listener = Listener(self.core, self._mark, self._carriers, gate)
        if listener_type == ListenerType.WS:
            server = websocket_listener(listener, tls, self._origins)
        else:
            server = tcp_listener(listener, tls)
        host = address.strip("[]") if address else None  # amqtt keeps the brackets of an IPv6 literal
        await server.listen(host, port)
        self.addresses[listener_name] = server.sockets[0].getsockname()[:2]
        return server

    def _create_ssl_context(self, listener: ListenerConfig) -> ssl.SSLContext:  # type: ignore[override] # static there
        """Load the files of a listener with TLS; they are looked at again with the credentials."""
        if listener.certfile is None or listener.keyfile is None:
            raise BrokerError("a listener with ssl needs a certfile and a keyfile")
        client_ca = Path(listener.cafile) if listener.cafile is not None else None
        tls = ServerTls(Path(listener.certfile), Path(listener.keyfile), client_ca)
        self._tls[tls.context] = tls
        return tls.context

    async def _session_monitor(self) -> None:
        """Look after timeouts and credentials; amqtt starts and cancels it."""
        due = self._loop.time() + _SWEEP_S
        while True:
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            now = self._loop.time()
            late = now - due
            # A peak fades over some ten seconds, so that a scrape does not miss it.
            self.counters.loop_lag_s = max(late, 0.9 * self.counters.loop_lag_s)
            due = now + _SWEEP_S
            if late > _STILL_S:
                self.core.stood_still(late, now)
            try:
                self._sweep(now)
            except Exception:
                log.exception("sweep failed; the next one follows")

    async def _broadcast_loop(self) -> None:
        """Do nothing: amqtt delivers from here, a task a message; its life cycle wants the coroutine."""
        await self._broadcast_shutdown_waiter

    def _sweep(self, now: float) -> None:
        if self._refresh_plugins():
            self.core.recheck()
        for tls in self._tls.values():
            tls.refresh()
        self.core.sweep(now)
        overdue = [link for since, link in self._closing if now - since >= _CLOSING_S]
        self._closing = [(since, link) for since, link in self._closing if now - since < _CLOSING_S]
        for link in overdue:
            if (carrier := self._carriers.get(link)) is not None:
                carrier.abort()

    @property
    def credentials_good(self) -> bool:
        """Whether every plugin that reads credentials could read them when it last looked."""
        stores = [getattr(plugin, "store", None) for plugin in self.plugins_manager.plugins]
        return all(getattr(store, "good", True) for store in stores)

    def _refresh_plugins(self) -> bool:
        """Let plugins that have one call their `refresh`; whether sessions must be checked anew."""
        return any(
            [plugin.refresh() for plugin in self.plugins_manager.plugins if hasattr(plugin, "refresh")]  # noqa: C419
        )

    # -- bytes out --------------------------------------------------------------------------------------

    def _mark(self, link: Link) -> None:
        """A link has bytes to send: written once, after all that this turn of the loop received."""
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.append(link)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        carriers, counters = self._carriers, self.counters
        for link in dirty:
            carrier = carriers.get(link)
            if carrier is None:
                link.out.clear()
                continue
            if link.out:
                data = b"".join(link.out) if len(link.out) > 1 else link.out[0]
                link.out.clear()
                counters.bytes_sent += len(data)
                carrier.write(data)
            if link.end is None:
                continue
            if link.abort:
                carrier.abort()
            else:
                carrier.close()
                self._closing.append((self._loop.time(), link))

    # -- amqtt's surface for plugins ------------------------------------------------------------------------

    async def internal_message_broadcast(self, topic: str, data: bytes, qos: int | None = None) -> None:
        """Publish on behalf of a plugin."""
        self.core.publish(topic, data, qos or 0)

    async def retain_message(
        self,
        source_session: Any,  # noqa: ARG002 - amqtt's signature
        topic_name: str | None,
        data: bytes | bytearray | None,
        qos: int | None = None,
    ) -> None:
        """Retain on behalf of a plugin."""
        if topic_name is not None:
            self.core.publish(topic_name, bytes(data or b""), qos or 0, retain=True)

    @property
    def sessions(self) -> dict[str, Any]:
        """Client id to (amqtt session, None); amqtt's handler does not exist here."""
        return {client_id: (session.identity, None) for client_id, session in self.core.sessions.items()}

    def _fire(self, event: BrokerEvents, arguments: dict[str, Any]) -> None:
        """Tell the plugins of an event; amqtt's own way keeps what goes wrong in them to itself."""
        for handler in self.plugins_manager._event_plugin_callbacks[event]:  # noqa: SLF001 - amqtt has no accessor
            task = self._loop.create_task(_tell(handler, event, arguments))
            self._events.add(task)
            task.add_done_callback(self._events.discard)


async def _tell(
    handler: Callable[..., Awaitable[Any]], event: BrokerEvents, arguments: dict[str, Any]
) -> None:
    try:
        await handler(**arguments)
    except Exception:  # a plugin of whatever making: its fault must not end the broker
        plugin = type(getattr(handler, "__self__", handler)).__name__
        log.exception("plugin failed", plugin=plugin, event_told=event.value)
