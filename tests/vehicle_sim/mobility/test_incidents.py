"""What of a drive is worth an event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.events import EventKind
from vehicle_sim.mobility import Drive
from vehicle_sim.mobility.drive import Shown
from vehicle_sim.mobility.incidents import Incident, Incidents
from vehicle_sim.roads import load

HERE = {"lat": 60.17, "lon": 24.94}
CODES = st.lists(st.sampled_from(["P0300", "P0420", "U0100"]), unique=True).map(sorted)


def test_a_code_that_appears_and_one_that_clears_are_an_event_each_and_only_once() -> None:
    incidents = Incidents(1)
    readings: list[Shown] = [{"dtc": ["P0300"]}, {}, {"dtc": ["P0300"]}, {"dtc": ["P0420"]}, {"dtc": []}]
    found = [incidents.look({"speed": 0.0, **reading, **HERE}, (0.0, 0.0)) for reading in readings]
    assert found == [
        [(EventKind.DTC, {"code": "P0300", "active": True, **HERE})],
        [],
        [],
        [
            (EventKind.DTC, {"code": "P0420", "active": True, **HERE}),
            (EventKind.DTC, {"code": "P0300", "active": False, **HERE}),
        ],
        [(EventKind.DTC, {"code": "P0420", "active": False, **HERE})],
    ]


@given(st.lists(CODES, max_size=20))
def test_who_counts_the_events_knows_the_codes(history: list[list[str]]) -> None:
    incidents = Incidents(1)
    known: set[str] = set()
    for codes in history:
        for _, data in incidents.look({"speed": 0.0, "dtc": codes}, (0.0, 0.0)):
            (known.add if data["active"] else known.remove)(data["code"])
        assert known == set(codes)


def test_harsh_braking_is_one_event_for_as_long_as_it_lasts() -> None:
    incidents = Incidents(1, collision_share=0.0)
    shown = [
        incidents.look({"speed": 40.0, **({"harsh": harsh} if harsh else {})}, (-4.256, 3.1))
        for harsh in ("braking", "braking", None, "braking", "acceleration")
    ]
    braking = Incident(EventKind.HARSH_BRAKE, {"acceleration": -4.26, "speed": 40.0})
    speeding = Incident(EventKind.HARSH_ACCELERATION, {"acceleration": 3.1, "speed": 40.0})
    assert shown == [[braking], [], [], [braking], [speeding]]


@given(st.integers(0, 1000))
def test_collisions_are_rare_and_the_seed_says_which(seed: int) -> None:
    def run() -> list[int]:
        incidents = Incidents(seed, collision_share=0.1)
        crashes = []
        for number in range(200):
            found = incidents.look({"speed": 40.0, "harsh": "braking"}, (-4.0, 0.0))
            if len(found) > 1:
                crashes.append(number)
                assert found[1].kind is EventKind.CRASH
                assert 3 <= found[1].data["delta_v"] <= 12
                assert found[1].data["acceleration"] > 8
            incidents.look({"speed": 40.0}, (0.0, 0.0))
        return crashes

    assert run() == run()
    assert len(run()) < 60


def test_the_incidents_of_a_drive_wait_until_they_are_taken() -> None:
    drive = Drive(load(), 71)  # a code appears in its 99th second
    codes = set[str]()
    for _ in range(120):
        shown = drive.advance(1.0).get("dtc")
        codes.update(shown if isinstance(shown, list) else ())
    (incident,) = drive.take_incidents()
    assert {incident.data["code"]} == codes
    assert incident.data["active"]
    assert drive.take_incidents() == []
