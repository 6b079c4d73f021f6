"""One vehicle's cellular link: bytes and times in, deliveries and times out. No socket, no clock.

A link carries any number of TCP connections ("flows") of one vehicle. They share its radio, its queues and
its address. Times are seconds since the link's beginning. Whoever drives it calls, with times that do not
run back, `open`, `send`, `move`, the faults, and `advance` at `due` or any other moment: how often does not
change what happens.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vehicle_sim.links.air import Change, Direction, Event, Rrc
from vehicle_sim.links.line import SEGMENT_BYTES, Delivery, Line, Mark, Packet
from vehicle_sim.links.noise import uniform

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vehicle_sim.links.air import Air, Reception
    from vehicle_sim.links.profiles import Profile

_NEVER: Final = math.inf
_REBIND_SLOT_S: Final = 60.0  # at most one change of mappings in each
KEPT_EVENTS: Final = 1000
_OUTAGE_S: Final = 1.0  # without any capacity; shorter ones are the radio's everyday

# What `uniform` is asked about; a place in its coordinates.
_ADDRESS, _REBIND, _REBIND_AT = range(10, 13)


@dataclass(slots=True)
class Flow:
    """One connection. `last` is when a packet of it passed the NAT. Dead: what is sent on it vanishes."""

    last: float
    dead: bool = False


@dataclass(slots=True)
class Passed:
    """What one direction carried: packets and bytes with headers, and their delay, s."""

    packets: int = 0
    bytes: int = 0
    delay_sum_s: float = 0.0
    delay_max_s: float = 0.0


class Link:
    """See the module.

    Args:
        profile: delays, states, timers.
        air: of this vehicle alone.
        seed: from `noise.seed_of`; everything random follows from it.
        kept_events: how many are kept at least, in `events`; all of them are counted.
    """

    def __init__(self, profile: Profile, air: Air, seed: int, kept_events: int = KEPT_EVENTS) -> None:
        self.profile = profile
        self.events: list[Event] = []  # the last ones
        self._kept_events = kept_events
        self.changes: Counter[Change] = Counter()
        self.passed = (Passed(), Passed())
        self.vanished_bytes = 0
        self._air = air
        self._seed = seed
        self._lines = (
            Line(Direction.UP, profile, seed ^ 0x55),
            Line(Direction.DOWN, profile, seed ^ 0xAA),
        )
        self._flows: dict[int, Flow] = {}
        self._numbers = itertools.count(1)
        self._outbox: list[tuple[float, int, Delivery]] = []
        self._order = itertools.count()
        self._ready_at = 0.0  # the radio serves no packet before: promotion, or no SIM
        self._active_at = -_NEVER if profile.promotion_s else 0.0
        self._suspended = False
        self._hole_until = -_NEVER
        self._returns = 0

    # -- what goes in -----------------------------------------------------------------------------

    def open(self, now: float) -> int:
        """A new connection, to be begun with a SYN; its number."""
        self._run(now)
        flow = next(self._numbers)
        self._flows[flow] = Flow(now, dead=now < self._hole_until)
        return flow

    def forget(self, flow: int) -> None:
        """The connection is over at both ends; what is still on the way of it is lost."""
        self._flows.pop(flow, None)

    def send(self, direction: Direction, flow: int, data: bytes | Mark, now: float) -> None:
        """Data or a mark enters at one end; data is cut into TCP segments."""
        self._run(now)
        self._wake_radio(direction, now)
        line = self._lines[direction]
        if isinstance(data, Mark) or len(data) <= SEGMENT_BYTES:
            line.push(Packet(flow, data, now))
            return
        for begin in range(0, len(data), SEGMENT_BYTES):
            line.push(Packet(flow, data[begin : begin + SEGMENT_BYTES], now))

    def move(self, lon: float, lat: float, now: float) -> None:
        """The vehicle is here from now on, degrees."""
        self._run(now)
        self._note(self._air.move(lon, lat, now))

    def black_hole(self, now: float, seconds: float) -> None:
        """All connections become half open: packets vanish, without FIN or RST. So do new ones meanwhile."""
        self._run(now)
        self._hole_until = now + seconds
        self._kill_all()
        self._note([Event(now, Change.BLACK_HOLE, f"for {seconds:g} s")])

    def reset(self, now: float) -> None:
        """A middlebox ends all connections with RST to both ends."""
        self._run(now)
        for number, flow in self._flows.items():
            if not flow.dead:
                for direction in Direction:
                    self._deliver(Delivery(now, direction, number, Mark.RST, now))
        self._kill_all()
        self._note([Event(now, Change.RESET)])

    def power_off(self, now: float) -> None:
        """The modem goes dark: nothing more comes of its connections, and the radio is idle."""
        self._run(now)
        self._kill_all()
        if self.profile.promotion_s:
            self._active_at = -_NEVER
        self._note([Event(now, Change.POWER_OFF)])

    def suspend_sim(self, now: float) -> None:
        """The network takes the SIM no longer: nothing passes until `resume_sim`."""
        if not self._suspended:
            self._run(now)
            self._suspended, self._ready_at = True, _NEVER
            self._note([Event(now, Change.SIM_SUSPENDED)])

    def resume_sim(self, now: float) -> None:
        """It takes it again: the vehicle attaches, and has another address."""
        if self._suspended:
            self._run(now)
            self._suspended, self._ready_at = False, now + self.profile.promotion_s
            self._active_at = self._ready_at
            self._note([Event(now, Change.RESUMED)])
            self._attach_anew(now)

    # -- what comes out ---------------------------------------------------------------------------

    @property
    def due(self) -> float:
        """When `advance` should be called again; infinity: only after something was put in."""
        coming = self._outbox[0][0] if self._outbox else _NEVER
        up, down = self._lines
        if up.waiting_bytes or down.waiting_bytes:
            air, ready_at = self._air, self._ready_at
            return min(coming, up.expects(air, ready_at), down.expects(air, ready_at))
        return coming

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way, in either direction."""
        up, down = self._lines
        return not (self._outbox or up.waiting_bytes or down.waiting_bytes)

    def advance(self, now: float, ahead_s: float = 0.0) -> list[Delivery]:
        """Let time pass; what has arrived by now or will in the next `ahead_s`, as far as known, in order."""
        self._run(now)
        arrived = []
        while self._outbox and self._outbox[0][0] <= now + ahead_s:
            arrived.append(heapq.heappop(self._outbox)[2])
        return arrived

    def waiting(self, direction: Direction) -> int:
        """Bytes that the air has not taken yet; a sender should stop at `profile.buffer_bytes`."""
        return self._lines[direction].waiting_bytes

    def alive(self, flow: int) -> bool:
        """Whether packets of a connection still arrive."""
        found = self._flows.get(flow)
        return found is not None and not found.dead

    @property
    def reception(self) -> Reception:
        """What the modem shows."""
        return self._air.reception

    @property
    def covered(self) -> bool:
        """Whether the modem hears a cell, where cells are modelled at all."""
        return self.profile.cells is None or self._air.reception.cell is not None

    def outage(self, now: float) -> str | None:
        """Why no packet of a new connection passes now; None: they pass. Gaps below a second are none."""
        self._run(now)
        if self._suspended:
            return "SIM suspended"
        if now < self._hole_until:
            return "black hole"
        if not self.covered:
            return "no coverage"
        gaps = (until - now for rate, until in (self._air.rate(way, now) for way in Direction) if not rate)
        return "no capacity" if max(gaps, default=0.0) > _OUTAGE_S else None

    def rrc(self, now: float) -> Rrc:
        """The radio's state."""
        return Rrc.CONNECTED if now <= self._active_at + self.profile.inactivity_s else Rrc.IDLE

    @property
    def stalled(self) -> int:
        """Packets that were lost and sent again."""
        return sum(line.stalled for line in self._lines)

    # -- inside -----------------------------------------------------------------------------------

    def _run(self, now: float) -> None:
        """Let the air and the lines work, in the order of time."""
        while True:
            change = self._air.next_change
            self._serve(min(now, change))
            if change > now:
                break
            self._note(self._air.advance(change))
        self._note(self._air.advance(now))

    def _serve(self, until: float) -> None:
        up, down = self._lines
        while up.waiting_bytes or down.waiting_bytes:
            up_at = up.work(self._air, self._ready_at, until)
            down_at = down.work(self._air, self._ready_at, until)
            if up_at == down_at == _NEVER:
                return
            line, at = (up, up_at) if up_at <= down_at else (down, down_at)
            self._through(line, line.pop(), at)

    def _through(self, line: Line, packet: Packet, at: float) -> None:
        """A packet has crossed the air and is at the NAT."""
        self._active_at = max(self._active_at, at)
        flow = self._flows.get(packet.flow)
        if flow is not None and not flow.dead:
            self._check_nat(packet.flow, flow, line.direction, at)
        if flow is None or flow.dead:
            self.vanished_bytes += packet.size
            return
        flow.last = at
        delivery = line.arrive(packet, at)
        passed, delay = self.passed[line.direction], delivery.at - packet.at
        passed.packets += 1
        passed.bytes += packet.size
        passed.delay_sum_s += delay
        passed.delay_max_s = max(passed.delay_max_s, delay)
        self._deliver(delivery)

    def _check_nat(self, number: int, flow: Flow, direction: Direction, at: float) -> None:
        if at - flow.last > self.profile.nat_idle_s:
            flow.dead = True
            self._note([Event(at, Change.NAT_EXPIRED, f"idle for {at - flow.last:.0f} s")])
        elif self._rebound_between(flow.last, at):
            flow.dead = True
            self._note([Event(at, Change.NAT_REBOUND)])
            if direction is Direction.UP:  # the server knows no connection with this port
                back = at + self.profile.up_s + self.profile.down_s
                self._deliver(Delivery(back, Direction.DOWN, number, Mark.RST, at))

    def _rebound_between(self, begin: float, end: float) -> bool:
        """Whether the NAT changed its mappings in this time (at most once a minute)."""
        share = _REBIND_SLOT_S / self.profile.nat_rebind_s
        if not share:
            return False
        for slot in range(int(begin // _REBIND_SLOT_S), int(end // _REBIND_SLOT_S) + 1):
            if uniform(self._seed, _REBIND, slot) < share:
                moment = (slot + uniform(self._seed, _REBIND_AT, slot)) * _REBIND_SLOT_S
                if begin < moment <= end:
                    return True
        return False

    def _wake_radio(self, direction: Direction, now: float) -> None:
        profile = self.profile
        if self._suspended or not profile.promotion_s:
            return
        if now > self._active_at + profile.inactivity_s and not any(self._lines):
            wait = profile.promotion_s + (profile.paging_s if direction is Direction.DOWN else 0.0)
            self._ready_at = now + wait
            self._note([Event(now, Change.PROMOTED)])
        self._active_at = max(self._active_at, now, self._ready_at)

    def _attach_anew(self, now: float) -> None:
        if self._flows:
            self._kill_all()
            self._note([Event(now, Change.NEW_ADDRESS)])

    def _kill_all(self) -> None:
        for flow in self._flows.values():
            flow.dead = True

    def _deliver(self, delivery: Delivery) -> None:
        heapq.heappush(self._outbox, (delivery.at, next(self._order), delivery))

    def _note(self, events: Iterable[Event]) -> None:
        for event in events:
            self.events.append(event)
            if len(self.events) > 2 * self._kept_events:
                del self.events[: len(self.events) - self._kept_events]
            self.changes[event.change] += 1
            if event.change is Change.COVERAGE_BACK:
                self._came_back(event)

    def _came_back(self, event: Event) -> None:
        cells = self.profile.cells
        if cells is None or event.lasted < cells.radio_link_failure_s:
            return
        self._returns += 1
        if uniform(self._seed, _ADDRESS, self._returns) < self.profile.new_address:
            self._attach_anew(event.at)
