"""What waits for a registrar that could not work is in the register within one update interval."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.presence import Timers
from ingest import office
from ingest.metrics import Metrics
from ingest.pager import paging_s
from ingest.registrar import Registrar
from ingest.retries import retries
from ingest.vehicles import Vehicles
from tests.ingest.presence_parts import Board

if TYPE_CHECKING:
    from fleetcell.mqtt import MqttBridge
    from ingest.database import Connection
    from ingest.pools import Database
    from ingest.publisher import Publisher

INTERVAL_S = 3.0
ATTEMPTS = 12  # the pause has grown as far as it may


class Latest(random.Random):
    """Always the longest pause."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


@given(st.floats(1, 86_400), st.integers(0, 1_000_000), st.integers(0, 60))
def test_all_pauses_on_the_way_of_a_claim_fit_into_an_interval(
    interval_s: float, vehicles: int, attempt: int
) -> None:
    """The database is asked again, another worker takes the office, its link is made, vehicles are paged."""
    pause_s = retries(Timers(update_interval_s=interval_s)).delay(attempt, Latest())
    assert 2 * pause_s + office.STAND_BY_S + paging_s(vehicles, interval_s) <= interval_s


def test_an_interval_below_the_least_makes_no_busy_loop() -> None:
    assert retries(Timers(update_interval_s=0.001)).delay(ATTEMPTS, Latest()) == pytest.approx(0.1)


class Pauses:
    """In place of `asyncio.sleep`: notes how long, and ends it all after so many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds: list[float] = []
        monkeypatch.setattr("ingest.registrar.asyncio.sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if len(self.seconds) == ATTEMPTS:
            raise asyncio.CancelledError


def registrar(database: object = None) -> Registrar:
    made = Registrar(
        "helsinki",
        Timers(update_interval_s=INTERVAL_S),
        cast("Database", database),
        Vehicles(),
        cast("Publisher", Board()),
        lambda _: cast("MqttBridge", None),
        Metrics(),
    )
    made._rng = Latest()
    return made


async def test_a_database_that_was_away_for_long_is_asked_soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        async def dedicated(self, **_: float) -> Connection:
            raise ConnectionRefusedError

    pauses = Pauses(monkeypatch)
    with pytest.raises(asyncio.CancelledError):
        await registrar(Away()).run()
    assert max(pauses.seconds) == pytest.approx(INTERVAL_S / 10)


async def test_statements_that_failed_for_long_are_tried_soon_again(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = registrar()

    async def fails(_: Connection) -> float:
        raise TimeoutError

    monkeypatch.setattr(made, "turn", fails)
    pauses = Pauses(monkeypatch)
    with pytest.raises(asyncio.CancelledError):
        await made._serve(connection)
    assert max(pauses.seconds) == pytest.approx(INTERVAL_S / 10)
