"""What the register may say of a unit, given what is true of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from fleetcell.contract.messages import PresenceState
from fleetcell.contract.presence import Reason, Registration
from tests.ingest.presence_parts import MOST_DELAY_S, MOST_RETRY_S, START, TIMERS, Car, Mode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.ingest.presence_world import World

SLACK_S = 2 * MOST_DELAY_S
OFFLINE, ONLINE, ASLEEP = PresenceState.OFFLINE, PresenceState.ONLINE, PresenceState.ASLEEP
SUSPECT, UNKNOWN = PresenceState.SUSPECT, PresenceState.UNKNOWN
EVENTS = """
    SELECT v.name AS vehicle, p.previous_state, p.state FROM fleet.presence_event AS p
    JOIN fleet.vehicle AS v ON v.id = p.vehicle_id WHERE p.vehicle_id = ANY ($1::integer[]) ORDER BY p.cursor
"""


class Judge:
    """Compares the register with the world, again and again."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._before: dict[str, Registration] = {}

    def faults(self, registrations: Mapping[str, Registration]) -> list[str]:
        """Everything in the register that contradicts the truth now."""
        found = []
        for car in self._world.cars:
            held = registrations.get(car.name)
            if held is None or held.reason == Reason.NEW:
                continue
            reasons = [*self._always(car, held), *self._of_mode(car, held)]
            found += [f"{reason}: {self._describe(car, held)}" for reason in reasons]
            self._before[car.name] = held
        return found

    async def history_faults(self, vehicle_ids: list[int]) -> list[str]:
        """Changes that do not begin where the one before ended."""
        last: dict[str, str] = {}
        found = []
        for row in await self._world.connection.fetch(EVENTS, vehicle_ids):
            if row["previous_state"] != last.get(row["vehicle"], UNKNOWN):
                found.append(f"the history of {row['vehicle']} has a hole before {row['state']}")
            last[row["vehicle"]] = row["state"]
        return found

    def _always(self, car: Car, held: Registration) -> Iterator[str]:
        before = self._before.get(car.name)
        if before is not None and (held.epoch, held.n or 0) < (before.epoch, before.n or 0):
            yield "the register went back to an older claim"
        waits = held.state in (ONLINE, SUSPECT, ASLEEP) or held.reason == Reason.GATEWAY
        if waits and held.deadline is None:
            yield "a state that ends has no deadline"
        passed = START + timedelta(seconds=self._world.now - 1.0)
        if held.deadline is not None and held.deadline < passed and self._serving(held, 1.0):
            yield "a deadline has passed and nothing happened"

    def _of_mode(self, car: Car, held: Registration) -> Iterator[str]:
        match car.mode:
            case Mode.LIVE if not car.hung:
                yield from self._live(car, held)
            case Mode.LIVE | Mode.AWAY:
                yield from self._silent(car, held)
            case Mode.SLEEPING:
                yield from self._sleeping(car, held)
            case Mode.OFF if "detach" in car.heard and held.state is not OFFLINE:
                yield "it said goodbye, and is not offline"
            case Mode.SEEKING if car.blinded and held.state is OFFLINE:
                yield "offline because its broker died"
            case _:
                pass

    def _live(self, car: Car, held: Registration) -> Iterator[str]:
        serving = self._world.gateways[car.region].serving_since
        here = (held.epoch, held.region) == (car.epoch, car.region)
        flaps = held.state is SUSPECT and held.reason == Reason.FLAPPING
        patience = max(car.interval_s, MOST_RETRY_S) + 4 * MOST_DELAY_S
        if car.last_alive > -1 and held.epoch <= car.epoch:
            if held.epoch < car.epoch:
                yield "a claim was committed and is not in the register"
            elif held.state is OFFLINE:
                yield "offline, although its newest session is attached"
            elif car.last_alive >= serving and not (here and (held.state is ONLINE or flaps)):
                yield "it was heard and is not online here"
        settled = here and held.state is ONLINE
        if self._world.now - max(serving, car.since) > patience + TIMERS.hysteresis_s * flaps and not settled:
            yield "it lives, its gateway hears, and it is not online here"

    def _silent(self, car: Car, held: Registration) -> Iterator[str]:
        """Its session ended without a word, or it is hung."""
        if held.epoch != car.epoch or not car.heard:
            return
        interval = max(car.interval_s, held.update_interval_s or 0.0) + TIMERS.grace_s
        serving = self._world.gateways[held.region or ""].serving_since
        quiet = self._world.now - max(car.since + SLACK_S, serving) - interval
        if held.state is ASLEEP:
            quiet -= car.sleep_s
        if quiet > 0 and held.state in (ONLINE, UNKNOWN, ASLEEP):
            yield "silent for longer than its interval and the grace"
        if quiet - car.sleep_s > TIMERS.detach_s and held.state is not OFFLINE:
            yield "silent until after the detach deadline"
        least = (held.update_interval_s or TIMERS.update_interval_s) + TIMERS.grace_s + TIMERS.detach_s - 1
        unsaid = "will" not in car.heard and car.last_alive > 0
        if unsaid and held.state is OFFLINE and self._world.now - car.last_alive < least:
            yield "offline before the detach deadline, and nobody said so"
        if car.mode is Mode.AWAY and (heard := car.heard.get("will")) is not None:
            if held.state is ONLINE:
                yield "its will was heard, and it is online"
            sees = heard - serving > TIMERS.update_interval_s
            linger = max(TIMERS.linger_s, TIMERS.hysteresis_s if held.reason == Reason.FLAPPING else 0.0)
            if sees and self._world.now - heard > linger + 1 and held.state is not OFFLINE:
                yield "lost, and not offline after the linger"

    def _sleeping(self, car: Car, held: Registration) -> Iterator[str]:
        if (heard := car.heard.get("sleep")) is None:
            return
        wakes = heard + car.sleep_s + TIMERS.grace_s
        serving = self._world.gateways[car.region].serving_since
        if self._world.now < wakes - 0.1 and held.state is not ASLEEP:
            yield "it sleeps as it said, and is not asleep"
        if held.state is ASLEEP and self._world.now > max(wakes, serving) + SLACK_S:
            yield "asleep for longer than it said"

    def _serving(self, held: Registration, seconds: float) -> bool:
        gateway = self._world.gateways.get(held.region or "")
        return gateway is not None and self._world.now - gateway.serving_since > seconds

    def _describe(self, car: Car, held: Registration) -> str:
        gateway = self._world.gateways[car.region] if car.region else None
        serving = gateway.serving_since if gateway is not None else None
        return (
            f"\n  at {self._world.now:.2f} s the register has {held.state.value} ({held.reason})"
            f" epoch {held.epoch} n {held.n} lost {held.lost} ended {held.ended} in {held.region},"
            f" deadline {held.deadline}, evidence {held.evidence}\n  the truth is {car},"
            f" serving since {serving}"
        )
