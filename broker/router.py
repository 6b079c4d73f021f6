"""The way of a message: from its topic to the sessions that get it, and into the retained store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from amqtt.contexts import Action
from amqtt.events import BrokerEvents
from amqtt.session import ApplicationMessage

from broker.packets import RETAIN
from broker.topics import Message, RetainedStore, SubscriptionTree, Topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.counters import Counters
    from broker.identity import Access
    from broker.session import Session

_KNOWN_TOPICS: Final = 200_000  # topics kept with their subscribers; all are forgotten when there are more


class Events:
    """amqtt's events, for the plugins that handle them.

    Args:
        watched: Names of the events that some plugin handles; the others cost a look-up.
        fire: Starts the plugins' handlers.
    """

    def __init__(
        self,
        watched: frozenset[str] = frozenset(),
        fire: Callable[[BrokerEvents, dict[str, Any]], None] = lambda _event, _arguments: None,
    ) -> None:
        self.watched = watched
        self._fire = fire

    def tell(self, event: BrokerEvents, **arguments: Any) -> None:
        """Tell the plugins."""
        if event in self.watched:
            self._fire(event, arguments)

    def tell_message(
        self, event: BrokerEvents, client_id: str | None, message: Message, *, retain: bool
    ) -> None:
        """Tell the plugins of a message."""
        if event in self.watched:
            what = ApplicationMessage(None, message.topic.name, message.qos, message.payload, retain)
            name = "retained_message" if event is BrokerEvents.RETAINED_MESSAGE else "message"
            self._fire(event, {"client_id": client_id, name: what})


class Router:
    """Subscriptions and retained messages.

    A session that has no room for a message is put into `overflowed`, for the core to end; one that nears
    that is `pressed`, for the core to make the publisher wait. `now` is what the core last heard of the
    time (monotonic seconds), and messages are stamped with it.
    """

    def __init__(self, access: Access, counters: Counters, events: Events) -> None:
        self.tree = SubscriptionTree()
        self.retained = RetainedStore()
        self.overflowed: list[Session] = []
        self.pressed: Session | None = None
        self.now = 0.0
        self._access = access
        self._counters = counters
        self._events = events
        self._topics: dict[str, Topic] = {}
        self._matched: list[Topic] = []  # those whose subscribers were looked up
        self._version = -1  # of the tree, when they were

    def topic(self, name: str) -> Topic:
        """The one object of a topic."""
        topic = self._topics.get(name)
        if topic is None:
            if len(self._topics) >= _KNOWN_TOPICS:
                self._topics.clear()
                self._unmatch()
            topic = self._topics[name] = Topic(name)
        return topic

    def emit(
        self, topic: Topic, payload: bytes, qos: int, *, retain: bool = False, client_id: str | None = None
    ) -> None:
        """Send a message to the topic's subscribers, each at the lower of both QoS; retain it if so asked.

        Of those who share a subscription one gets it.
        """
        if topic.version != self.tree.version:
            self._match(topic)
        subscribers = topic.subscribers
        if not (subscribers or retain or topic.groups or self._events.watched):
            return
        message = Message(topic, payload, qos, self.now)
        if retain:
            self.retained.put(message)
            self._events.tell_message(BrokerEvents.RETAINED_MESSAGE, None, message, retain=True)
        for session, granted in subscribers:
            if not session.deliver(message, granted if granted < qos else qos):  # noqa: FURB136 - hot
                self._behind(session)
        self._counters.sent += len(subscribers)
        for group, members in topic.groups:
            if (chosen := group.choose(members)) is not None:
                session, granted = chosen
                if not session.deliver(message, min(granted, qos)):
                    self._behind(session)
                self._counters.sent += 1
        if client_id is not None:
            self._events.tell_message(BrokerEvents.MESSAGE_RECEIVED, client_id, message, retain=retain)

    def send_retained(self, session: Session, topic_filter: str, granted: int) -> None:
        """Send a new subscription what is retained for it."""
        for message in self.retained.match(topic_filter):
            if self._access.may(Action.RECEIVE, session.identity, message.topic.name):
                self._counters.sent += 1
                if not session.deliver(message, min(granted, message.qos), RETAIN):
                    self._behind(session)
                    if session.full:
                        return

    def _behind(self, session: Session) -> None:
        if session.full:
            self.overflowed.append(session)
        else:
            self.pressed = session

    def _match(self, topic: Topic) -> None:
        if self._version != self.tree.version:
            self._version = self.tree.version
            self._unmatch()
        self._matched.append(topic)
        topic.subscribers = self._allowed(self.tree.match(topic.name), topic)
        topic.groups = [
            (group, self._allowed(group.members, topic)) for group in self.tree.match_groups(topic.name)
        ]
        topic.version = self.tree.version

    def _unmatch(self) -> None:
        """Else a topic that falls silent would keep sessions that are gone, and be kept itself."""
        for known in self._matched:
            known.subscribers, known.groups, known.version = [], [], -1
        self._matched.clear()

    def _allowed(self, found: dict[Session, int], topic: Topic) -> list[tuple[Session, int]]:
        may = self._access.may
        return [pair for pair in found.items() if may(Action.RECEIVE, pair[0].identity, topic.name)]
