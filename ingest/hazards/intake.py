"""From a DENM on its topic to a report that waits to be stored, or to a count of why not. Pure but for UPER.

What repeats is dropped before it costs anything: a station repeats a DENM up to ten times a second.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from fleetcell import uper
from fleetcell.contract.errors import PayloadError, TopicError
from fleetcell.contract.hazards import Report, UnbelievableError, report_of
from fleetcell.contract.topics import parse_v2x
from fleetcell.contract.v2x import codec
from fleetcell.contract.v2x.messages import Denm
from ingest.hazards.limits import Bucket, SenderRates

if TYPE_CHECKING:
    from collections.abc import Callable

SENDER_PER_S: Final = 10.0  # messages of one pseudonym, repetitions included: ETSI's highest rate
SENDER_BURST: Final = 30.0
BURST_S: Final = 60.0  # of the region's rate
WAITING: Final = 1_000  # reports that wait for the database
KNOWN: Final = 20_000  # hazards whose repetitions are recognised


class Intake:
    """Takes DENMs of one region.

    Args:
        per_s: new reports a second, over a longer time; repetitions do not count.
        refused: called with the reason of each message that is dropped.
    """

    def __init__(self, per_s: float, refused: Callable[[str], None], now: float) -> None:
        self.waiting: deque[Report] = deque()
        self._refused = refused
        self._region_rate = Bucket(per_s, max(per_s * BURST_S, 1.0), now)
        self._sender_rates = SenderRates(SENDER_PER_S, SENDER_BURST)
        self._known: OrderedDict[tuple[int, int], tuple[int, bool]] = OrderedDict()

    def take(self, topic: str, payload: bytes, now: float, now_ms: int) -> bool:
        """Look at one message; True where there is a report more to store.

        Args:
            topic: as it came.
            payload: likewise.
            now: seconds on a monotonic clock.
            now_ms: ms since 1970.
        """
        reason = self._look(topic, payload, now, now_ms)
        if reason:
            self._refused(reason)
        return reason is None

    def forget(self, report: Report) -> None:
        """It was not stored: let it come again."""
        self._known.pop(report.action, None)

    def _look(self, topic: str, payload: bytes, now: float, now_ms: int) -> str | None:
        """None where it waits now, or why it was dropped; empty for a repetition."""
        try:
            parsed = parse_v2x(topic)
        except TopicError:
            return "topic"
        if parsed.kind != "denm":
            return "topic"
        if not self._sender_rates.take(parsed.pseudonym, now):
            return "sender_rate"
        try:
            if parsed.uper and not uper.available():
                return "no_uper"
            message = (uper if parsed.uper else codec).decode(Denm, payload)
            report = report_of(parsed, message, now_ms)
        except PayloadError:
            return "undecodable"
        except UnbelievableError as error:
            return error.doubt.value
        news = report.reference_ms, report.ending is not None
        known = self._known.get(report.action)
        if known is not None and news <= known:
            return "repeated"
        if len(self.waiting) >= WAITING or not self._region_rate.take(now):
            return "region_rate"
        self._known[report.action] = news
        self._known.move_to_end(report.action)
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
        self.waiting.append(report)
        return None
