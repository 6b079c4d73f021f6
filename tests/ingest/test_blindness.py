"""Blindness is not absence: what was not heard because nobody listened makes nobody offline."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from fleetcell.contract.messages import Claim, ClaimKind, PresenceState, encode
from fleetcell.contract.topics import Channel, vehicle_topic
from fleetcell.mqtt import Message
from ingest import registrar
from ingest.pager import paging_s
from tests.ingest.platform import Platform
from tests.ingest.units import NOW_US, REGION, new_boot, provision, sample, telemetry

if TYPE_CHECKING:
    from ingest.database import Connection

HOUR = timedelta(hours=1)
PAGED = 300
HEARTBEAT = """
    INSERT INTO fleet.gateway (region, heartbeat_at, storing, started_at)
    VALUES ($1, now() - $2::interval, true, now() - 2 * $2::interval)
    ON CONFLICT (region) DO UPDATE SET heartbeat_at = excluded.heartbeat_at RETURNING heartbeat_at
"""


async def an_hour_passes(connection: Connection) -> datetime:
    """As if all of this had been an hour ago; when ingest was heard of last."""
    await connection.execute(
        "UPDATE fleet.registration SET since = since - $1::interval, deadline = deadline - $1::interval", HOUR
    )
    await connection.execute(
        "UPDATE fleet.presence_event SET at = at - $1::interval, learned_at = learned_at - $1::interval", HOUR
    )
    heard: datetime = await connection.fetchval(HEARTBEAT, REGION, HOUR)
    return heard


async def test_deadlines_that_passed_while_ingest_was_dead_expire_nobody(
    platform: Platform, connection: Connection
) -> None:
    car, bus, tram, van = [await platform.unit(name) for name in ("car", "bus", "tram", "van")]
    for unit in (car, bus, tram, van):
        await unit.attach()
    await tram.claim(ClaimKind.SLEEP, sleep_s=7200)
    await platform.history("tram", ["online (attach)", "asleep (sleep)"])
    await van.claim(ClaimKind.SLEEP, sleep_s=600)
    await platform.history("van", ["online (attach)", "asleep (sleep)"])
    await bus.vanish()
    await platform.becomes(
        connection, "SELECT bool_or(state IN ('suspect', 'offline')) FROM fleet.registration"
    )
    await platform.kill_service()
    before = await connection.fetch("SELECT state, reason FROM fleet.presence_event ORDER BY cursor")
    heard = await an_hour_passes(connection)
    car.forget()
    await platform.start_service()
    await car.raw(Channel.PAGE)
    await car.claim(ClaimKind.UPDATE)
    await platform.history("car", ["online (attach)", "unknown (gateway)", "online (update)"])
    await platform.history("tram", ["online (attach)", "asleep (sleep)"])
    await platform.history("van", ["online (attach)", "asleep (sleep)", "unknown (gateway)"])
    after = await connection.fetch("SELECT state, reason FROM fleet.presence_event ORDER BY cursor")
    assert {row["state"] for row in after[len(before) :]} == {"unknown", "online"}
    unknown = await connection.fetchrow(
        "SELECT at, learned_at FROM api.presence_events WHERE vehicle = 'car' AND state = 'unknown'"
    )
    assert unknown is not None
    assert abs(unknown["at"] - heard) < HOUR / 60, "since the last heartbeat nobody heard"
    assert unknown["learned_at"] - unknown["at"] > HOUR / 2


async def test_readings_settle_a_vehicle_and_the_evidence_says_when_they_were_measured(
    platform: Platform, connection: Connection
) -> None:
    car = await platform.unit("car")
    await car.attach()
    await platform.kill_service()
    await platform.start_service()
    await platform.history("car", ["online (attach)", "unknown (gateway)"])
    await car.send(
        Channel.TELEMETRY, telemetry(new_boot(), [sample(1, NOW_US), sample(2, NOW_US - 9_000_000)])
    )
    await platform.history("car", ["online (attach)", "unknown (gateway)", "online (telemetry)"])
    evidence = json.loads(await connection.fetchval("SELECT evidence FROM fleet.registration"))
    assert round(datetime.fromisoformat(evidence["measured"]).timestamp() * 1000) == NOW_US // 1000
    assert datetime.fromisoformat(evidence["heard"]) > datetime.fromisoformat(evidence["measured"])


async def test_a_will_before_a_vehicle_has_spoken_leaves_it_unknown(
    platform: Platform, connection: Connection
) -> None:
    car = await platform.unit("car")
    await car.attach()
    await platform.kill_service()
    await platform.start_service()
    await platform.history("car", ["online (attach)", "unknown (gateway)"])
    await car.vanish()  # as a broker that stops would have it
    await platform.becomes(connection, "SELECT lost FROM fleet.registration")
    await platform.history("car", ["online (attach)", "unknown (gateway)"])
    await car.connect()
    assert (await car.attach()).state is PresenceState.ONLINE


async def test_a_will_that_comes_after_the_vehicle_is_back_changes_nothing(platform: Platform) -> None:
    car = await platform.unit("car")
    await car.attach()
    await car.vanish()
    await platform.stop_broker()
    await platform.start_broker()
    service = platform.service
    assert service is not None
    await asyncio.wait_for(service.registrar.wait_hearing(), 60)
    await car.connect()
    await car.attach()
    late = Claim(ClaimKind.DETACH, car.epoch - 1, datetime.now(UTC), reason="lost")
    await car.send(Channel.PRESENCE, encode(late))
    assert (await car.attach()).state is PresenceState.ONLINE


async def test_claims_that_there_was_no_room_for_count_as_blindness(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrar, "CLAIM_LIMIT", 1)
    units = [await platform.unit(name) for name in ("car", "bus")]
    for unit in units:
        await unit.attach()
        unit.forget()
    service = platform.service
    assert service is not None
    for unit in units:  # both before the registrar has a turn
        claim = Claim(ClaimKind.UPDATE, unit.epoch, datetime.now(UTC), n=9)
        topic = vehicle_topic(REGION, unit.name, Channel.PRESENCE)
        service.registrar.receive(Message(topic, encode(claim), 1, retain=False))
    for unit in units:
        await unit.raw(Channel.PAGE)
        await platform.history(unit.name, ["online (attach)", "unknown (gateway)"])


async def test_whoever_was_online_is_paged_once(platform: Platform, connection: Connection) -> None:
    await platform.stop_service()
    await provision(connection, *(f"car-{number}" for number in range(PAGED)))
    await connection.execute(
        "INSERT INTO fleet.registration (vehicle_id, state, reason, since, epoch, n, region, deadline)"
        " SELECT id, 'online', 'attach', created_at, 1, 1, $1, now() - interval '1 hour' FROM fleet.vehicle",
        REGION,
    )
    pages: list[bytes] = []

    def paged(payload: bytes) -> None:
        if b"nonce" in payload:  # ingest also tries there whether the broker has shared subscriptions
            pages.append(payload)

    async with platform.watch(f"fleet/v1/{REGION}/+/page", paged):
        await platform.start_service()
        await platform.until(lambda: len(pages) >= PAGED, timeout_s=60)
    assert len(set(pages)) == len(pages) == PAGED, "each page has a nonce of its own"


def test_paging_takes_half_an_update_interval_at_most() -> None:
    assert paging_s(PAGED, 60) == 1.5
    assert paging_s(100_000, 60) == 30


async def test_who_was_revoked_is_offline_and_nothing_more_is_heard_of_it(
    platform: Platform, connection: Connection
) -> None:
    car = await platform.unit("car")
    await car.attach()
    car.not_again()
    await connection.execute("SELECT api.revoke('car')")
    await platform.history("car", ["online (attach)", "offline (revoked)"])
    await car.disconnect()
    bus = await platform.unit("bus")
    await bus.attach()
    await platform.history("car", ["online (attach)", "offline (revoked)"])
