"""A station on the unit's own link: publishes what it says, and hears the cells around it."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from fleetcell import uper
from fleetcell.contract import topics
from fleetcell.contract.errors import ConfigError, PayloadError, TopicError
from fleetcell.contract.v2x import codec
from fleetcell.contract.v2x.cells import heard_filters, publish_topic, published_cell
from fleetcell.contract.v2x.messages import Cam
from fleetcell.contract.v2x.times import its_from_unix
from vehicle_sim.v2x.ldm import Refusal, metres

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fleetcell.contract.v2x.cells import Kind
    from fleetcell.contract.v2x.messages import Denm
    from vehicle_sim.mobility.motion import Motion
    from vehicle_sim.v2x.options import Format
    from vehicle_sim.v2x.station import Station


_REPORTS_A_MINUTE: Final = 10  # whoever floods the air does not flood the platform by us
_MINUTE_MS: Final = 60_000


class Channel(Protocol):
    """The connection to a broker; see `MqttBridge`. False: not connected, or full."""

    def publish_nowait(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> bool: ...
    def subscribe_nowait(self, subscriptions: Sequence[tuple[str, int]]) -> bool: ...
    def unsubscribe_nowait(self, filters: Sequence[str]) -> bool: ...


@dataclass(slots=True)
class V2xTally:
    """Counts of all stations of a run."""

    cams_sent: int = 0
    denms_sent: int = 0
    unsent: int = 0  # the link was full, or not there
    cams_heard: int = 0
    denms_heard: int = 0
    refused: Counter[Refusal] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, int]:
        """For the score; what was refused, by reason."""
        return {
            "CAMs sent": self.cams_sent,
            "DENMs sent": self.denms_sent,
            "not sent": self.unsent,
            "CAMs heard": self.cams_heard,
            "DENMs heard": self.denms_heard,
            **{f"refused, {reason}": count for reason, count in sorted(self.refused.items())},
        }


@dataclass(frozen=True, slots=True)
class _Look:
    """The last look at the vehicle."""

    now_ms: int
    unix_ms: int
    motion: Motion
    region: str
    cell: str
    channel: Channel


class Radio:
    """The station of one unit.

    Args:
        station: what it says and hears.
        kinds: of messages that it listens to.
        form: how it writes; it reads both.
        tally: counts for the score.
    """

    def __init__(self, station: Station, kinds: Iterable[Kind], form: Format, tally: V2xTally) -> None:
        self.station = station
        self._kinds = tuple(sorted(kinds))
        self._form = form
        self._tally = tally
        self._place: tuple[str, str] | None = None  # region and cell of the subscriptions
        self._subscribed: set[str] = set()
        self._last: _Look | None = None
        self._reported_ms: deque[int] = deque(maxlen=_REPORTS_A_MINUTE)

    def connected(self) -> None:
        """A session began: it has no subscriptions."""
        self._place = None
        self._subscribed.clear()

    def look(self, now_ms: int, unix_ms: int, motion: Motion | None, region: str, channel: Channel) -> None:
        """Send what is due, and follow the vehicle with the subscriptions; at least every 100 ms.

        Args:
            now_ms: of a clock that only goes forward.
            unix_ms: what the unit takes for the time, ms since 1970.
            motion: None: it does not know where it is.
            region: that serves it.
            channel: to its gateway.
        """
        due = self.station.look(now_ms, its_from_unix(unix_ms), motion)
        if motion is None:
            return
        cell = published_cell(motion.lat, motion.lon)
        self._last = _Look(now_ms, unix_ms, motion, region, cell, channel)
        if (region, cell) != self._place:
            self._listen(self._last)
        for message in due:
            self._send(message, self._last)

    def leave(self, now_ms: int) -> None:
        """The unit is about to sleep or stop: take back what others should not believe for longer."""
        if self._last is not None:
            for message in self.station.leave(self._its_ms(now_ms)):
                self._send(message, self._last)

    def signals(self, now_ms: int) -> dict[str, int]:
        """What is reported with a reading: neighbours, and warnings within 1 km."""
        if self._last is None:
            return {}
        here = (self._last.motion.lat, self._last.motion.lon)
        return {
            "v2x_neighbours": len(self.station.ldm.neighbours(now_ms)),
            "v2x_warnings": len(self.station.ldm.warnings(self._its_ms(now_ms), here)),
        }

    def take_reports(self, now_ms: int) -> list[dict[str, float]]:
        """The data of `hazard_heard` events: warnings within 1 km that are new; at most ten a minute.

        `lat` and `lon` are the hazard's, in degrees; `distance` from here, in m; `cause`, `sub_cause`,
        `station` and `sequence_number` are the DENM's.
        """
        if self._last is None:
            return []
        here = (self._last.motion.lat, self._last.motion.lon)
        reports: list[dict[str, float]] = []
        for event in self.station.ldm.take_news(here):
            cause, action = event.denm.cause, event.denm.action_id
            full = len(self._reported_ms) == _REPORTS_A_MINUTE and now_ms - self._reported_ms[0] < _MINUTE_MS
            if cause is None or full:
                continue
            self._reported_ms.append(now_ms)
            reports.append(
                {
                    "lat": event.place[0],
                    "lon": event.place[1],
                    "distance": round(metres(here, event.place), 1),
                    "cause": cause.cause_code,
                    "sub_cause": cause.sub_cause_code,
                    "station": action.originating_station_id,
                    "sequence_number": action.sequence_number,
                }
            )
        return reports

    def heard(self, topic: str, payload: bytes, now_ms: int) -> None:
        """A message of another station, or an own one that came back. What is wrong is counted."""
        if self._last is None:
            return
        try:
            parsed = topics.parse_v2x(topic)
            message = uper.read(parsed, payload)
        except TopicError:
            self._tally.refused[Refusal.TOPIC] += 1
            return
        except (PayloadError, ConfigError):
            self._tally.refused[Refusal.UNREADABLE] += 1
            return
        if self.station.is_own(message):
            return
        refusal = self.station.hear(parsed, message, now_ms, self._its_ms(now_ms))
        if refusal is not None:
            self._tally.refused[refusal] += 1
        elif isinstance(message, Cam):
            self._tally.cams_heard += 1
        else:
            self._tally.denms_heard += 1

    # -- inside -----------------------------------------------------------------------------------

    def _its_ms(self, now_ms: int) -> int:
        assert self._last is not None
        return its_from_unix(self._last.unix_ms + now_ms - self._last.now_ms)

    def _listen(self, here: _Look) -> None:
        wanted = {
            name
            for kind in self._kinds
            for name in heard_filters(here.region, kind, here.motion.lat, here.motion.lon)
        }
        new, old = sorted(wanted - self._subscribed), sorted(self._subscribed - wanted)
        if new and not here.channel.subscribe_nowait([(name, 0) for name in new]):
            return
        self._subscribed |= set(new)
        if old and not here.channel.unsubscribe_nowait(old):
            return
        self._subscribed, self._place = wanted, (here.region, here.cell)

    def _send(self, message: Cam | Denm, here: _Look) -> None:
        as_uper = self._form == "uper"
        kind: Kind = "cam" if isinstance(message, Cam) else "denm"
        topic = publish_topic(here.region, kind, here.cell, message.station_id, uper=as_uper)
        payload = uper.encode(message) if as_uper else codec.encode(message)
        if not here.channel.publish_nowait(topic, payload):
            self._tally.unsent += 1
        elif kind == "cam":
            self._tally.cams_sent += 1
        else:
            self._tally.denms_sent += 1
