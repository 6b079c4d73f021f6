"""What a unit makes, readings and events: into the spool first, then to whoever sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleetcell.flag import Flag
from vehicle_sim import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vehicle_sim.instruments import Instruments
    from vehicle_sim.spool import Spool
    from vehicle_sim.tally import Tally
    from vehicle_sim.truth.witness import Witness

_ROOM: Final = 10_000  # readings; far from filling a spool


class Making:
    """The readings and events of one unit, until they are acknowledged.

    Args:
        spool: keeps them.
        tally: counts them, for the score.
        instruments: tell uptime and doors.
        witness: is told of each, for the score.
        made: called with boot and number of each, once it is in the spool.
    """

    __slots__ = (
        "_drained",
        "_instruments",
        "_made",
        "_room",
        "_spool",
        "_tally",
        "_witness",
    )

    def __init__(
        self,
        spool: Spool,
        tally: Tally,
        instruments: Instruments,
        witness: Witness | None,
        made: Callable[[str, int], None],
    ) -> None:
        self._spool = spool
        self._tally = tally
        self._instruments = instruments
        self._witness = witness
        self._made = made
        self._drained = Flag()
        self._room = Flag()

    def reading(
        self, time_ms: int, signals: Mapping[str, object], measured_at: float | None, now: float
    ) -> None:
        """As `VehicleUnit.record`."""
        signals = self._instruments.read(time_ms, signals, now)
        seq, up_ms = self._spool.current.last_seq + 1, self._up_ms(measured_at)
        self._keep(wire.sample(seq, time_ms, dict(signals), up_ms))
        if self._witness is not None:
            self._witness.made(self._spool.current.boot, self._spool.current.last_seq, time_ms, signals)

    def event(self, time_ms: int, kind: str, data: Mapping[str, object], happened_at: float | None) -> None:
        """As `VehicleUnit.report`."""
        seq, up_ms = self._spool.current.last_seq + 1, self._up_ms(happened_at)
        self._keep(wire.happening(seq, time_ms, kind, dict(data), up_ms), event=True)
        self._tally.events += 1
        if self._witness is not None:
            self._witness.made_event(self._spool.current.boot, self._spool.current.last_seq)

    def settled(self) -> None:
        """Fewer may wait now."""
        pending = self._spool.pending_count
        self._drained.show(is_so=pending == 0)
        self._room.show(is_so=pending < _ROOM)

    def rejected(self) -> None:
        """The gateway cannot read some of what it was sent, which is given up."""
        if self._witness is not None:
            self._witness.gave_up(self._spool.boots, rejected=True)
        self.settled()

    async def drained(self) -> None:
        """Return when nothing waits for its acknowledgement."""
        self.settled()
        await self._drained.wait()

    async def room(self) -> None:
        """Return when little enough waits that more may be made without evicting any."""
        self.settled()
        await self._room.wait()

    def _keep(self, data: bytes, *, event: bool = False) -> None:
        seq, evicted = self._spool.append(data, event=event)
        self._tally.made += 1
        self._tally.evicted += evicted
        if evicted and self._witness is not None:
            self._witness.gave_up(self._spool.boots)
        self.settled()
        self._made(self._spool.current.boot, seq)

    def _up_ms(self, at: float | None) -> int | None:
        return None if at is None else self._instruments.up_ms(at)
