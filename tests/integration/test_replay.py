"""A trace through the whole platform: every reading once, whatever is killed, on each kind of database."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path
from typing import Any

import pytest

from tests.postgres_servers import TimescaleServer, fresh_database
from tests.running_platform import RunningPlatform, running_platform, until

pytestmark = pytest.mark.integration

VEHICLES = 20
SECONDS = 120


def write_fcd(path: Path, *, vehicles: int = VEHICLES, seconds: int = SECONDS, seed: int = 1) -> int:
    """A SUMO FCD file: vehicles that come and go at 1 Hz. Returns how many readings it holds."""
    rng = random.Random(seed)
    spans = []
    for number in range(vehicles):
        first = rng.randrange(seconds // 2)
        spans.append((f"flow_{number}", first, rng.randrange(first + 5, seconds + 1)))
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<fcd-export>"]
    count = 0
    for second in range(seconds):
        lines.append(f'  <timestep time="{second}.00">')
        for number, (name, first, last) in enumerate(spans):
            if first <= second < last:
                x, y = 11.3 + number * 1e-3 + second * 1e-4, 44.4 + second * 1e-5
                lines.append(
                    f'    <vehicle id="{name}" x="{x:.6f}" y="{y:.6f}" angle="83.5" type="car" speed="8.25" '
                    f'pos="1.0" lane="a_0" slope="0.00"/>'
                )
                count += 1
        lines.append("  </timestep>")
    lines.append("</fcd-export>")
    path.write_text("\n".join(lines))
    return count


def stored(platform: RunningPlatform) -> list[dict[str, Any]]:
    """Every reading of every vehicle."""
    readings: list[dict[str, Any]] = []
    for vehicle in platform.items("/api/v1/vehicles", limit=500):
        readings += platform.items(f"/api/v1/vehicles/{vehicle['id']}/telemetry", limit=5000)
    return readings


def check_delivery(platform: RunningPlatform) -> None:
    for vehicle in platform.items("/api/v1/vehicles", limit=500):
        delivery = platform.get(f"/api/v1/vehicles/{vehicle['id']}/delivery")
        assert (delivery["gaps"], delivery["unexplained"]) == ([], 0), vehicle["id"]


def check_each_once(readings: list[dict[str, Any]], expected: int) -> None:
    keys = {(reading["vehicle"], reading["boot"], reading["seq"]) for reading in readings}
    assert (len(readings), len(keys)) == (expected, expected)
    assert {round(reading["signals"]["speed"], 6) for reading in readings} == {29.7}  # 8.25 m/s


def test_every_reading_is_stored_once_though_ingest_and_broker_are_killed(
    platform: RunningPlatform, tmp_path: Path
) -> None:
    count = write_fcd(tmp_path / "day.fcd.xml")
    replay = platform.start("sim", "replay", str(tmp_path / "day.fcd.xml"), "--speed", "10", "--json")
    until(lambda: platform.states().get("online", 0) > VEHICLES // 3, what="under way")
    for service in ("ingest", "broker", "ingest", "broker"):
        platform.kill(service)
    printed, errors = replay.communicate(timeout=90)
    assert replay.returncode == 0, printed + errors
    check_each_once(stored(platform), count)
    until(lambda: platform.states() == {"offline": VEHICLES}, what="all said goodbye")
    for vehicle in list(platform.items("/api/v1/vehicles"))[:3]:
        assert platform.run("query", "gaps", vehicle["id"]).returncode == 0
    check_delivery(platform)


def test_the_tiers_hold_equal_rows_and_give_equal_answers(
    tmp_path: Path, timescale_server: TimescaleServer
) -> None:
    count = write_fcd(tmp_path / "day.fcd.xml", vehicles=8, seconds=60, seed=2)
    plain = replayed(tmp_path / "plain", tmp_path / "day.fcd.xml", count)
    with fresh_database(timescale_server, empty=True) as database:  # `up` makes the schema
        environment = {"FLEETCELL_DASHBOARD_DSN": database.dashboard}
        arguments = ("--dsn", database.owner)
        timescale = replayed(
            tmp_path / "timescale", tmp_path / "day.fcd.xml", count, *arguments, **environment
        )
    assert plain == timescale


def replayed(data: Path, trace: Path, count: int, *arguments: str, **environment: str) -> dict[str, Any]:
    """Replay the trace into a new platform; what it answers."""
    with running_platform(data, "--no-sim", *arguments, **environment) as platform:
        ended = platform.run("sim", "replay", str(trace), "--speed", "max")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        readings = stored(platform)
        check_each_once(readings, count)
        check_delivery(platform)
        return comparable(platform, readings)


def comparable(platform: RunningPlatform, readings: list[dict[str, Any]]) -> dict[str, Any]:
    """What must be equal in two runs: all but times of arrival, boots and the time of the replay."""
    rows = sorted((r["vehicle"], r["seq"], sorted(r["signals"].items())) for r in readings)
    buckets = {}
    exported = {}
    for vehicle in platform.items("/api/v1/vehicles"):
        path = f"/api/v1/vehicles/{vehicle['id']}/telemetry"
        found = list(platform.items(path, bucket="1d", signals="speed,lat", agg="min,max"))
        buckets[vehicle["id"]] = sum(bucket["count"] for bucket in found)
        text = platform.ask("GET", path, params={"format": "csv"}).text
        exported[vehicle["id"]] = [(row["seq"], row["lat"]) for row in csv.DictReader(io.StringIO(text))]
    return {"rows": rows, "buckets": buckets, "csv": exported}
