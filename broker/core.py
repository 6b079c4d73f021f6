"""The broker without sockets and clock: bytes of each link in, bytes of each link out.

A shell makes a `Link` for each connection, hands over what it received (`received`, and `go_on` as long as
the link has a backlog), says when the socket is full (`paused`), free (`resumed`) or gone (`lost`), and calls
`sweep` now and then. Whenever a link has bytes to send or has ended, the link's `mark` is called. Times are
monotonic seconds.
"""

from __future__ import annotations

import secrets
from itertools import chain
from typing import TYPE_CHECKING, Final

import structlog
from amqtt.contexts import Action
from amqtt.events import BrokerEvents
from amqtt.mqtt.connack import (
    IDENTIFIER_REJECTED,
    NOT_AUTHORIZED,
    UNACCEPTABLE_PROTOCOL_VERSION,
)

from broker.errors import ProtocolError, UnsupportedVersionError
from broker.identity import Identity
from broker.packets import (
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBREC,
    PUBREL,
    REFUSED,
    Acknowledge,
    Connect,
    Disconnect,
    Ping,
    Publish,
    Subscribe,
    Unsubscribe,
    Will,
    acknowledgement,
    suback,
    unsuback,
)
from broker.registry import BURST_S, Registry
from broker.session import GATEWAY, UNIT
from broker.topics import MAX_BYTES, MAX_LEVELS
from fleetcell.contract.errors import TopicError
from fleetcell.contract.topics import check_filter, check_topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broker.packets import Packet
    from broker.session import Link, Session
    from broker.topics import Topic

log: Final = structlog.get_logger()

_TOPICS_OF_SESSION: Final = 1_000  # topics of a publisher of which the permission is kept
_TOPICS_OF_GATEWAY: Final = 100_000  # likewise: it answers each vehicle of its region
_FILTERS: Final = 1_000  # of one SUBSCRIBE, or more where a session may have more; the rest is refused unseen
_LOOK_S: Final = 0.1  # how often a client that waits for a gateway looks whether it may go on
_TURN: Final = 500  # packets of one client before the others get their turn


