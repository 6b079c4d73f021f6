"""The register and commands in a world in which everything fails; `make chaos` runs it for longer."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from tests.ingest.presence_machine import chaos
from tests.ingest.presence_truth import Judge
from tests.ingest.presence_world import World
from tests.ingest.units import provision

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.database import Connection

STEPS = 500


def test_all_is_true_whatever_fails(plain_dsn: str) -> None:
    seed = int(os.environ.get("FLEETCELL_CHAOS_SEED") or secrets.randbelow(2**32))
    print(f"make chaos ARGS='--steps {STEPS} --seed {seed}'")
    assert chaos(plain_dsn, STEPS, seed) >= STEPS


async def test_an_update_that_overtakes_the_claim_of_a_longer_interval_does_not_hide_it(
    connection: Connection, tmp_path: Path
) -> None:
    """The register takes the newest claim only: it went by the old interval, and called units overdue."""
    names = [f"patient-{number}" for number in range(8)]  # each has its own delays
    world = World(connection, await provision(connection, *names), ["somewhere"], 1, tmp_path)
    judge = Judge(world)
    try:
        await world.advance(2.0)
        for car in world.cars:
            world.connect(car, "somewhere")
        await world.advance(60.0)
        assert all(car.settled for car in world.cars)

        for car in world.cars:
            world.set_interval(car, 300.0)
            world.update(car)
        for _ in range(120):
            await world.advance(1.0)
            assert judge.faults(await world.registrations()) == []
        assert {held.update_interval_s for held in (await world.registrations()).values()} == {300.0}
    finally:
        world.traffic.close()
