"""What tests of ingest make messages with."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from fleetcell.contract.messages import Sample, Telemetry, encode
from fleetcell.contract.topics import Channel, VehicleTopic
from ingest.inbox import Arrival

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.database import Connection

REGION = "helsinki"
NOW_US = time.time_ns() // 1_000_000 * 1000  # whole milliseconds, as on the wire


def new_boot() -> str:
    return secrets.token_hex(16)


def sample(seq: int, time_us: int | None = None, /, **signals: Any) -> Sample:
    """A reading; by default one a second, the last of them now."""
    moment = NOW_US - 1_000_000 if time_us is None else time_us
    return Sample(seq, moment // 1000, signals or {"speed": float(seq % 100)})


def telemetry(
    boot: str, samples: Iterable[Sample], *, epoch: int = 1, evicted: list[tuple[int, int]] | None = None
) -> bytes:
    return encode(Telemetry(boot, epoch, list(samples), evicted))


def topic(vehicle: str, channel: Channel = Channel.TELEMETRY) -> VehicleTopic:
    return VehicleTopic(REGION, vehicle, channel)


def arrival(
    vehicle: str, payload: bytes, channel: Channel = Channel.TELEMETRY, received_us: int = NOW_US
) -> Arrival:
    return Arrival(topic(vehicle, channel), payload, received_us)


async def provision(connection: Connection, *names: str) -> dict[str, int]:
    """Vehicles as the dashboard makes them; their ids by name."""
    await connection.fetch("SELECT * FROM api.provision($1, $2)", list(names), ["0" * 64] * len(names))
    rows = await connection.fetch("SELECT id, name FROM fleet.vehicle WHERE name = ANY ($1)", list(names))
    return {row["name"]: row["id"] for row in rows}
