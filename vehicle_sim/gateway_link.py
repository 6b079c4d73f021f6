"""A unit's connection to one gateway. Who it works for may change: that is what a handover is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from fleetcell.contract import topics
from fleetcell.contract.addresses import address_in
from fleetcell.contract.topics import Channel
from fleetcell.mqtt import Backoff, Message, MqttBridge, NotConnectedError, TlsOptions, Will
from vehicle_sim.delivery import DeliveryPolicy
from vehicle_sim.roaming import RoamingPolicy
from vehicle_sim.unit import PresencePolicy

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from fleetcell.contract.messages import RegionEntry
    from fleetcell.mqtt.wire import Connect
    from vehicle_sim.links.transport import Modem
    from vehicle_sim.truth.meter import Meter


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How the units of one run reach the platform.

    broker_url, region: the gateway where a unit begins, unless the directory knows a better one.
    directory: the regions, as far as they are known before a gateway tells.
    roams: whether units go by the directory; otherwise they stay where they began.
    modem: of one unit, when it is on a simulated cellular link.
    meter: counts what passes, for the score.
    """

    broker_url: str
    region: str
    directory: dict[str, RegionEntry] | None = None
    roams: bool = True
    tls: TlsOptions = field(default_factory=TlsOptions)
    presence: PresencePolicy = field(default_factory=PresencePolicy)
    delivery: DeliveryPolicy = field(default_factory=DeliveryPolicy)
    roaming: RoamingPolicy = field(default_factory=RoamingPolicy)
    backoff: Backoff = field(default_factory=Backoff)
    modem: Modem | None = None
    meter: Meter | None = None

    def connect(self) -> Connect | None:
        """How to get connections; None: as the event loop gives them."""
        connect = None if self.modem is None else self.modem.connect
        return connect if self.meter is None else self.meter.around(connect)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where a unit connects; `address` is its own, from the region's pool."""

    region: str
    url: str
    address: str | None = None

    @classmethod
    def of(cls, region: str, entry: RegionEntry, vehicle: str) -> Gateway:
        """The gateway of a region of the directory, for one vehicle.

        Raises:
            ConfigError: the entry's address pool is none.
        """
        pool = entry.address_pool
        return cls(region, entry.url, None if pool is None else address_in(pool, vehicle))


class Owner(Protocol):
    """What a link tells; all of it on the event loop."""

    async def prepare(self) -> None:
        """Awaited before each CONNECT; raises OSError, then there is none."""

    def will(self, topic: str, /) -> Will:
        """Asked before each CONNECT; the vehicle's presence topic at this gateway."""

    def connected(self) -> None:
        """The broker accepted the connection and the subscriptions."""

    def lost(self, reason: str, /) -> None:
        """The session ended; the link makes another, unless it was closed."""

    def receive(self, message: Message, /) -> None:
        """A message came."""


class Link:
    """One vehicle's connection to one gateway.

    Args:
        gateway: which.
        vehicle: its id, also its client id and user name at the broker.
        secret: its password.
        options: how the platform is reached.
        rng: for jitter.
        owner: whom it tells; may be set anew at any time.
    """

    def __init__(
        self,
        gateway: Gateway,
        vehicle: str,
        secret: str,
        options: LinkOptions,
        rng: random.Random,
        owner: Owner,
    ) -> None:
        self.gateway = gateway
        self.owner = owner
        self._vehicle = vehicle
        self._meter = options.meter
        filters = [*topics.unit_filters(gateway.region, vehicle), topics.DIRECTORY_TOPIC]
        self.bridge = MqttBridge(
            gateway.url,
            client_id=vehicle,
            username=vehicle,
            password=secret,
            keep_alive=options.presence.keep_alive_s,
            subscriptions=[(name, 1) for name in filters],
            receive=self._receive,
            prepare=self._prepare,
            will=self._will,
            on_connect=self._connected,
            on_disconnect=self._lost,
            backoff=options.backoff,
            tls=options.tls,
            rng=rng,
            source=gateway.address,
            connect=options.connect(),
        )

    def topic(self, channel: Channel) -> str:
        """A topic of the vehicle at this gateway."""
        return topics.vehicle_topic(self.gateway.region, self._vehicle, channel)

    def publish(self, channel: Channel, payload: bytes) -> bool:
        """Publish at QoS 1, without waiting; False where the link does not take it."""
        try:
            return self.publish_nowait(self.topic(channel), payload, qos=1)
        except NotConnectedError:
            return False

    # As those of the bridge, and counted.

    def publish_nowait(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> bool:
        taken = self.bridge.publish_nowait(topic, payload, qos=qos, retain=retain)
        if taken and self._meter is not None:
            self._meter.published(len(payload))
        return taken

    def subscribe_nowait(self, subscriptions: Sequence[tuple[str, int]]) -> bool:
        return self.bridge.subscribe_nowait(subscriptions)

    def unsubscribe_nowait(self, filters: Sequence[str]) -> bool:
        return self.bridge.unsubscribe_nowait(filters)

    # The owner is looked up each time: it may be another one by then.

    async def _prepare(self) -> None:
        await self.owner.prepare()

    def _will(self) -> Will:
        return self.owner.will(self.topic(Channel.PRESENCE))

    async def _connected(self) -> None:
        self.owner.connected()

    def _lost(self, reason: str) -> None:
        self.owner.lost(reason)

    def _receive(self, message: Message) -> None:
        if self._meter is not None:
            self._meter.received(len(message.payload))
        self.owner.receive(message)
