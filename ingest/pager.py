"""Pages: asks vehicles to speak up, spread out so that their answers do not come all at once."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from fleetcell.contract.messages import Page, encode
from fleetcell.contract.topics import Channel, vehicle_topic

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection

    from fleetcell.mqtt import MqttBridge

PAGES_PER_S: Final = 200.0


def paging_s(vehicles: int, update_interval_s: float) -> float:
    """Over how many seconds so many vehicles are paged: they are to settle within one update interval."""
    return min(vehicles / PAGES_PER_S, update_interval_s / 2)


class Pager:
    """Pages the vehicles of a region.

    Args:
        region: whose vehicles.
        update_interval_s: the fleet-wide one.
        bridge: the registrar's connection; None while there is none.
        here: the vehicles that are known to be online by now: they have spoken.
        rng: for the jitter.
    """

    def __init__(
        self,
        region: str,
        update_interval_s: float,
        bridge: Callable[[], MqttBridge | None],
        here: Collection[str],
        rng: random.Random,
    ) -> None:
        self._region = region
        self._update_interval_s = update_interval_s
        self._bridge = bridge
        self._here = here
        self._rng = rng

    def page(self, vehicles: Collection[str], among: int = 0) -> None:
        """Page them all, each at a time of its own; `among`: of so many, the others being paged as well."""
        spread = paging_s(max(among, len(vehicles)), self._update_interval_s)
        loop = asyncio.get_running_loop()
        for vehicle in vehicles:
            loop.call_later(self._rng.uniform(0, spread), self._page, vehicle)

    def _page(self, vehicle: str) -> None:
        bridge = self._bridge()
        if vehicle not in self._here and bridge is not None:
            topic = vehicle_topic(self._region, vehicle, Channel.PAGE)
            bridge.publish_nowait(topic, encode(Page(secrets.token_hex(8))), qos=1)
