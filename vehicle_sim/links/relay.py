"""A relay that puts any MQTT client on a cellular link: `fleetcell sim link`.

It passes bytes, so it serves MQTT over TCP, TLS or WebSocket alike. A client that connects gets a modem: the
first that is free. So one that reconnects meets the same radio, at the same place of the same trace, as a
vehicle would; all modems are switched on when the relay starts.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from vehicle_sim.links.air import Change, Direction, Rrc
from vehicle_sim.links.faults import Fault
from vehicle_sim.links.pump import Connection, Pump
from vehicle_sim.links.sockets import FarSocket, NearSocket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vehicle_sim.links.choice import Links
    from vehicle_sim.links.faults import PlannedFault
    from vehicle_sim.links.link import Link

_BACKLOG: Final = 4096


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """Where the relay listens (port 0: any free one), and where the clients are to arrive."""

    listen_host: str
    listen_port: int
    to_host: str
    to_port: int
    faults: Sequence[PlannedFault] = ()


@dataclass(slots=True)
class _Modem:
    """A link, and what drives it."""

    link: Link
    pump: Pump


@dataclass(slots=True)
class _Active:
    """Faults that are on at the moment, for modems that are switched on meanwhile."""

    hole_until: float = float("-inf")
    suspended: bool = False


class Relay:
    """See the module. `start`, then `stop`; `port` is where it listens."""

    def __init__(self, links: Links, options: RelayOptions) -> None:
        self.port = 0
        self.connections = 0
        self.open = 0
        self._links = links
        self._options = options
        self._modems: list[_Modem] = []
        self._free: list[int] = []
        self._active = _Active()
        self._timers: list[asyncio.TimerHandle] = []
        self._server: asyncio.Server | None = None
        self._began = 0.0

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        options = self._options
        self._began = time.monotonic()
        self._server = await loop.create_server(
            lambda: NearSocket(self._serve), options.listen_host, options.listen_port, backlog=_BACKLOG
        )
        self.port = self._server.sockets[0].getsockname()[1]
        for fault in options.faults:
            self._timers.append(loop.call_at(self._began + fault.at_s, self._begin, fault))
            if fault.kind is Fault.SIM:
                end = self._began + fault.at_s + fault.lasts_s
                self._timers.append(loop.call_at(end, self._resume_sim))

    async def stop(self) -> None:
        """Listen no more and drop all connections."""
        for timer in self._timers:
            timer.cancel()
        if self._server is not None:
            self._server.close()
        for modem in self._modems:
            modem.pump.drop()
        await asyncio.sleep(0)  # for the sockets to see that they are dropped

    # -- statistics -------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    def statistics(self) -> Statistics:
        """Of all links so far."""
        found = Statistics(self.seconds, len(self._modems), self.connections, self.open)
        for modem in self._modems:
            found.add(modem.link, self.seconds)
        return found

    # -- inside -----------------------------------------------------------------------------------

    def _serve(self, near: NearSocket) -> Connection:
        """A client has come: give it a modem and an end at the broker."""
        number = heapq.heappop(self._free) if self._free else self._switch_on()
        connection = self._modems[number].pump.open()
        self.connections += 1
        self.open += 1

        def over() -> None:
            self.open -= 1
            heapq.heappush(self._free, number)

        connection.on_over = over
        connection.attach(near, FarSocket(connection, self._options.to_host, self._options.to_port))
        return connection

    def _switch_on(self) -> int:
        number = len(self._modems)
        link = self._links.make(f"client-{number + 1}")
        modem = _Modem(link, Pump(link, self._began))
        self._modems.append(modem)
        now = self.seconds
        if self._active.hole_until > now:
            link.black_hole(now, self._active.hole_until - now)
        if self._active.suspended:
            link.suspend_sim(now)
        return number

    def _begin(self, fault: PlannedFault) -> None:
        now = self.seconds
        if fault.kind is Fault.BLACK_HOLE:
            self._active.hole_until = now + fault.lasts_s
        elif fault.kind is Fault.SIM:
            self._active.suspended = True
        for modem in self._modems:
            match fault.kind:
                case Fault.BLACK_HOLE:
                    modem.pump.black_hole(fault.lasts_s)
                case Fault.RESET:
                    modem.pump.reset()
                case Fault.SIM:
                    modem.pump.suspend_sim()

    def _resume_sim(self) -> None:
        self._active.suspended = False
        for modem in self._modems:
            modem.pump.resume_sim()


@dataclass(slots=True)
class Statistics:
    """Of all links of a relay. Bytes and packets are with TCP/IP headers; delays are those of the link."""

    seconds: float
    modems: int
    connections: int
    open: int
    connected: int = 0  # modems that hold radio resources
    packets: list[int] = field(default_factory=lambda: [0, 0])
    bytes: list[int] = field(default_factory=lambda: [0, 0])
    delay_sum_s: list[float] = field(default_factory=lambda: [0.0, 0.0])
    delay_max_s: list[float] = field(default_factory=lambda: [0.0, 0.0])
    waiting_bytes: int = 0
    vanished_bytes: int = 0
    changes: Counter[Change] = field(default_factory=Counter)

    def add(self, link: Link, now: float) -> None:
        """Count one link in."""
        self.connected += link.rrc(now) is Rrc.CONNECTED
        self.vanished_bytes += link.vanished_bytes
        self.changes.update(link.changes)
        self.changes[Change.STALLED] += link.stalled
        for direction in Direction:
            passed = link.passed[direction]
            self.packets[direction] += passed.packets
            self.bytes[direction] += passed.bytes
            self.delay_sum_s[direction] += passed.delay_sum_s
            self.delay_max_s[direction] = max(self.delay_max_s[direction], passed.delay_max_s)
            self.waiting_bytes += link.waiting(direction)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "seconds": round(self.seconds, 3),
            "modems": self.modems,
            "connections": self.connections,
            "open": self.open,
            "up": self._direction(Direction.UP),
            "down": self._direction(Direction.DOWN),
            "waiting_bytes": self.waiting_bytes,
            "vanished_bytes": self.vanished_bytes,
            "changes": {change.value: count for change in Change if (count := self.changes[change])},
        }

    def _direction(self, direction: Direction) -> dict[str, Any]:
        packets = self.packets[direction]
        return {
            "packets": packets,
            "bytes": self.bytes[direction],
            "delay_mean_s": round(self.delay_sum_s[direction] / packets, 6) if packets else None,
            "delay_max_s": round(self.delay_max_s[direction], 6) if packets else None,
        }

    def line(self) -> str:
        """For a terminal."""
        up, down = self.bytes
        text = f"{self.open} connections  {up / 1000:,.0f} kB up  {down / 1000:,.0f} kB down"
        if self.waiting_bytes:
            text += f"  {self.waiting_bytes / 1000:,.0f} kB waiting"
        return text + "".join(f"  {count} {change}" for change, count in self.changes.most_common(3) if count)
