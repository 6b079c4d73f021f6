"""A run whose units have receivers and clocks with errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vehicle_sim.app import RunOptions, run_simulation
from vehicle_sim.mobility import ClockErrors
from vehicle_sim.mobility.device_clock import Jump

if TYPE_CHECKING:
    import pytest

    from tests.vehicle_sim.small_platform import SmallPlatform


async def test_readings_of_a_run_carry_the_errors_of_their_units(
    platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = ClockErrors(jump_every_s=1e-3, jump_s=(1e6, 1e6), jumps=(Jump.EPOCH,))
    monkeypatch.setattr("vehicle_sim.mobility.FAULTY_CLOCKS", at_once)
    options = RunOptions(
        platform.layout.root, vehicles=2, duration_s=1.5, gnss_errors=True, clock_errors=True, seed=3
    )
    score = await run_simulation(options)
    samples = [sample for kept in platform.gateway.readings.values() for sample in kept.values()]
    assert len(samples) == score.made > 0
    assert all(isinstance(sample.ts, int) and 0 <= sample.ts < 3_600_000 for sample in samples)  # of 1970
    assert all(sample.s["acc"] > 6.0 for sample in samples)  # more than a receiver without errors claims
