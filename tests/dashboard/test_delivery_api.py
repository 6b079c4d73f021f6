"""The ledger of a unit that misbehaves, from its messages to the API and the command line."""

from __future__ import annotations

from fleetcell.contract.messages import Sample, Telemetry, encode
from tests.dashboard.conftest import Running
from tests.dashboard.test_derived_api import fleetcell, get
from tests.ingest.test_ledger_cases import put
from tests.ingest.units import NOW_US, arrival, new_boot, provision, sample, telemetry

SECOND = 1_000_000


async def test_what_is_wrong_with_a_unit_is_told(running: Running) -> None:
    connection = running.fleet.connection
    ids = await provision(connection, "car")
    one, other = new_boot(), new_boot()
    for turn in range(6):  # two units that take the session from each other
        at = NOW_US - 3600 * SECOND + turn * 20 * SECOND
        for boot in (one, other):
            readings = [sample(turn * 20 + n, at + n * SECOND) for n in range(1, 21)]
            await put(
                connection, ids, arrival("car", telemetry(boot, readings), received_us=at + 20 * SECOND)
            )
    await put(connection, ids, arrival("car", telemetry(one, [sample(n, speed=99.0) for n in (1, 2)])))
    corrected = Telemetry(other, 1, [Sample(200, 0, {"speed": 1.0}, 5000)], sent=6000)
    await put(connection, ids, arrival("car", encode(corrected)))

    answer = await get(running, "vehicles/car/delivery")
    assert {flag["kind"]: (flag["count"], set(flag["boots"])) for flag in answer["flags"]} == {
        "number_used_twice": (2, {one}),
        "shared_identity": (1, {one, other}),
    }
    assert (answer["received"], answer["duplicates"], answer["conflicts"], answer["corrected"]) == (
        241,
        2,
        2,
        1,
    )
    lateness = {entry["up_to_s"]: entry["count"] for entry in answer["lateness"]}
    assert (lateness[1], lateness[10], lateness[60]) == (25, 108, 108)
    boots = {boot["boot"]: boot for boot in answer["boots"]}
    assert boots[other]["corrected"] == [[200, 200]]
    assert boots[other]["started_at"] is not None
    (reading,) = (await get(running, "vehicles/car/telemetry", order="desc", limit=1))["items"]
    assert (reading["quality"], reading["notes"]) == (4, {"device_time_ms": 0.0})

    status, out, err = await fleetcell(running, "gaps", "car")
    err = " ".join(err.split())  # however wide the terminal is
    assert (status, "pending" in out) == (0, True)
    assert "shared identity" in err
    assert "number used twice" in err
    assert "clock corrected: 1" in err
    assert "arrived within 1 s: 25, 10 s: 108, 1 min: 108" in err
