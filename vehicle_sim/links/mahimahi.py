"""Delivery-opportunity traces as mahimahi's mm-link reads them.

A line is a whole number of milliseconds since the beginning; at that moment 1500 bytes may pass. The same
number on several lines means several packets. At its end the trace begins again, so that its last number
is its period (mm-link(1), "DESCRIPTION"; Netravali et al., USENIX ATC 2015). One file is one direction.

An opportunity is taken as a rate of 1500 bytes a millisecond during that millisecond. mm-link lets all
1500 pass at its beginning, so a packet is here up to 1 ms later, and one that comes within the
millisecond still finds what is left of it.
"""

from __future__ import annotations

import gzip
import zlib
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vehicle_sim.links.errors import LinkError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

OPPORTUNITY_BYTES: Final = 1500
_NEAR: Final = 1e-6  # of a millisecond: what adding up seconds may cost


@dataclass(frozen=True, slots=True)
class Opportunities:
    """One direction of a trace. `bins[i]` is a millisecond of the period with `counts[i]` opportunities."""

    bins: array[int]
    counts: array[int]
    period_ms: int

    def rate(self, t_s: float) -> tuple[float, float]:
        """(bytes a second, until when) at `t_s` seconds into the endlessly repeated trace."""
        ms = int(t_s * 1000.0 + _NEAR)
        turn, place = divmod(ms, self.period_ms)
        i = bisect_left(self.bins, place)
        if i < len(self.bins) and self.bins[i] == place:
            return self.counts[i] * OPPORTUNITY_BYTES * 1000.0, (ms + 1) / 1000.0
        following = self.bins[i] if i < len(self.bins) else self.period_ms + self.bins[0]
        return 0.0, (turn * self.period_ms + following) / 1000.0

    @property
    def mean_rate(self) -> float:
        """Bytes a second over the whole period."""
        return sum(self.counts) * OPPORTUNITY_BYTES * 1000.0 / self.period_ms


def read(path: Path) -> Opportunities:
    """Read a trace, plain or gzipped.

    Raises:
        LinkError: it cannot be read, is damaged, has no line, or a line is no number or goes back.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LinkError(f"{path}: cannot be read: {error.strerror or error}") from error
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise LinkError(f"{path}: the file is cut off or damaged: {error}") from error
    return parse(str(path), data.splitlines())


def parse(name: str, lines: Iterable[bytes]) -> Opportunities:
    """As `read`, from lines."""
    times = array("Q")
    last = 0
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text.isdigit() or len(text) > 12:  # 12 digits: 30 years
            shown = line[:40].decode("utf-8", "replace")
            raise LinkError(f"{name}:{number}: {shown!r} is no whole number of milliseconds")
        ms = int(text)
        if ms < last:
            raise LinkError(f"{name}:{number}: {ms} ms comes after {last} ms: times must not go back")
        times.append(ms)
        last = ms
    if last == 0:
        raise LinkError(f"{name}: no delivery opportunity after 0 ms in it")
    return _fold(times, last)


def _fold(times: array[int], period_ms: int) -> Opportunities:
    """Count the opportunities of each millisecond; the last one falls together with the next beginning."""
    found: dict[int, int] = {}
    for ms in times:
        place = ms % period_ms
        found[place] = found.get(place, 0) + 1
    bins = array("Q", sorted(found))
    return Opportunities(bins, array("L", (found[place] for place in bins)), period_ms)
