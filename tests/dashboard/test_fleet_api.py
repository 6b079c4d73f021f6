"""The fleet's paths, on a real database over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.dashboard.conftest import Running

NOW = datetime.now(UTC).replace(microsecond=0)


async def test_fleet_counts_every_state_and_region(running: Running) -> None:
    fleet = running.fleet
    await fleet.add("a", "b", "c", "d")
    await fleet.heartbeat("helsinki")
    await fleet.heartbeat("espoo", age_s=2, storing=False)
    await fleet.presence("a")
    await fleet.presence("b", "suspect", "lost")
    await fleet.presence("c", region="espoo")
    answer = (await running.api.get("/api/v1/fleet")).json()
    assert answer["vehicles"] == 4
    assert answer["states"] == {"online": 2, "suspect": 1, "asleep": 0, "offline": 0, "unknown": 1}
    by_name = {region["region"]: region for region in answer["regions"]}
    assert by_name["helsinki"]["vehicles"] == 2
    assert by_name["helsinki"]["storing"] is True
    assert by_name["espoo"]["storing"] is False
    assert 2 <= by_name["espoo"]["heartbeat_age_s"] < 10
    assert answer["ingest"] == {"lag_s": 0.2, "storing": False, "silent_regions": []}


async def test_a_silent_gateway_makes_its_vehicles_unknown_until_it_is_back(running: Running) -> None:
    fleet = running.fleet
    await fleet.add("a")
    await fleet.presence("a")
    await fleet.heartbeat(age_s=60)
    answer = (await running.api.get("/api/v1/fleet")).json()
    assert answer["states"]["unknown"] == 1
    assert answer["ingest"]["silent_regions"] == ["helsinki"]
    assert answer["ingest"]["lag_s"] >= 60
    shown = (await running.api.get("/api/v1/vehicles/a")).json()["registration"]
    assert (shown["state"], shown["reason"]) == ("unknown", "gateway")
    assert shown["evidence"]["registered"]["state"] == "online"
    listed = (await running.api.get("/api/v1/vehicles", params={"state": "unknown"})).json()["items"]
    assert [vehicle["id"] for vehicle in listed] == ["a"]
    await fleet.heartbeat()
    shown = (await running.api.get("/api/v1/vehicles/a")).json()["registration"]
    assert (shown["state"], shown["reason"]) == ("online", "attach")


async def test_vehicles_are_filtered_and_paged_without_loss(running: Running) -> None:
    fleet = running.fleet
    names = [f"taxi-{number:02}" for number in range(7)]
    await fleet.add(*names, "bus-1")
    await fleet.presence("taxi-03", "offline", "timeout", region="espoo")
    await fleet.latest("taxi-05", NOW, 60.17, 24.94, speed=31.5)
    seen: list[str] = []
    cursor = None
    while True:
        params = {"q": "TAXI", "limit": "3"} | ({"cursor": cursor} if cursor else {})
        answer = (await running.api.get("/api/v1/vehicles", params=params)).json()
        seen += [vehicle["id"] for vehicle in answer["items"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert seen == names

    async def ids(**params: str) -> list[str]:
        answer = await running.api.get("/api/v1/vehicles", params=params)
        assert answer.status_code == 200, answer.text
        return [vehicle["id"] for vehicle in answer.json()["items"]]

    assert await ids(state="offline,online") == ["taxi-03"]
    assert await ids(region="espoo") == ["taxi-03"]
    assert await ids(bbox="24,60,25,61") == ["taxi-05"]
    assert await ids(bbox="25,60,24,61") == []  # the other way round the world
    assert await ids(bbox="25,60,24.95,61") == ["taxi-05"]


async def test_latest_values_have_unit_and_age(running: Running) -> None:
    await running.fleet.add("a")
    await running.fleet.latest(
        "a", datetime.now(UTC) - timedelta(seconds=30), 60.17, 24.94, soc=80.5, odd=[1]
    )
    vehicle = (await running.api.get("/api/v1/vehicles/a")).json()
    soc = vehicle["latest"]["soc"]
    assert (soc["value"], soc["unit"]) == (80.5, "%")
    assert 30 <= soc["age_s"] < 40
    assert soc["time"].endswith("Z")
    assert vehicle["latest"]["odd"]["value"] == [1]
    assert vehicle["position"]["lat"] == 60.17
    assert vehicle["registration"] is None


async def test_a_vehicle_shows_the_timers_that_it_told(running: Running) -> None:
    fleet = running.fleet
    await fleet.add("told", "quiet", "unheard")
    await fleet.presence("told")
    await fleet.presence("quiet")
    await fleet.connection.execute(
        "UPDATE fleet.registration AS r SET update_interval_s = 30, keep_alive_s = 0 FROM fleet.vehicle AS v"
        " WHERE v.id = r.vehicle_id AND v.name = 'told'"
    )
    told = (await running.api.get("/api/v1/vehicles/told")).json()["timers"]
    assert told == {"update_interval_s": 30, "keep_alive_s": 0, "sleep_s": None}
    listed = (await running.api.get("/api/v1/vehicles")).json()["items"]
    assert {item["id"]: item["timers"]["keep_alive_s"] for item in listed} == {
        "quiet": None,
        "told": 0,
        "unheard": None,
    }


async def test_presence_history_as_of_and_uptime(running: Running) -> None:
    fleet = running.fleet
    await fleet.add("a")
    start = datetime.now(UTC) - timedelta(hours=1)
    await fleet.presence("a", at=start)
    await fleet.presence("a", "suspect", "lost", at=start + timedelta(minutes=30))
    await fleet.presence("a", "offline", "lost", at=start + timedelta(minutes=31))
    answer = (await running.api.get("/api/v1/vehicles/a/presence", params={"limit": 2})).json()
    assert [item["state"] for item in answer["items"]] == ["offline", "suspect"]
    assert answer["next_cursor"]
    rest = await running.api.get("/api/v1/vehicles/a/presence", params={"cursor": answer["next_cursor"]})
    assert [item["state"] for item in rest.json()["items"]] == ["online"]
    assert rest.json()["next_cursor"] is None
    uptime = answer["uptime"]
    assert abs(uptime["seconds"]["online"] - 1800) < 1
    assert abs(uptime["seconds"]["suspect"] - 60) < 1
    assert 0.49 < uptime["online_ratio"] < 0.51
    learned = answer["items"][0]["learned_at"]
    then = await running.api.get("/api/v1/vehicles/a/presence", params={"as_of": learned})
    assert [item["state"] for item in then.json()["items"]] == ["offline"]
    before = await running.api.get("/api/v1/vehicles/a/presence", params={"as_of": "2h"})
    assert before.json()["items"] == []  # nothing was known then
    half = {"valid_at": (start + timedelta(minutes=30, seconds=30)).isoformat()}
    so = await running.api.get("/api/v1/vehicles/a/presence", params=half)
    assert [item["state"] for item in so.json()["items"]] == ["suspect"]
    unknown = await running.api.get("/api/v1/vehicles/a/presence", params=half | {"as_of": "30m"})
    assert unknown.json()["items"] == [], "that was learned just now"
    wrong = await running.api.get("/api/v1/vehicles/a/presence", params=half | {"since": "1h"})
    assert wrong.status_code == 422


async def test_uptime_of_fleet_and_regions_from_either_view(running: Running) -> None:
    fleet = running.fleet
    await fleet.add("a", "b", "silent")
    await fleet.heartbeat()
    start = datetime.now(UTC) - timedelta(hours=1)
    await fleet.presence("a", at=start)
    await fleet.presence("b", at=start)
    await fleet.presence("b", "unknown", "gateway", at=start + timedelta(minutes=30))
    window = {"since": start.isoformat(), "until": (start + timedelta(minutes=45)).isoformat()}
    (region,) = (await running.api.get("/api/v1/regions", params=window)).json()["items"]
    total = (await running.api.get("/api/v1/fleet", params=window)).json()["uptime"]
    assert region["uptime"] == total
    assert total["seconds"] == {
        "online": 75 * 60,
        "suspect": 0,
        "asleep": 0,
        "offline": 0,
        "unknown": 15 * 60,
    }
    assert total["online_ratio"] == 1, "blindness is not absence"
    learned = await running.api.get("/api/v1/fleet", params=window | {"view": "learned_at"})
    assert sum(learned.json()["uptime"]["seconds"].values()) == 0, "nothing was known then"
    history = await running.api.get("/api/v1/vehicles/b/presence", params=window | {"view": "learned_at"})
    assert history.json()["items"] == []
    assert (await running.api.get("/api/v1/fleet")).json()["uptime"] is None
    assert (await running.api.get("/api/v1/fleet", params={"until": "1m"})).status_code == 422
    assert (await running.api.get("/api/v1/fleet", params=window | {"view": "x"})).status_code == 422


async def test_delivery_explains_every_number(running: Running) -> None:
    await running.fleet.add("a")
    await running.fleet.ledger(
        "a", received="{[1,5),[8,10)}", evicted="{[5,6)}", dead="{[6,7)}", claimed=11, duplicates=2
    )
    answer = (await running.api.get("/api/v1/vehicles/a/delivery")).json()
    assert answer["unexplained"] == 0
    assert answer["received"] == 6
    assert answer["pending"] == 3
    assert [(gap["first"], gap["last"], gap["reason"]) for gap in answer["gaps"]] == [
        (5, 5, "evicted"),
        (6, 6, "dead_lettered"),
        (7, 7, "pending"),
        (10, 11, "pending"),
    ]
    assert answer["boots"][0]["received"] == [[1, 4], [8, 9]]
    assert answer["boots"][0]["duplicates"] == 2


async def test_signals_and_regions(running: Running) -> None:
    signals = (await running.api.get("/api/v1/signals")).json()["items"]
    assert {"key", "vss", "unit"} <= signals[0].keys()
    await running.fleet.heartbeat()
    regions = (await running.api.get("/api/v1/regions")).json()["items"]
    assert [(region["region"], region["url"], region["cells"]) for region in regions] == [
        ("helsinki", None, None)
    ]
    await running.fleet.region("helsinki", "wss://helsinki.example/mqtt", ["871126d33ffffff"])
    (region,) = (await running.api.get("/api/v1/regions")).json()["items"]
    assert (region["url"], region["cells"]) == ("wss://helsinki.example/mqtt", ["871126d33ffffff"])
