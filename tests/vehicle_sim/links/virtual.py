"""Drives a link in virtual time."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from vehicle_sim.links.air import Direction
from vehicle_sim.links.line import Delivery
from vehicle_sim.links.link import Link
from vehicle_sim.links.profiles import Profile
from vehicle_sim.links.recorded import FreeAir

if TYPE_CHECKING:
    from collections.abc import Iterable

QUIET = Profile(about="nothing but what a test asks for")


class SteadyAir(FreeAir):
    """So many bytes a second in each direction, and none between `gap`'s ends."""

    def __init__(self, up: float, down: float, gap: tuple[float, float] = (math.inf, math.inf)) -> None:
        self._steady = (up, down)
        self._gap = gap

    def rate(self, direction: Direction, t: float) -> tuple[float, float]:
        begin, end = self._gap
        if t < begin:
            return self._steady[direction], begin
        return (0.0, end) if t < end else (self._steady[direction], math.inf)


def quiet_link(air: FreeAir | None = None, seed: int = 1, **changes: object) -> Link:
    """A link without delay, loss or states, but for these fields of its profile."""
    return Link(replace(QUIET, **changes), air or FreeAir(), seed)  # type: ignore[arg-type]  # any field


def bulk(link: Link, direction: Direction, begin: float, end: float) -> list[Delivery]:
    """Keep the queue of one connection full from `begin` to `end`; what arrived by then."""
    flow = link.open(begin)
    now, arrived = begin, []
    while now < end:
        while link.waiting(direction) < 200_000:
            link.send(direction, flow, bytes(14_600), now)
        now = min(end, max(now + 0.005, min(link.due, now + 0.5)))
        arrived += link.advance(now)
    return arrived


def size(deliveries: Iterable[Delivery]) -> int:
    """Bytes on the air, headers included."""
    return sum(len(d.data) + 40 for d in deliveries if isinstance(d.data, bytes))


def run_out(link: Link, until: float = math.inf) -> list[Delivery]:
    """Advance whenever the link asks for it, until it asks no more, or `until`."""
    arrived = []
    while (due := link.due) < until:
        arrived += link.advance(due)
    return arrived
