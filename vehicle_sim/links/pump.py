"""Drives one `Link` on the event loop: the clock, the timer, and the two ends of each connection."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Final, Protocol

from fleetcell.flag import Flag, set_within
from vehicle_sim.links.air import Direction
from vehicle_sim.links.line import Mark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vehicle_sim.links.link import Link

# Timers of the event loop ring on whole milliseconds, and a part of one late. They are set half of one early,
# and what is due within one is delivered with what is due now: deliveries are early as often as late.
TICK_S: Final = 0.001
# An end that hears nothing of the other gives up after 924.6 s (Linux, tcp_retries2).
_GIVE_UP_S: Final = 924.6
_BOTH: Final = tuple(Direction)
_NONE: Final[frozenset[int]] = frozenset()  # one for all: each is 200 bytes


class End(Protocol):
    """One end of a connection, as the link sees it."""

    def deliver(self, data: bytes) -> None:
        """Data from the other end."""

    def mark(self, mark: Mark) -> None:
        """The other end has begun (SYN), finished (FIN) or dropped the connection (RST)."""

    def hold(self) -> None:
        """Send no more for now: the queue is full."""

    def go_on(self) -> None:
        """There is room again."""


class Connection:
    """One TCP connection over a link, made by `Pump.open`; `near` is the vehicle's end."""

    def __init__(self, pump: Pump, number: int) -> None:
        self.number = number
        self.on_over: Callable[[], None] | None = None  # the near end is closed
        self._pump = pump
        self._receivers: list[End | None] = [None, None]  # by the direction that leads to them
        self._over = [False, False]  # by the direction that they send in
        self._full = [False, False]  # the link's queue
        self._slow = [False, False]  # the other end's socket takes no more
        self._timer: asyncio.TimerHandle | None = None

    def attach(self, near: End, far: End) -> None:
        """The two ends."""
        self._receivers = [far, near]

    def send(self, direction: Direction, data: bytes | Mark) -> None:
        """Data or a mark from one end."""
        self._pump.send(self, direction, data)

    def closed(self, sends: Direction, last: Mark | None) -> None:
        """The end that sends in this direction is closed, and says so with `last` (None: to nobody)."""
        if self._over[sends]:
            return
        self._over[sends] = True
        if sends is Direction.UP and self.on_over is not None:
            self.on_over()
        if all(self._over):
            self.end()
            return
        if last is not None:
            self.send(sends, last)
        self._timer = asyncio.get_running_loop().call_later(_GIVE_UP_S, self.end)

    def arrive(self, direction: Direction, data: bytes | Mark) -> None:
        """Something has crossed the link."""
        receiver = self._receivers[direction]
        if receiver is None or self._over[1 - direction]:
            return
        if isinstance(data, Mark):
            receiver.mark(data)
        else:
            receiver.deliver(data)

    def control(self, direction: Direction, *, full: bool, empty: bool) -> None:
        """The link's queue in this direction has run full or empty: hold or release the end that fills it."""
        was = self._full[direction]
        if (empty and was) or (full and not was):
            self._full[direction] = not was
            if not self._slow[direction]:
                self._hold(direction, on=not was)

    def slow(self, direction: Direction, *, is_so: bool) -> None:
        """The end that receives in this direction takes no more, or again."""
        if self._slow[direction] != is_so:
            self._slow[direction] = is_so
            if not self._full[direction]:
                self._hold(direction, on=is_so)

    def end(self) -> None:
        """Forget the connection; ends that are still open are dropped."""
        if self._timer is not None:
            self._timer.cancel()
        self._pump.forget(self)
        receivers, over = self._receivers, self._over
        self._receivers, self._over = [None, None], [True, True]
        for direction in Direction:
            receiver = receivers[direction]
            if receiver is not None and not over[1 - direction]:
                receiver.mark(Mark.RST)
        if not over[Direction.UP] and self.on_over is not None:
            self.on_over()

    def _hold(self, direction: Direction, *, on: bool) -> None:
        sender = self._receivers[1 - direction]
        if sender is None or self._over[direction]:
            return
        if on:
            sender.hold()
        else:
            sender.go_on()


