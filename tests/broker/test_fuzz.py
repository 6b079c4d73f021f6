"""The fuzzer, at the size that a test run has time for; `make fuzz` sends a million packets."""

from __future__ import annotations

import os
import secrets

import pytest

from tests.broker.fuzz import Run
from tests.broker.fuzz_cases import HOSTILE, plan
from tests.broker.fuzz_healthy import secret

PACKETS = 20_000


@pytest.mark.integration
async def test_hostile_clients_do_no_harm() -> None:
    """`FLEETCELL_FUZZ_SEED` repeats a run."""
    seed = int(os.environ.get("FLEETCELL_FUZZ_SEED") or secrets.randbelow(2**32))
    report = await Run(PACKETS, seed, lambda _count: None)()
    if report.stalls and not report.faults:
        print(report)
        report = await Run(PACKETS, seed, lambda _count: None)()  # a stall of the broker comes again
    print(report)
    assert not report.faults + report.stalls, f"\n{report}\nagain with FLEETCELL_FUZZ_SEED={seed}"
    assert report.packets >= PACKETS
    assert report.healthy["pings"] > report.healthy["not_judged"]
    assert report.turn_ms > 0


def test_a_seed_gives_the_same_bytes_again() -> None:
    plans = [plan(7, number, secret) for number in range(200)]
    assert plans == [plan(7, number, secret) for number in range(200)]
    assert plans != [plan(8, number, secret) for number in range(200)]
    assert sum(each.upgrade is not None for each in plans) > 50
    assert {name.encode() for name in HOSTILE} & {each.writes[0][14:23] for each in plans if each.writes}
