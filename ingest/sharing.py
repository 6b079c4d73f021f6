"""How several ingest workers of a region share its telemetry, and what a broker lacks for it.

Where the broker knows `$share`, each message goes to one of the workers. Where it does not, the worker that
is the registrar takes all of it and the others stand by. Presence is the registrar's alone in any case.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final, Literal, Protocol

import structlog

from fleetcell.contract.errors import NotConnectedError
from fleetcell.contract.topics import Channel, share, telemetry_filters, vehicle_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fleetcell.mqtt import Message, MqttBridge

log = structlog.get_logger()

GROUP: Final = "fleetcell-ingest"
LATER_S: Final = 0.5  # what was published first may come that much after what was published second
ANSWER_S: Final = 10.0

Sharing = Literal["auto", "on", "off"]
Subscriptions = list[tuple[str, int]]


class Connect(Protocol):
    """Makes a connection to the region's broker."""

    def __call__(
        self,
        name: str,
        subscriptions: Sequence[tuple[str, int]],
        optional: Sequence[tuple[str, int]],
        receive: Callable[[Message], None],
    ) -> MqttBridge:
        """A bridge that is not running yet."""


def shared_filters(region: str) -> list[str]:
    """The telemetry side's filters, shared among the region's workers."""
    return [share(GROUP, topic_filter) for topic_filter in telemetry_filters(region)]


async def decide(sharing: Sharing, region: str, connect: Connect) -> bool:
    """Whether the workers share telemetry; waits until there is a broker, and says what is missing."""
    if sharing == "on":
        return True
    if sharing == "auto" and await has_share(region, connect):
        return True
    why = "as set" if sharing == "off" else "the broker has no $share"
    log.warning(
        "telemetry is not shared: the registrar's worker takes all of it, others stand by",
        region=region,
        reason=why,
    )
    return False


async def has_share(region: str, connect: Connect) -> bool:
    """Whether `$share` works: some brokers refuse it, one grants it and delivers nothing.

    Two messages to topics of a vehicle that does not exist: one shared, and one to know when to stop waiting.
    """
    probe = f"probe-{secrets.token_hex(8)}"
    by_share, plain = (vehicle_topic(region, f"{probe}-{n}", Channel.PAGE) for n in (1, 2))
    shared_filter = share(probe, by_share)
    came = {by_share: asyncio.Event(), plain: asyncio.Event()}
    bridge = connect("probe", [(plain, 1)], [(shared_filter, 1)], lambda message: came[message.topic].set())
    running = asyncio.create_task(bridge.run())
    try:
        while True:
            await bridge.wait_connected()
            if shared_filter in bridge.missing:
                return False
            try:
                return await _comes(bridge, came)
            except NotConnectedError:
                continue
    finally:
        await bridge.disconnect()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _comes(bridge: MqttBridge, came: dict[str, asyncio.Event]) -> bool:
    """Whether the first message comes, if not much later than the second."""
    (by_share, first), (plain, second) = came.items()
    try:
        async with asyncio.timeout(ANSWER_S):
            await bridge.publish(by_share, b"{}", qos=1)
            await bridge.publish(plain, b"{}", qos=1)
            await second.wait()
        async with asyncio.timeout(LATER_S):
            await first.wait()
    except TimeoutError:
        return False
    return True
