"""What the benchmark of the simulator reports, and that it runs."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import msgspec
import pytest

from benchmarks import sim
from benchmarks._sim_gateway import AGE_STEP_S
from benchmarks._sim_gateway import Figures as Came
from benchmarks._sim_roads import write_town
from benchmarks._sim_worker import Figures, Job, share_of
from vehicle_sim import roads

if TYPE_CHECKING:
    from pathlib import Path

JOB = Job(
    broker_url="ws://nowhere/mqtt",
    secret="none",
    folder="none",
    roads="none",
    link="lte",
    vehicles=10,
    parked=0.0,
    rate_hz=1.0,
    batch_s=4.0,
    seed=1,
)


@pytest.mark.parametrize("workers", [1, 2, 3, 10, 12])
def test_the_shares_of_all_workers_are_the_fleet(workers: int) -> None:
    jobs = [msgspec.structs.replace(JOB, worker=number, workers=workers) for number in range(workers)]
    shares = [share_of(job) for job in jobs]
    assert sorted(name for share in shares for name in share) == sorted(share_of(JOB))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_ages_of_batches() -> None:
    came = Came(batches=100, ages={0: 50, 399: 49, 900: 1})
    assert came.age_s(0.5) == AGE_STEP_S
    assert came.age_s(0.99) == pytest.approx(4.0)
    assert came.age_s(1.0) == pytest.approx(9.01)
    assert Came().age_s(0.99) == 0.0


def test_figures_are_of_the_measured_time_and_of_all_workers() -> None:
    empty = [Figures(at=0.0, cpu_s=1.0, rss_bytes=50_000)] * 2
    began = [Figures(at=10.0, cpu_s=4.0, rss_bytes=70_000, made=100)] * 2
    ended = [Figures(at=20.0, cpu_s=7.0, rss_bytes=100_000, made=145, started=5, lag_s=0.02)] * 2
    job = msgspec.structs.replace(JOB, workers=2)
    found = sim.figures(job, empty, began, ended, Came(batches=10, fresh=80, ages={99: 10}))
    assert found["bytes_per_unit"] == 10_000
    assert found["cpu_cores"] == 0.6
    assert found["cpu_us_per_unit_s"] == 60_000.0
    assert found["realtime_ratio"] == 0.9
    assert found["stored_per_s"] == 8.0
    assert found["batch_age_p99_s"] == 1.0


def test_a_town_has_room_for_its_vehicles(tmp_path: Path) -> None:
    write_town(tmp_path / "town.gz", 800)
    network = roads.load(tmp_path / "town.gz")
    assert len(network.roads) == 4 * 20 * 19
    assert network.length_m / 800 > 350  # of lane for each


@pytest.mark.integration
def test_units_of_two_workers_are_measured() -> None:
    said: list[str] = []
    found = asyncio.run(sim.run(2.0, said.append, vehicles=6, workers=2))
    assert found["units"] == 6
    for key in ("realtime_ratio", "bytes_per_unit", "cpu_cores", "stored_per_s", "batch_age_p99_s"):
        value = found[key]
        assert isinstance(value, int | float)
        assert value > 0
        assert math.isfinite(value)
    assert said
