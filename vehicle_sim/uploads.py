"""A unit's telemetry messages and what became of them: the spool, the delivery and the tally together."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from fleetcell.contract.ledger import from_numbers
from fleetcell.contract.topics import Channel
from vehicle_sim import wire

if TYPE_CHECKING:
    from fleetcell.contract.messages import Ack, Rejected
    from vehicle_sim.delivery import Batch, Delivery
    from vehicle_sim.spool import Spool
    from vehicle_sim.tally import Tally


class Uploads:
    """The messages of one unit that carry readings."""

    def __init__(self, spool: Spool, delivery: Delivery, tally: Tally) -> None:
        self._spool = spool
        self._delivery = delivery
        self._tally = tally
        self._digests: dict[int, str] = {}  # batch number -> SHA-256 of its payload

    def message(self, batch: Batch, epoch: int, up_ms: int) -> tuple[Channel, bytes]:
        """The message of a batch, and the channel that it goes to; `up_ms`: the unit's uptime now."""
        boot_log = self._spool.get(batch.boot)
        assert boot_log is not None, "a boot with pending readings is kept"
        sent_ms = up_ms if boot_log is self._spool.current else None
        if any(boot_log.is_event(seq) for seq in batch.seqs):
            return Channel.EVENT, wire.event(batch, epoch, boot_log, sent_ms)
        return Channel.TELEMETRY, wire.telemetry(batch, epoch, boot_log, sent_ms)

    def sent(self, batch: Batch, payload: bytes) -> None:
        """The link took it."""
        self._digests[batch.number] = hashlib.sha256(payload).hexdigest()
        self._tally.batches += 1

    def acked(self, ack: Ack, now: float) -> None:
        """The gateway settled readings: drop them from the spool.

        Raises:
            PayloadError: `also` holds something that is no range.
        """
        count = self._spool.settle(ack.boot, wire.settled_by(ack))
        self._tally.settled(count, now, backlog=ack.boot != self._spool.current.boot)

    def rejected(self, rejected: Rejected) -> list[str]:
        """The gateway cannot read a message: have it sent in halves; gives the boots it was of."""
        found = [number for number, digest in self._digests.items() if digest == rejected.rejected]
        boots = []
        for number in found:
            del self._digests[number]
            if number not in self._delivery.in_flight:
                continue
            boot = self._delivery.in_flight[number].boot
            culprit = self._delivery.rejected(number)
            if culprit is not None:
                self._give_up(boot, culprit)
            boots.append(boot)
        return boots

    def forget(self) -> None:
        """Drop what was kept of messages that are no longer in flight."""
        for number in [number for number in self._digests if number not in self._delivery.in_flight]:
            del self._digests[number]

    def forget_all(self) -> None:
        """The link is gone, and with it what was on its way."""
        self._digests.clear()

    def _give_up(self, boot: str, seq: int) -> None:
        """A reading that the gateway cannot read is kept there as a dead letter: declare the gap."""
        boot_log = self._spool.get(boot)
        if boot_log is not None:
            boot_log.evict(from_numbers([seq]))
            self._tally.rejected += 1