class Pump:
    """See the module.

    Args:
        link: nobody else may drive it.
        began: the link's time 0 by `time.monotonic`; None: when it is first used, so that the links of a
            large fleet have no time to make up for when their units start.
    """

    def __init__(self, link: Link, began: float | None = None) -> None:
        self.link = link
        self._loop = asyncio.get_running_loop()
        self._began = began
        self._connections: dict[int, Connection] = {}
        self._orphans = _NONE  # connections whose near end died without a word
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._held = [False, False]  # whether a connection may be, by the link's queue in this direction
        self._empty = Flag()
        self._empty.set()

    @property
    def now(self) -> float:
        """The link's time. Not by the event loop's clock: uvloop's stands still within a turn."""
        if self._began is None:
            self._began = time.monotonic()
        return time.monotonic() - self._began

    @property
    def outage(self) -> str | None:
        """Why the connections pass no packet now; None: one of them does, or there is none."""
        why = self.link.outage(self.now)
        if why is None and self._connections and not any(map(self.link.alive, self._connections)):
            why = "half open"
        return why

    def open(self) -> Connection:
        """A new connection; attach its ends, then send SYN."""
        connection = Connection(self, self.link.open(self.now))
        self._connections[connection.number] = connection
        self._empty.clear()
        return connection

    def send(self, connection: Connection, direction: Direction, data: bytes | Mark) -> None:
        """As `Connection.send`."""
        self.link.send(direction, connection.number, data, self.now)
        self._control()
        self._schedule()

    def move(self, lon: float, lat: float, at: float | None = None) -> None:
        """The vehicle is here, degrees, since `at` on the link's clock (None: now)."""
        now, idle = self.now, self.link.idle and not any(self._held)
        self.link.move(lon, lat, now if at is None else min(at, now))
        if not idle:
            self._work()

    def forget(self, connection: Connection) -> None:
        """The connection is over."""
        self.link.forget(connection.number)
        self._connections.pop(connection.number, None)
        self._orphans = self._orphans - {connection.number} or _NONE
        if len(self._connections) == len(self._orphans):
            self._empty.set()

    async def finish(self, within_s: float) -> None:
        """Let what is on its way arrive, at most so long; then drop every connection."""
        try:
            await set_within(self._empty, within_s)
        finally:
            self.drop()

    def drop(self) -> None:
        """Drop every connection at once, at both ends; but not what `orphan` left."""
        for connection in list(self._connections.values()):
            if connection.number not in self._orphans:
                connection.end()
        if self._timer is not None and not self._connections:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Drop every connection at once, orphans too."""
        self._orphans = _NONE
        self.drop()

    # -- faults -----------------------------------------------------------------------------------

    def orphan(self) -> None:
        """The program at the near ends dies: its system resets the connections, by this link.

        The far ends hear that when it arrives. Where it never does they stay half open, until they give up.
        """
        for connection in list(self._connections.values()):
            self._orphans |= {connection.number}
            connection.closed(Direction.UP, Mark.RST)
        self._empty.set()

    def power_off(self) -> None:
        """The vehicle's power fails: nothing of it is ever heard again on these connections."""
        self.link.power_off(self.now)
        self.orphan()

    def black_hole(self, seconds: float) -> None:
        """As `Link.black_hole`, from now on."""
        self.link.black_hole(self.now, seconds)
        self._work()

    def reset(self) -> None:
        """As `Link.reset`, now."""
        self.link.reset(self.now)
        self._work()

    def suspend_sim(self) -> None:
        """As `Link.suspend_sim`, now."""
        self.link.suspend_sim(self.now)
        self._work()

    def resume_sim(self) -> None:
        """As `Link.resume_sim`, now."""
        self.link.resume_sim(self.now)
        self._work()

    # -- inside -----------------------------------------------------------------------------------

    def _work(self) -> None:
        deliveries = self.link.advance(self.now, TICK_S)
        for (number, direction), group in itertools.groupby(
            deliveries, key=lambda delivery: (delivery.flow, delivery.direction)
        ):
            connection = self._connections.get(number)
            if connection is not None:
                for data in _joined([delivery.data for delivery in group]):
                    connection.arrive(direction, data)
        self._control()
        self._schedule()

    def _control(self) -> None:
        limit = self.link.profile.buffer_bytes
        for direction in _BOTH:
            waiting = self.link.waiting(direction)
            full, empty = waiting > limit, waiting <= limit // 2
            if full or (empty and self._held[direction]):
                self._held[direction] = full
                for connection in list(self._connections.values()):
                    connection.control(direction, full=full, empty=empty)

    def _schedule(self) -> None:
        due = self.link.due
        if self._timer is not None:
            if self._timer_due <= due:  # too early does no harm: it looks again
                return
            self._timer.cancel()
            self._timer = None
        if due != float("inf"):
            self._timer_due = due
            self._timer = self._loop.call_later(max(0.0, due - self.now - TICK_S / 2), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._work()


def _joined(parts: Sequence[bytes | Mark]) -> list[bytes | Mark]:
    """Neighbouring data as one piece, for one write."""
    if len(parts) == 1:
        return list(parts)
    joined: list[bytes | Mark] = []
    for is_mark, group in itertools.groupby(parts, key=lambda part: isinstance(part, Mark)):
        if is_mark:
            joined += group
        else:
            joined.append(b"".join(part for part in group if isinstance(part, bytes)))
    return joined