class Core(Registry):
    """What each packet of a client does."""

    def received(self, link: Link, data: bytes, now: float) -> None:
        """Bytes of a client."""
        link.heard = self.router.now = now
        self.counters.bytes_received += len(data)
        if link.backlog is None:
            self._work(link, link.decoder.feed(data))
        else:
            link.held += data

    def go_on(self, link: Link, now: float) -> None:
        """Another turn for a client that has a backlog, due `link.wait_s` after the last one."""
        if link.end is None and link.held_for is not None and self._holds(link.held_for, now):
            return
        backlog, link.backlog = link.backlog, None
        if backlog is None or link.end is not None:
            return
        # While it waited it was not read, so it was not silent either.
        link.heard = self.router.now = now
        link.wait_s, link.held_for = 0.0, None
        held = bytes(link.held)
        link.held.clear()
        # The decoder sees the held bytes only after the last packet of the backlog.
        self._work(link, chain(backlog, link.decoder.feed(held)) if held else backlog)

    def _work(self, link: Link, packets: Iterator[Packet]) -> None:
        left = _TURN
        try:
            for packet in packets:
                if link.end is not None:
                    break
                self._handle(link, packet)
                kind = type(packet)
                # Each filter is checked and looked up by itself: it counts as a packet.
                left -= len(packet.filters) if kind is Subscribe or kind is Unsubscribe else 1  # type: ignore[union-attr] # mypy does not narrow by type()
                if left <= 0 or link.held_for is not None:
                    link.backlog = packets
                    break
            link.credit -= _TURN - left
            if link.credit < 0:
                self._slow_down(link)
        except UnsupportedVersionError as error:
            # 3.1.2.2: this answer an MQTT 5 client understands too.
            self.refuse(link, UNACCEPTABLE_PROTOCOL_VERSION, "protocol version", str(error))
        except ProtocolError as error:
            if self.throttle.passes("protocol", link.address, link.heard):
                log.info(
                    "client broke the protocol", client=_name(link), address=link.address, reason=str(error)
                )
            self.end(link, "protocol error", abort=link.session is None)
        if self.router.overflowed or self.stock.bytes > self.stock.limit:
            self.end_overflowed()

    def _slow_down(self, link: Link) -> None:
        """Let a client wait that has sent more than it may; nothing of it is lost, it is read later."""
        rate = self.limits.messages_per_s
        link.credit = min(link.credit + (link.heard - link.charged) * rate, rate * BURST_S)
        link.charged = link.heard
        if link.credit < 0 and link.end is None:
            self.counters.throttled += 1
            link.wait_s = max(link.wait_s, -link.credit / rate + 0.001)  # never zero by rounding
            link.backlog = link.backlog or iter(())

    def _hold(self, link: Link, publisher: Session, gateway: Session) -> None:
        """Let a unit wait whose message went to a gateway that is far behind."""
        if not gateway.over_at:
            gateway.over_at = link.heard
            self.counters.pressed += 1
            if self.throttle.passes("behind", gateway.client_id, link.heard):
                log.warning(
                    "gateway is behind: units wait", client=gateway.client_id, waiting=gateway.waiting
                )
        if publisher.kind == UNIT and self._holds(gateway, link.heard):
            self.counters.held += 1
            link.held_for, link.wait_s = gateway, _LOOK_S

    def _holds(self, gateway: Session, now: float) -> bool:
        """Whether units still wait for a gateway; not for ever: then its queue may fill."""
        return gateway.over and gateway.link is not None and now - gateway.over_at < self.limits.hold_s

    # -- packets ------------------------------------------------------------------------------------

    def _handle(self, link: Link, packet: Packet) -> None:
        session = link.session
        if session is None:
            if not isinstance(packet, Connect):
                raise ProtocolError("the first packet is CONNECT")
            self._connect(link, packet)
            return
        kind = type(packet)
        if kind is Publish:
            self._publish(link, session, packet)  # type: ignore[arg-type] # mypy does not narrow by type()
        elif isinstance(packet, Acknowledge):
            if packet.kind == PUBREL:
                session.received.discard(packet.packet_id)
                link.send(acknowledgement(PUBCOMP, packet.packet_id))
            else:
                session.acknowledged(packet.kind, packet.packet_id)
        elif kind is Ping:
            link.send(PINGRESP)
        elif isinstance(packet, Subscribe):
            self._subscribe(link, session, packet)
        elif kind is Disconnect:
            self.end(link, "disconnect", will=False)
        elif isinstance(packet, Connect):
            raise ProtocolError("a second CONNECT")
        else:
            self._unsubscribe(link, session, packet)  # type: ignore[arg-type] # the only one left

    def _connect(self, link: Link, packet: Connect) -> None:
        """Nothing of anybody's state is touched before the client has proved who it is."""
        if not packet.client_id and not packet.clean:  # 3.1.3.1
            self.refuse(link, IDENTIFIER_REJECTED, "client id", "an empty client id asks for a clean session")
            return
        client_id = packet.client_id or f"auto-{secrets.token_hex(8)}"
        identity = Identity(packet, client_id, (link.address, link.port))
        identity.ssl_object = link.tls
        good = self.access.authenticate(identity)
        identity.password = identity.ssl_object = link.tls = None
        if not good:
            self.refuse(
                link, NOT_AUTHORIZED, "credential", identity.attributes.get("fleetcell.refused"), identity
            )
            return
        try:
            will = self._checked_will(identity, packet.will)
        except TopicError as error:
            self.counters.denied["will"] += 1
            self.refuse(link, NOT_AUTHORIZED, "will", str(error), identity)
            return
        old = self.sessions.get(client_id)
        if old is not None and not self.access.still_valid(old.identity):
            self.withdraw(old)  # before the next look at all sessions
            old = None
        if old is not None and old.identity.username != identity.username:
            if client_id != identity.username:
                self.refuse(link, IDENTIFIER_REJECTED, "client id", "in use by another account", identity)
                return
            self.take_over(old)
            self.drop(old)
        elif old is not None:
            self.take_over(old)
            if packet.clean or old.clean:
                self.drop(old)
        self.accept(link, packet, identity, will)

    def _checked_will(self, identity: Identity, will: Will | None) -> Will | None:
        if will is None:
            return None
        topic = _check_size(check_topic(will.topic))
        if topic.startswith("$") or not self.access.may(Action.PUBLISH, identity, topic):
            raise TopicError(f"the will may not go to {topic!r}")
        return will._replace(retain=will.retain and self.access.may_retain(identity, topic))

    def _publish(self, link: Link, session: Session, packet: Publish) -> None:
        raw, payload, qos, retain, packet_id = packet
        self.counters.received += 1
        permission = session.topics[raw] if raw in session.topics else self._ask(link, session, raw)
        if qos == 1:
            link.send(acknowledgement(PUBACK, packet_id))
        elif qos == 2:
            link.send(acknowledgement(PUBREC, packet_id))
            if packet_id in session.received:
                return
            if len(session.received) >= self.limits.window:
                raise ProtocolError("too many QoS 2 messages without their PUBREL")
            session.received.add(packet_id)
        if permission is None:
            self.counters.denied["publish"] += 1
            return
        topic, may_retain = permission
        router = self.router
        router.emit(topic, payload, qos, retain=retain and may_retain, client_id=session.client_id)
        if router.pressed is not None:
            gateway, router.pressed = router.pressed, None
            self._hold(link, session, gateway)

    def _ask(self, link: Link, session: Session, raw: bytes) -> tuple[Topic, bool] | None:
        """Whether a session may publish to a topic, asked once and kept with the session."""
        try:
            name = _check_size(check_topic(raw.decode()))
        except (TopicError, UnicodeDecodeError) as error:
            raise ProtocolError(f"PUBLISH to a topic that is none: {error}") from error
        permission = None
        if not name.startswith("$") and self.access.may(Action.PUBLISH, session.identity, name):
            permission = self.router.topic(name), self.access.may_retain(session.identity, name)
        elif self.throttle.passes("publish", session.client_id, link.heard):
            log.warning("may not publish", client=session.client_id, topic=name[:200])
        if len(session.topics) >= (_TOPICS_OF_GATEWAY if session.kind == GATEWAY else _TOPICS_OF_SESSION):
            session.topics.clear()
        session.topics[raw] = permission
        return permission

    def _subscribe(self, link: Link, session: Session, packet: Subscribe) -> None:
        codes: list[int] = []
        for topic_filter, qos in packet.filters[: max(self.limits.subscriptions, _FILTERS)]:
            try:
                _check_size(check_filter(topic_filter))
            except TopicError as error:
                raise ProtocolError(f"SUBSCRIBE to a filter that is none: {error}") from error
            full = len(session.subscriptions) >= self.limits.subscriptions
            if full and topic_filter not in session.subscriptions:
                self.counters.denied["subscription limit"] += 1
                codes.append(REFUSED)
            elif self.access.may(Action.SUBSCRIBE, session.identity, topic_filter):
                session.subscriptions[topic_filter] = qos
                self.router.tree.add(topic_filter, session, qos)
                codes.append(qos)
            else:
                self.counters.denied["subscribe"] += 1
                if self.throttle.passes("subscribe", session.client_id, link.heard):
                    log.warning("may not subscribe", client=session.client_id, filter=topic_filter[:200])
                codes.append(REFUSED)
        beyond = len(packet.filters) - len(codes)  # not even looked at
        self.counters.denied["subscription limit"] += beyond
        codes += [REFUSED] * beyond
        link.send(suback(packet.packet_id, codes))
        for (topic_filter, _), code in zip(packet.filters, codes, strict=True):
            if code != REFUSED:
                self.router.send_retained(session, topic_filter, code)
                self.events.tell(
                    BrokerEvents.CLIENT_SUBSCRIBED, client_id=session.client_id, topic=topic_filter, qos=code
                )

    def _unsubscribe(self, link: Link, session: Session, packet: Unsubscribe) -> None:
        for topic_filter in packet.filters:
            if session.subscriptions.pop(topic_filter, None) is not None:
                self.router.tree.remove(topic_filter, session)
                self.events.tell(
                    BrokerEvents.CLIENT_UNSUBSCRIBED, client_id=session.client_id, topic=topic_filter
                )
        link.send(unsuback(packet.packet_id))


def _check_size(name: str) -> str:
    """A topic or filter that is kept, with the session and in trees, and so must not cost much."""
    if name.count("/") >= MAX_LEVELS or len(name.encode()) > MAX_BYTES:
        raise TopicError(f"more than {MAX_LEVELS} levels or {MAX_BYTES} bytes")
    return name


def _name(link: Link) -> str | None:
    return link.session.client_id if link.session else None
