"""What a silent gateway makes of its vehicles' past: nobody knew, and the API says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.dashboard.conftest import Running

MINUTE = timedelta(minutes=1)


async def known_at_once(running: Running) -> None:
    """As if each change had been known when it became so."""
    await running.fleet.connection.execute("UPDATE fleet.presence_event SET learned_at = at")


async def asked(running: Running, vehicle: str, **when: datetime) -> dict[str, Any]:
    """What the API says of a vehicle at a time."""
    params = {name: moment.isoformat() for name, moment in when.items()}
    answer = await running.api.get(f"/api/v1/vehicles/{vehicle}/presence", params=params)
    item: dict[str, Any] = answer.json()["items"][0]
    return item


async def test_while_a_gateway_is_silent_nothing_is_known_since_its_last_heartbeat(running: Running) -> None:
    fleet, now = running.fleet, datetime.now(UTC)
    await fleet.add("car", "parked")
    await fleet.presence("car", at=now - 60 * MINUTE)
    await fleet.presence("parked", "asleep", "sleep", at=now - 60 * MINUTE)
    await known_at_once(running)
    await fleet.heartbeat(age_s=30 * 60)
    assert (await asked(running, "car", as_of=now - 40 * MINUTE))["state"] == "online"
    believed = await asked(running, "car", as_of=now - 20 * MINUTE)
    assert (believed["state"], believed["reason"], believed["deadline"]) == ("unknown", "gateway", None)
    assert believed["evidence"]["registered"]["state"] == "online"
    since = datetime.fromisoformat(believed["at"])
    assert abs(since - (now - 30 * MINUTE)) < MINUTE / 2, "since the last heartbeat"
    assert datetime.fromisoformat(believed["learned_at"]) - since == timedelta(seconds=10)
    assert (await asked(running, "car", valid_at=now - 20 * MINUTE))["state"] == "unknown"
    assert (await asked(running, "car", valid_at=now - 40 * MINUTE))["state"] == "online"
    assert (await asked(running, "parked", as_of=now - 20 * MINUTE))["state"] == "unknown", "as it was shown"
    assert (await asked(running, "parked", valid_at=now - 20 * MINUTE))["state"] == "asleep", (
        "it need not speak"
    )


async def test_uptime_counts_the_silence_as_unknown_while_it_lasts_and_after(running: Running) -> None:
    fleet, now = running.fleet, datetime.now(UTC)
    await fleet.add("car")
    await fleet.presence("car", at=now - 60 * MINUTE)
    await known_at_once(running)
    await fleet.heartbeat(age_s=30 * 60)

    async def uptime(view: str) -> dict[str, float]:
        answer = await running.api.get("/api/v1/vehicles/car/presence", params={"view": view})
        return {
            state: round(spent / 60) for state, spent in answer.json()["uptime"]["seconds"].items() if spent
        }

    assert await uptime("at") == await uptime("learned_at") == {"online": 30, "unknown": 30}
    connection = fleet.connection
    # The gateway came back ten minutes ago, as its heartbeat and its register write it.
    await connection.execute(
        "INSERT INTO fleet.gateway_silence (region, since, until) VALUES ('helsinki', $1, $2)",
        now - 30 * MINUTE,
        now - 10 * MINUTE,
    )
    await fleet.heartbeat()
    await fleet.presence("car", "unknown", "gateway", at=now - 30 * MINUTE)
    await fleet.presence("car", "online", "update", at=now - 10 * MINUTE)
    await known_at_once(running)
    await connection.execute(
        "UPDATE fleet.presence_event SET learned_at = $1 WHERE state = 'unknown'", now - 10 * MINUTE
    )
    assert await uptime("at") == await uptime("learned_at") == {"online": 40, "unknown": 20}
    assert (await asked(running, "car", as_of=now - 20 * MINUTE))["state"] == "unknown"
    assert (await asked(running, "car", as_of=now - 5 * MINUTE))["state"] == "online"
