"""Links and sessions: how they begin, what ends them, and what is told of it. No socket, no clock."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Final

import structlog
from amqtt.contexts import Action
from amqtt.events import BrokerEvents
from amqtt.mqtt.connack import CONNECTION_ACCEPTED

from broker.packets import connack
from broker.router import Events, Router
from broker.session import GATEWAY, Link, Session
from broker.stock import Stock, largest
from broker.throttle import Throttle

if TYPE_CHECKING:
    from broker.counters import Counters
    from broker.identity import Access, Identity
    from broker.limits import Limits
    from broker.packets import Connect, Will

log: Final = structlog.get_logger()

SESSION_TOPIC: Final = "$SYS/fleetcell/session/{}"
"""Retained while a client is connected: its address, for the gateway's register."""

BURST_S: Final = 2.0
"""A client that was silent may send at once what it may send in this time."""

_NOT_IN_A_LEVEL: Final = frozenset("+#/\0")


class Registry:
    """Who is connected, and who has a session."""

    def __init__(
        self, access: Access, limits: Limits, counters: Counters, events: Events | None = None
    ) -> None:
        self.access = access
        self.limits = limits
        self.counters = counters
        self.events = events or Events()
        self.router = Router(access, counters, self.events)
        self.stock = Stock(limits.total_bytes)
        self.links: set[Link] = set()
        self.sessions: dict[str, Session] = {}
        self.throttle = Throttle()

    def opened(self, link: Link) -> None:
        """A client's socket was accepted."""
        self.counters.opened += 1
        self.links.add(link)

    def lost(self, link: Link) -> None:
        """The socket is gone."""
        self.end(link, "connection lost", abort=True)
        self.end_overflowed()

    def resumed(self, link: Link) -> None:
        """The socket takes bytes again."""
        link.paused = False
        if link.session is not None:
            link.session.pump()

    def stood_still(self, for_s: float, now: float) -> None:
        """This process read nothing for so long: stopped, swapped out, kept off the CPU.

        That is no silence of clients. What they sent meanwhile waits in the sockets; and where the whole
        machine was paused, they could send nothing.
        """
        for link in self.links:
            link.opened = min(link.opened + for_s, now)
            link.heard = min(link.heard + for_s, now)

    def sweep(self, now: float) -> None:
        """End what is overdue: CONNECT, keep-alive, kept sessions."""
        self.router.now = now
        for link in list(self.links):
            if link.session is None:
                if now - link.opened >= self.limits.connect_timeout_s:
                    self.end(link, "connect timeout", abort=True)
            elif (
                link.backlog is None and link.keep_alive_s and now - link.heard >= 1.5 * link.keep_alive_s
            ):  # 3.1.2.10
                self.end(link, "keep-alive", abort=True)
        for session in list(self.sessions.values()):
            if session.link is None:
                if session.expires is None:
                    session.expires = now + self.limits.session_expiry_s
                elif now >= session.expires:
                    self.drop(session)
        self.end_overflowed()

    def recheck(self) -> None:
        """The credentials changed: end every session whose own is no longer good."""
        for session in list(self.sessions.values()):
            if not self.access.still_valid(session.identity):
                self.withdraw(session)
            else:
                self._reconsider(session)
        self.router.tree.version += 1  # who receives what is asked anew for every topic
        self.end_overflowed()

    def withdraw(self, session: Session) -> None:
        """End a session whose credential is no longer good."""
        log.info("credential withdrawn", client=session.client_id)
        if session.link is not None:
            self.end(session.link, "credential withdrawn", abort=True)
        self.drop(session)

    def _reconsider(self, session: Session) -> None:
        """Ask anew what a session was once allowed: filters, topics, and what waits for it."""
        session.topics.clear()
        for topic_filter in list(session.subscriptions):
            if not self.access.may(Action.SUBSCRIBE, session.identity, topic_filter):
                log.info("subscription withdrawn", client=session.client_id, filter=topic_filter[:200])
                del session.subscriptions[topic_filter]
                self.router.tree.remove(topic_filter, session)
        self._withhold(session)

    def _withhold(self, session: Session) -> None:
        """Drop what waits for a client and may not be delivered to it any more."""
        if session.waiting:
            may = functools.cache(functools.partial(self.access.may, Action.RECEIVE, session.identity))
            self.counters.withheld += session.forget(may)

    def publish(self, name: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        """Publish a message of the broker's own (or of a plugin)."""
        self.router.emit(self.router.topic(name), payload, qos, retain=retain)
        self.end_overflowed()

    # -- the beginning of a session -------------------------------------------------------------------

    def take_over(self, old: Session) -> None:
        """End the connection of a session for a new one of the same client."""
        if old.link is not None:
            # 3.1.4: the old connection ends without DISCONNECT, so its will is published. It carries the
            # epoch of its own session: presence cannot mistake it for the new one.
            self.end(old.link, "taken over", abort=True)

    def accept(self, link: Link, packet: Connect, identity: Identity, will: Will | None) -> None:
        """Give the link its session: the kept one, or a new one."""
        client_id = identity.client_id or ""
        session = self.sessions.get(client_id)
        present = session is not None
        if session is None:
            session = self.sessions[client_id] = Session(
                client_id, identity, self.limits, self.stock, clean=packet.clean
            )
        session.identity = identity
        session.kind = identity.kind
        session.clean = packet.clean
        session.will = will
        session.topics.clear()
        self.router.tree.version += present  # what it may receive is asked anew
        link.session = session
        link.keep_alive_s = packet.keep_alive
        if self.limits.messages_per_s and session.kind != GATEWAY:  # a gateway speaks for a whole region
            link.credit, link.charged = self.limits.messages_per_s * BURST_S, link.heard
        self.counters.connected += 1
        link.send(connack(CONNECTION_ACCEPTED, session_present=present))
        if present:
            self._withhold(session)
        session.resume(link)
        self._announce(session, link)
        self.events.tell(BrokerEvents.CLIENT_CONNECTED, client_id=client_id, client_session=identity)
        log.debug("client connected", client=client_id, address=link.address, present=present)

    def _announce(self, session: Session, link: Link | None) -> None:
        """Tell the gateway where a client is; nothing (an empty payload) when it is gone."""
        if not _NOT_IN_A_LEVEL.isdisjoint(session.client_id):
            return
        payload = b""
        if link is not None:
            at = link.accepted_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            payload = json.dumps({"address": link.address, "connected_at": at}).encode()
        topic = self.router.topic(SESSION_TOPIC.format(session.client_id))
        self.router.emit(topic, payload, 1, retain=True)

    # -- the end of a connection or session -----------------------------------------------------------

    def end(self, link: Link, reason: str, *, will: bool = True, abort: bool = False) -> None:
        """End a connection: publish the session's will, and drop the session when it is a clean one."""
        if link.end is not None:
            return
        link.end, link.abort = reason, abort
        self.links.discard(link)
        self.counters.ended[reason] += 1
        link.mark(link)
        session = link.session
        if session is None:
            return
        log.debug("client gone", client=session.client_id, address=link.address, reason=reason)
        link.session = session.link = None
        testament, session.will = session.will, None
        if session.clean:
            self.drop(session)
        if testament is not None and will:
            topic = self.router.topic(testament.topic)
            self.router.emit(topic, testament.payload, testament.qos, retain=testament.retain)
        self._announce(session, None)
        identity = session.identity
        identity.transitions.state = "disconnected"
        self.events.tell(
            BrokerEvents.CLIENT_DISCONNECTED, client_id=session.client_id, client_session=identity
        )

    def drop(self, session: Session) -> None:
        """Forget a session without a link."""
        for topic_filter in session.subscriptions:
            self.router.tree.remove(topic_filter, session)
        session.subscriptions.clear()
        session.clear()
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]
            self.counters.dropped += session.dropped

    def end_overflowed(self) -> None:
        """End the sessions that had no room for a message, and make room for all; wills may add others."""
        while True:
            while self.router.overflowed:
                session = self.router.overflowed.pop()
                if self.sessions.get(session.client_id) is session:
                    log.warning(
                        "client too slow: its session ends", client=session.client_id, waiting=session.waiting
                    )
                    self._end_session(session, "too slow")
            if self.stock.bytes <= self.stock.limit or not self._make_room():
                break
        self.router.pressed = None  # by a will: nobody waits for that

    def _make_room(self) -> bool:
        """All queues together are over the limit: drop QoS 0 messages, then end the largest sessions."""
        self.stock.skip(self.sessions.values())
        while self.stock.excess > 0 and (session := largest(self.sessions.values())) is not None:
            log.error(
                "the queues of all clients are full: the session with the largest ends",
                client=session.client_id,
                waiting=session.waiting,
                bytes=session.bytes,
            )
            self.counters.evicted += 1
            self._end_session(session, "queues full")
        return self.stock.excess <= 0

    def _end_session(self, session: Session, reason: str) -> None:
        if session.link is not None:
            self.end(session.link, reason, abort=True)
        self.drop(session)

    def refuse(
        self, link: Link, code: int, what: str, reason: str | None, identity: Identity | None = None
    ) -> None:
        """Answer a CONNECT with a return code, and end the link."""
        self.counters.refused[what] += 1
        if self.throttle.passes(what, link.address, link.heard):
            client = identity.client_id[:80] if identity and identity.client_id else None
            log.warning("connection refused", what=what, reason=reason, address=link.address, client=client)
        link.send(connack(code))
        self.end(link, "refused")
