"""Claims, and what the fold makes of them one after the other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from fleetcell.contract.messages import Claim, ClaimKind
from fleetcell.contract.presence import (
    Registration,
    Timers,
    fold,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TIMERS = Timers()
STEADY = Timers(hysteresis_s=0)  # no link flaps


def claim(kind: str, epoch: int = 1, n: int | None = 1, **fields: object) -> Claim:
    return Claim(kind=ClaimKind(kind), epoch=epoch, n=n, at=NOW, **fields)  # type: ignore[arg-type]


def will(epoch: int = 1) -> Claim:
    return claim("detach", epoch, None, reason="lost")


def after(*claims: Claim, now: datetime = NOW, timers: Timers = TIMERS) -> Registration:
    held: Registration | None = None
    for one in claims:
        held, _ = fold(held, one, now, timers, region="north")
    assert held is not None
    return held


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


kinds = st.sampled_from(["attach", "update", "sleep", "detach"])
claims = st.builds(
    lambda kind, epoch, n, reason: (
        will(epoch)
        if kind == "detach" and n == 0
        else claim(
            kind,
            epoch,
            n,
            reason=reason if kind == "detach" else None,
            sleep_s=60.0 if kind == "sleep" else None,
        )
    ),
    kinds,
    st.integers(1, 4),
    st.integers(0, 6),
    st.sampled_from(["shutdown", "handover", None]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Claim]:
    """Claims as units make them: one claim a (epoch, n)."""
    made = {(c.epoch, c.n): c for c in draw(st.lists(claims, min_size=1, max_size=12))}
    return list(made.values())
