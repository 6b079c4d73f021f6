"""Who a client is, in the shape that amqtt's plugins expect, and who answers what it may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from amqtt.session import Session as AmqttSession

from broker.errors import PluginWaitsError
from broker.settle import settle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from amqtt.broker import BrokerContext
    from amqtt.contexts import Action
    from amqtt.plugins.base import BasePlugin
    from amqtt.plugins.manager import PluginManager

    from broker.packets import Connect

log: Final = structlog.get_logger()


class _State:
    """amqtt keeps a state machine here; plugins read its `state`."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = "connected"


class Identity(AmqttSession):
    """An amqtt session without its queues and state machine, which cost 50 KB a client.

    Plugins read who connects from it and keep what they found out in `attributes`.
    """

    def __init__(self, connect: Connect, client_id: str, address: tuple[str, int]) -> None:
        self.transitions: Any = _State()
        self.client_id = client_id
        self.username = connect.username
        self.password = connect.password
        self.clean_session = connect.clean
        self.keep_alive = connect.keep_alive
        self.remote_address, self.remote_port = address
        self.ssl_object: Any = None  # of a TLS connection, while the client is authenticated
        self.is_anonymous = connect.username is None
        self.parent = 0
        self.attributes: dict[str, Any] = {}
        will = connect.will
        self.will_flag = will is not None
        self.will_topic = will.topic if will else None
        self.will_message = will.payload if will else None
        self.will_qos = will.qos if will else None
        self.will_retain = will.retain if will else None

    @property
    def kind(self) -> str:
        """Its class in limits and metrics, as a plugin found it: unit, gateway, dashboard or other."""
        return str(self.attributes.get("fleetcell.kind", "other"))

    def __repr__(self) -> str:
        """Name the client, never its password."""
        return f"Identity({self.client_id!r}, {self.username!r})"

    __hash__ = object.__hash__


class Access(Protocol):
    """The questions that the core asks; every answer is at hand."""

    def authenticate(self, identity: Identity) -> bool:
        """Whether this client is who it says."""

    def still_valid(self, identity: Identity) -> bool:
        """Whether the credential that let the client in is still good."""

    def may(self, action: Action, identity: Identity, topic: str) -> bool:
        """Whether it may publish to a topic, subscribe to a filter, receive a topic."""

    def may_retain(self, identity: Identity, topic: str) -> bool:
        """Whether what it publishes to a topic it may publish to may be retained."""


class PluginAccess:
    """amqtt's authentication and topic plugins, asked without a task.

    Stricter than amqtt where it is lax: without any authentication or topic plugin nobody may do
    anything, and a plugin that fails or waits counts as a no. Beyond amqtt's two methods a plugin may
    have `still_valid(session=)` and `retain_filtering(session=, topic=)`.
    """

    def __init__(self, plugins: PluginManager[BrokerContext]) -> None:
        self._auth: list[BasePlugin[Any]] = list(plugins._auth_plugins)  # noqa: SLF001 - amqtt has no accessor
        self._topic: list[BasePlugin[Any]] = list(plugins._topic_plugins)  # noqa: SLF001

    def authenticate(self, identity: Identity) -> bool:
        said = self._ask(self._auth, "authenticate", session=identity)
        answers = [answer for answer in said if answer is not None]  # None: not for this plugin to say
        return bool(answers) and all(answers)

    def still_valid(self, identity: Identity) -> bool:
        return all(self._ask(self._auth, "still_valid", session=identity))

    def may(self, action: Action, identity: Identity, topic: str) -> bool:
        answers = list(
            self._ask(self._topic, "topic_filtering", session=identity, topic=topic, action=action)
        )
        return bool(answers) and all(answers)

    def may_retain(self, identity: Identity, topic: str) -> bool:
        return all(self._ask(self._topic, "retain_filtering", session=identity, topic=topic))

    @staticmethod
    def _ask(plugins: list[BasePlugin[Any]], method: str, **arguments: Any) -> Iterable[bool | None]:
        for plugin in plugins:
            if (question := getattr(plugin, method, None)) is None:
                continue
            try:
                yield settle(question(**arguments))
            except PluginWaitsError:
                log.exception(
                    "plugin waits, where it must answer at once: a no", plugin=type(plugin).__name__
                )
                yield False
            except Exception:  # a plugin of whatever making: its fault must not end the broker
                log.exception("plugin failed: a no", plugin=type(plugin).__name__, method=method)
                yield False
