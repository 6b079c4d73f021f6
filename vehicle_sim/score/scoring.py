"""Scores the record of a run: reads it, asks the platform, compares."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from vehicle_sim.progress import Snapshot, shown
from vehicle_sim.score.goals import tolerances
from vehicle_sim.score.platform import ScoreError, claims_of
from vehicle_sim.score.report import Claims, Report, report
from vehicle_sim.truth.store import Truth, read

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ScoreError", "Scored", "judge"]


class Scored(msgspec.Struct, frozen=True):
    """A score, with what it was made of."""

    truth: Truth
    claims: Claims
    report: Report


async def judge(folder: Path, api_url: str, api_key: str, *, progress: bool = False) -> Scored:
    """Score the record in `folder` by what the platform at `api_url` says.

    Raises:
        TruthError: no such record, or a damaged one.
        ScoreError: no answer, or a refused key.
    """
    truth = await asyncio.to_thread(read, folder)
    done = [0, len(truth.run.vehicles)]

    def look() -> Snapshot:
        return Snapshot(done[0], done[1], f"{done[0]:,}/{done[1]:,} vehicles asked about")

    def say(asked: int, of: int) -> None:
        done[:] = asked, of

    async with shown("score", look, enabled=progress):
        claims = await claims_of(api_url, api_key, truth.run, truth.boots, say)
    allowed = tolerances(truth.run.keep_alive_s)
    return Scored(truth, claims, report(truth.run, truth.boots, truth.happened, claims, allowed))
