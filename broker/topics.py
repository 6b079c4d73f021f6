"""Topics, and the tree that finds who subscribed to one (MQTT 3.1.1, 4.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from broker.packets import publish_head
from broker.session import READY
from fleetcell.contract.topics import split_share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from broker.session import Session

H = TypeVar("H")

MAX_LEVELS: Final = 128  # deeper topics are refused: a level costs a node and a frame of recursion
MAX_BYTES: Final = 1024  # longer ones too: what a client has used is kept; fleetcell's own have up to 240


class Topic:
    """A topic that is in use: its name, its bytes on the wire, and who gets its messages.

    `subscribers` get each message, of each of the `groups` one member does. Both are right while `version`
    is the tree's.
    """

    __slots__ = ("groups", "name", "subscribers", "version", "wire")

    def __init__(self, name: str) -> None:
        raw = name.encode()
        self.name = name
        self.wire = len(raw).to_bytes(2, "big") + raw
        self.version = -1
        self.subscribers: list[tuple[Session, int]] = []
        self.groups: list[tuple[Group, list[tuple[Session, int]]]] = []


class Message:
    """A published message; encoded once a QoS for all who get it."""

    __slots__ = ("_head", "_key", "_packet", "at", "holders", "payload", "qos", "size", "topic")

    def __init__(self, topic: Topic, payload: bytes, qos: int, at: float = 0.0) -> None:
        self.topic = topic
        self.at = at  # monotonic seconds of its arrival
        self.payload = payload
        self.qos = qos
        self.size = len(topic.wire) + len(payload)
        self.holders = 0  # sessions that keep it
        self._packet = b""
        self._head = b""
        self._key = -1  # the QoS and flags that `_head` was made for: nearly always all are alike

    def packet(self) -> bytes:
        """The whole PUBLISH at QoS 0."""
        if not self._packet:
            self._packet = publish_head(self.topic.wire, len(self.payload), 0) + self.payload
        return self._packet

    def head(self, qos: int, flags: int) -> bytes:
        """A PUBLISH up to its packet id."""
        key = qos << 4 | flags
        if key != self._key:
            self._head = publish_head(self.topic.wire, len(self.payload), qos, flags)
            self._key = key
        return self._head


class _Node(Generic[H]):
    __slots__ = ("children", "held")

    def __init__(self) -> None:
        self.children: dict[str, _Node[H]] = {}
        self.held: H | None = None


class _Tree(Generic[H]):
    """One node a level; a node without children and content is taken out."""

    def __init__(self) -> None:
        self._root: _Node[H] = _Node()

    @property
    def empty(self) -> bool:
        """Whether there is not even a node left."""
        return not self._root.children

    def get(self, path: str) -> H | None:
        """What is held there."""
        node = self._find(path)
        return node.held if node is not None else None

    def reach(self, path: str, make: Callable[[], H]) -> H:
        """What is held there; made when there is nothing."""
        node = self._reach(path)
        if node.held is None:
            node.held = make()
        return node.held

    def prune(self, path: str) -> None:
        """Take out the nodes of this way that hold nothing any more."""
        levels = path.split("/")
        way = [self._root]
        for level in levels:
            child = way[-1].children.get(level)
            if child is None:
                return
            way.append(child)
        for parent, level, node in zip(way[-2::-1], levels[::-1], way[:0:-1], strict=True):
            if node.children or node.held:
                return
            del parent.children[level]

    def _reach(self, path: str) -> _Node[H]:
        node = self._root
        for level in path.split("/"):
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node()
            node = child
        return node

    def _find(self, path: str) -> _Node[H] | None:
        node: _Node[H] | None = self._root
        for level in path.split("/"):
            if node is None:
                return None
            node = node.children.get(level)
        return node


class _FilterTree(_Tree[H]):
    """Topic filters; finds what is held at those that match a topic."""

    def matching(self, topic: str) -> list[H]:
        """What is held at the filters that match the topic."""
        found: list[H] = []
        # 4.7.2: a wildcard in the first level does not match a topic that starts with `$`.
        self._collect(self._root, topic.split("/"), 0, found, wild=not topic.startswith("$"))
        return found

    def _collect(self, node: _Node[H], levels: list[str], at: int, found: list[H], *, wild: bool) -> None:
        children = node.children
        if wild and (rest := children.get("#")) is not None and rest.held:  # 4.7.1.2: `a/#` matches `a` too
            found.append(rest.held)
        if at == len(levels):
            if node.held:
                found.append(node.held)
            return
        if (child := children.get(levels[at])) is not None:
            self._collect(child, levels, at + 1, found, wild=True)
        if wild and (child := children.get("+")) is not None:
            self._collect(child, levels, at + 1, found, wild=True)


class Group:
    """The sessions that share a subscription, `$share/{group}/{filter}`, with the QoS each was granted."""

    __slots__ = ("_turn", "members")

    def __init__(self) -> None:
        self.members: dict[Session, int] = {}
        self._turn = -1

    def choose(self, allowed: list[tuple[Session, int]]) -> tuple[Session, int] | None:
        """The next of these members in turn, of those that are readiest to take a message.

        All are gone: the next, to be kept for it; a clean session leaves the group when its connection ends.

        Args:
            allowed: those of the members that may receive the message.
        """
        if not allowed:
            return None
        count, first = len(allowed), self._turn + 1
        best, best_step = -1, 0
        for step in range(count):
            readiness = allowed[(first + step) % count][0].readiness
            if readiness > best:
                best, best_step = readiness, step
                if best == READY:
                    break
        self._turn = first + best_step
        return allowed[self._turn % count]


class SubscriptionTree:
    """Filters, each with the sessions that subscribed to it, alone or in groups, and the QoS granted.

    `$share/{group}/{filter}` is what MQTT 5 (4.8.2) made of Mosquitto's way with 3.1.1 clients: of each group
    one member gets a message, and nobody gets what was retained.
    """

    def __init__(self) -> None:
        self.version = 0  # grows with every change, so that a topic's list of subscribers can be kept
        self._single: _FilterTree[dict[Session, int]] = _FilterTree()
        self._shared: _FilterTree[dict[str, Group]] = _FilterTree()

    @property
    def empty(self) -> bool:
        """Whether nothing is subscribed to."""
        return self._single.empty and self._shared.empty

    def add(self, topic_filter: str, session: Session, qos: int) -> None:
        """Subscribe; a second time with another QoS replaces the first (3.8.4)."""
        share = split_share(topic_filter)
        if share is None:
            self._single.reach(topic_filter, dict)[session] = qos
        else:
            self._shared.reach(share[1], dict).setdefault(share[0], Group()).members[session] = qos
        self.version += 1

    def remove(self, topic_filter: str, session: Session) -> None:
        """Unsubscribe; nothing happens when there is no such subscription."""
        share = split_share(topic_filter)
        if share is None:
            held = self._single.get(topic_filter)
            if held and held.pop(session, None) is not None:
                self.version += 1
                self._single.prune(topic_filter)
            return
        name, shared_filter = share
        groups = self._shared.get(shared_filter)
        if groups and name in groups and groups[name].members.pop(session, None) is not None:
            self.version += 1
            if not groups[name].members:
                del groups[name]
            self._shared.prune(shared_filter)

    def match(self, topic: str) -> dict[Session, int]:
        """The sessions with a filter that matches, each with the highest QoS among its filters."""
        found: dict[Session, int] = {}
        for held in self._single.matching(topic):
            for session, qos in held.items():
                if found.get(session, -1) < qos:
                    found[session] = qos
        return found

    def match_groups(self, topic: str) -> list[Group]:
        """The groups with a filter that matches."""
        return [group for groups in self._shared.matching(topic) for group in groups.values()]


class RetainedStore(_Tree[Message]):
    """The last retained message of each topic, found by filter."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def put(self, message: Message) -> None:
        """Keep a message in place of the topic's last; an empty payload only removes that (3.3.1.3)."""
        name = message.topic.name
        if message.payload:
            node = self._reach(name)
            self.count += node.held is None
            node.held = message
        elif (known := self._find(name)) is not None and known.held is not None:
            known.held = None
            self.count -= 1
            self.prune(name)

    def match(self, topic_filter: str) -> Iterator[Message]:
        """The retained messages whose topic the filter matches."""
        return self._walk(self._root, topic_filter.split("/"), 0)

    def _walk(self, node: _Node[Message], levels: list[str], at: int) -> Iterator[Message]:
        if at == len(levels):
            if node.held is not None:
                yield node.held
            return
        match levels[at]:
            case "#":
                if node.held is not None:
                    yield node.held
                for child in self._below(node):
                    yield from self._walk(child, levels, at)
            case "+":
                for child in self._below(node):
                    yield from self._walk(child, levels, at + 1)
            case level:
                if (known := node.children.get(level)) is not None:
                    yield from self._walk(known, levels, at + 1)

    def _below(self, node: _Node[Message]) -> Iterator[_Node[Message]]:
        for level, child in node.children.items():
            if node is not self._root or not level.startswith("$"):
                yield child
