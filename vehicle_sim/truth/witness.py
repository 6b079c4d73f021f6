"""Sees what one unit really does, and keeps it in compact form."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from fleetcell.contract import ledger
from fleetcell.contract.commands import Refusal
from fleetcell.contract.messages import ResponseState
from vehicle_sim.truth.records import Answered, Boot, Change, Ordered, Reach, add, block_of, checksum
from vehicle_sim.unit import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fleetcell.contract.ledger import Ranges
    from fleetcell.contract.messages import Command, Response
    from vehicle_sim.boot_log import BootLog
    from vehicle_sim.links.transport import Modem
    from vehicle_sim.truth.records import Happened

# What the register should show follows what the unit has said: a goodbye counts from when it was said.
_REACH: Final = {
    Phase.DOWN: Reach.DOWN,
    Phase.UP: Reach.REACHABLE,
    Phase.DOZING: Reach.ASLEEP,
    Phase.ASLEEP: Reach.ASLEEP,
    Phase.LEAVING: Reach.GONE,
    Phase.GONE: Reach.GONE,
}


class Witness:
    """Of one vehicle, through all its boots.

    Args:
        vehicle: its id.
        modem: its way into the network, where that is simulated.
        note: where to tell what happened.
    """

    def __init__(self, vehicle: str, modem: Modem | None, note: Callable[[Happened], None]) -> None:
        self.vehicle = vehicle
        self.modem = modem
        self.boots: dict[str, Boot] = {}
        self._note = note
        self._reach: Reach | None = None  # None: it was never connected
        self._reason = ""
        self._phase = Phase.DOWN

    # -- readings -----------------------------------------------------------------------------------

    def made(self, boot: str, seq: int, time_ms: int, signals: Mapping[str, object]) -> None:
        """A reading is in the spool."""
        held = self._used(boot, seq)
        lat, lon = _degrees(signals.get("lat")), _degrees(signals.get("lon"))
        held.sums[block_of(seq)] = add(held.sums[block_of(seq)], checksum(seq, time_ms, lat, lon))
        held.first_ms = time_ms if held.first_ms is None else min(held.first_ms, time_ms)
        held.last_ms = time_ms if held.last_ms is None else max(held.last_ms, time_ms)

    def made_event(self, boot: str, seq: int) -> None:
        """An event is in the spool."""
        held = self._used(boot, seq)
        held.events = ledger.union(held.events, ((seq, seq),))

    def gave_up(self, logs: Iterable[BootLog], *, rejected: bool = False) -> None:
        """The unit has given up readings; `rejected`: because the gateway cannot read them."""
        for log in logs:
            held = self.boots.get(log.boot)
            if held is None:
                continue
            new = ledger.subtract(log.evicted, ledger.union(held.evicted, held.rejected))
            if rejected:
                held.rejected = ledger.union(held.rejected, new)
            else:
                held.evicted = ledger.union(held.evicted, new)

    def powered_up(self, logs: Iterable[BootLog]) -> None:
        """The unit is back from a loss of power: what its disk does not have of an earlier boot is torn."""
        for log in logs:
            held = self.boots.get(log.boot)
            if held is not None and log.last_seq < held.last_seq:
                held.torn = ledger.union(held.torn, ((log.last_seq + 1, held.last_seq),))
        self.gave_up(logs)

    def tore(self, boot: str, seqs: Ranges) -> None:
        """Readings of an earlier life that waited on its disk are not there any more, not even their boot."""
        if boot in self.boots:  # else it was made before this run
            self.boots[boot].torn = ledger.union(self.boots[boot].torn, seqs)

    def settle(self, logs: Iterable[BootLog]) -> None:
        """What is still in the spool now."""
        left: dict[str, tuple[Ranges, Ranges]] = {
            log.boot: (ledger.from_numbers(log.pending), log.evicted) for log in logs
        }
        for boot, held in self.boots.items():
            held.pending, held.undeclared = left.get(boot, (ledger.EMPTY, ledger.EMPTY))

    def _used(self, boot: str, seq: int) -> Boot:
        held = self.boots.get(boot)
        if held is None:
            held = self.boots[boot] = Boot(self.vehicle, boot)
        held.last_seq = seq
        while len(held.sums) <= block_of(seq):
            held.sums.append(0)
        return held

    # -- whether it can be reached ------------------------------------------------------------------

    def look(self, phase: Phase, epoch: int) -> None:
        """Note whether the unit can be reached, if that has changed."""
        reach, reason = _REACH[phase], None
        if reach is Reach.DOWN and (self._reach in (None, Reach.GONE) or self._phase is Phase.ASLEEP):
            return  # it begins, restarts or wakes: what it was before holds until it has connected
        self._phase = phase
        if reach is Reach.REACHABLE and self.modem is not None and (outage := self.modem.outage):
            reach, reason = Reach.CUT, outage
        if reach is self._reach:
            return
        if reason is None:
            reason = "link lost" if reach is Reach.DOWN else self._since(reach)
        self._change(reach, reason, epoch)

    def _since(self, reach: Reach) -> str:
        """Why it is so now, by what was so before."""
        if reach is not Reach.REACHABLE:
            return reach.value
        return "first" if self._reach is None else f"after {self._reason}"

    def killed(self, epoch: int) -> None:
        """The unit ended without a goodbye."""
        if self._reach not in (None, Reach.GONE):
            self._change(Reach.DOWN, "killed", epoch)

    def _change(self, reach: Reach, reason: str, epoch: int) -> None:
        self._reach, self._reason = reach, reason
        self._note(Change(self.vehicle, time.time(), reach, reason, epoch, self.modem is not None))

    # -- commands -----------------------------------------------------------------------------------

    def ordered(self, command: Command) -> None:
        """A command came."""
        self._note(Ordered(self.vehicle, time.time(), command.id, command.name))

    def answered(self, response: Response) -> None:
        """An answer goes out."""
        final = response.state is not ResponseState.ACCEPTED and response.code != Refusal.EPOCH
        self._note(Answered(self.vehicle, time.time(), response.id, response.state.value, final))


def _degrees(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
