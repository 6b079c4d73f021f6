"""The register and commands in a world in which everything fails; `make chaos` runs it for longer."""

from __future__ import annotations

import pytest

from tests.ingest.presence_machine import chaos

STEPS = 500


def test_all_is_true_whatever_fails(plain_dsn: str, pytestconfig: pytest.Config) -> None:
    seed = int(pytestconfig.option.hypothesis_seed)
    print(f"make chaos ARGS='--steps {STEPS} --seed {seed}'")
    assert chaos(plain_dsn, STEPS, seed) >= STEPS
