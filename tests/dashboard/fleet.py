"""Puts into the database what ingest would: vehicles, presence, readings, ledgers, heartbeats."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

BOOT = UUID(int=0xB007)
MAC = "0" * 64


class Fleet:
    """Writes as the owner of the tables; presence through ingest's own function."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.connection = connection
        self._epochs: dict[str, int] = {}

    async def add(self, *names: str) -> list[int]:
        """Make vehicles; their numbers."""
        rows = await self.connection.fetch(
            "INSERT INTO fleet.vehicle (name, mac) SELECT n, $2 FROM unnest($1::text[]) AS n RETURNING id",
            list(names),
            MAC,
        )
        return [row["id"] for row in rows]

    async def presence(
        self,
        name: str,
        state: str = "online",
        reason: str = "attach",
        *,
        region: str = "helsinki",
        at: datetime | None = None,
        evidence: dict[str, Any] | None = None,
    ) -> int:
        """A change of presence, registered and in the feed; its cursor."""
        at = at or datetime.now(UTC)
        epoch = self._epochs[name] = self._epochs.get(name, 0) + 1
        async with self.connection.transaction():
            vehicle = await self._id(name)
            before = await self.connection.fetchrow(
                "SELECT state, region FROM fleet.registration WHERE vehicle_id = $1", vehicle
            )
            await self.connection.execute(
                """INSERT INTO fleet.registration (vehicle_id, state, reason, since, evidence, deadline,
                    epoch, n, region, address)
                VALUES ($1, $2, $3, $4, '{"kind": "attach"}', $5, $6, 1, $7, '10.1.0.7')
                ON CONFLICT (vehicle_id) DO UPDATE SET state = $2, reason = $3, since = $4, deadline = $5,
                    epoch = $6, region = $7""",
                vehicle,
                state,
                reason,
                at,
                at + timedelta(seconds=75),
                epoch,
                region,
            )
            event = {
                "vehicle_id": vehicle,
                "at": at.isoformat(),
                "state": state,
                "reason": reason,
                "evidence": evidence or {"kind": "attach"},
                "deadline": (at + timedelta(seconds=75)).isoformat(),
                "epoch": epoch,
                "n": 1,
                "region": region,
                "address": "10.1.0.7",
                "previous_state": before["state"] if before else None,
                "previous_region": before["region"] if before else None,
            }
            cursor: int = await self.connection.fetchval(
                "SELECT * FROM fleet.append_presence_events($1)", json.dumps([event])
            )
        return cursor

    async def read(
        self,
        name: str,
        readings: list[dict[str, Any]],
        *,
        boot: UUID = BOOT,
        first_seq: int = 1,
    ) -> None:
        """Readings: each a dictionary of columns, with `time`; `extra` as a dictionary."""
        vehicle = await self._id(name)
        for seq, given in enumerate(readings, start=first_seq):
            row = {"vehicle_id": vehicle, "boot": boot, "seq": seq, "received_at": given["time"], **given}
            if "extra" in row:
                row["extra"] = json.dumps(row["extra"])
            columns = ", ".join(f'"{column}"' for column in row)
            places = ", ".join(f"${index}" for index in range(1, len(row) + 1))
            await self.connection.execute(
                f"INSERT INTO fleet.telemetry ({columns}) VALUES ({places})", *row.values()
            )

    async def latest(self, name: str, time: datetime, lat: float, lon: float, **signals: Any) -> None:
        """What is latest of a vehicle; each signal measured at `time`."""
        ms = int(time.timestamp() * 1000)
        kept = {key: {"v": value, "t": ms} for key, value in {"lat": lat, "lon": lon, **signals}.items()}
        await self.connection.execute(
            """INSERT INTO fleet.vehicle_latest (vehicle_id, time, position_time, lat, lon, heading, speed,
                signals, keys_hash)
            VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (vehicle_id) DO UPDATE SET time = $2, position_time = $2, lat = $3, lon = $4,
                heading = $5, speed = $6, signals = $7, keys_hash = $8""",
            await self._id(name),
            time,
            lat,
            lon,
            signals.get("heading"),
            signals.get("speed"),
            json.dumps(kept),
            zlib.crc32(" ".join(sorted(kept)).encode()),
        )

    async def ledger(self, name: str, boot: UUID = BOOT, **columns: Any) -> None:
        """A ledger row; multiranges as PostgreSQL writes them."""
        row = {"vehicle_id": await self._id(name), "boot": boot, **columns}
        casts = {"received", "evicted", "quarantined", "dead"}
        places = ", ".join(
            f"${index}::text::int8multirange" if column in casts else f"${index}"
            for index, column in enumerate(row, start=1)
        )
        await self.connection.execute(
            f"INSERT INTO fleet.ledger ({', '.join(row)}) VALUES ({places})", *row.values()
        )

    async def heartbeat(self, region: str = "helsinki", *, age_s: float = 0, storing: bool = True) -> None:
        """A gateway's heartbeat, `age_s` seconds old."""
        await self.connection.execute(
            """INSERT INTO fleet.gateway (region, heartbeat_at, storing, lag_s, address_pool, started_at)
            VALUES ($1, now() - $2 * interval '1 second', $3, 0.2, '10.1.0.0/16', now() - interval '1 hour')
            ON CONFLICT (region) DO UPDATE
            SET heartbeat_at = excluded.heartbeat_at, storing = excluded.storing""",
            region,
            age_s,
            storing,
        )

    async def region(self, name: str, url: str, cells: list[str]) -> None:
        """A region's entry in the directory."""
        await self.connection.execute(
            "INSERT INTO fleet.region (name, url, cells) VALUES ($1, $2, $3)", name, url, cells
        )

    async def _id(self, name: str) -> int:
        number: int = await self.connection.fetchval("SELECT id FROM fleet.vehicle WHERE name = $1", name)
        return number
