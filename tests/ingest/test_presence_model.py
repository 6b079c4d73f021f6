"""The register and commands in a world in which everything fails; `make chaos` runs it for longer."""

from __future__ import annotations

import os
import secrets

from tests.ingest.presence_machine import chaos

STEPS = 500


def test_all_is_true_whatever_fails(plain_dsn: str) -> None:
    seed = int(os.environ.get("FLEETCELL_CHAOS_SEED") or secrets.randbelow(2**32))
    print(f"make chaos ARGS='--steps {STEPS} --seed {seed}'")
    assert chaos(plain_dsn, STEPS, seed) >= STEPS
