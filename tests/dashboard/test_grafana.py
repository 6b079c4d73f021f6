"""Grafana: the sync against a server that follows its API, and the dashboard's SQL on a real database."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from dashboard.grafana import GrafanaError, Source, source_of_dsn, sync
from dashboard.grafana_panels import (
    DASHBOARD_UID,
    FOLDER_UID,
    QUERIES,
    SOURCE_UID,
    VARIABLE,
    fleet_dashboard,
    query,
)
from fleetcell.cli import app
from tests.dashboard.fleet import Fleet
from tests.dashboard.grafana_server import TOKEN, USER, GrafanaServer
from tests.postgres_servers import Database, connected

SOURCE = Source("db.example.org", 5433, "fleetcell", "fleetcell_dashboard", "pw", "require", timescale=True)


@pytest.fixture
def grafana() -> Iterator[GrafanaServer]:
    with GrafanaServer() as server:
        yield server


def test_sync_makes_everything_and_can_be_repeated(grafana: GrafanaServer) -> None:
    first = sync(grafana.url, SOURCE, token=TOKEN)
    assert first.url == f"{grafana.url}/d/{DASHBOARD_UID}/fleet"
    assert first.done == {"data source": "made", "folder": "made", "dashboard": "made"}
    source = grafana.datasources[SOURCE_UID]
    assert source["url"] == "db.example.org:5433"
    assert source["jsonData"]["database"] == "fleetcell"
    assert source["jsonData"]["timescaledb"] is True
    assert source["secureJsonData"] == {"password": "pw"}
    dashboard = grafana.dashboards[DASHBOARD_UID]
    assert dashboard["folderUid"] == FOLDER_UID
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {SOURCE_UID}
    second = sync(grafana.url, Source("other", 5432, "fleetcell", "u", "p"), token=TOKEN)
    assert second.done == {"data source": "updated", "folder": "updated", "dashboard": "updated"}
    assert grafana.datasources[SOURCE_UID]["url"] == "other:5432"
    assert grafana.requests[:2] == [f"GET /api/datasources/uid/{SOURCE_UID}", "POST /api/datasources"]


def test_the_command(grafana: GrafanaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    arguments = ["grafana", "sync", "--url", grafana.url, "--dsn", "postgresql://u:p@db/fleet", "--timescale"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert f"{grafana.url}/d/{DASHBOARD_UID}/fleet" in result.output
    assert grafana.datasources[SOURCE_UID]["url"] == "db:5432"
    assert "p@" not in result.output  # no secret


def test_user_and_password_below_a_path() -> None:
    with GrafanaServer(prefix="/grafana") as grafana:
        done = sync(grafana.url + "/", SOURCE, user=USER)
        assert done.url.endswith(f"/grafana/d/{DASHBOARD_UID}/fleet")


def test_what_goes_wrong_is_said(grafana: GrafanaServer) -> None:
    with pytest.raises(GrafanaError, match="does not accept this token"):
        sync(grafana.url, SOURCE, token="wrong")
    with pytest.raises(GrafanaError, match="give a token"):
        sync(grafana.url, SOURCE)
    with pytest.raises(GrafanaError, match="is not an address of Grafana"):
        sync("grafana:3000", SOURCE, token=TOKEN)
    for answer, said in (
        ((403, '{"message": "Permission denied"}'), "needs the role Admin"),
        ((500, "oops"), "Grafana has a fault"),
        ((200, "<html>"), "this is not Grafana's API"),
    ):
        grafana.answer_with = answer
        with pytest.raises(GrafanaError, match=said):
            sync(grafana.url, SOURCE, token=TOKEN)


def test_a_grafana_that_hangs_is_given_up() -> None:
    with socket.socket() as listener:  # takes the connection, never answers
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(GrafanaError, match="does not answer"):
            sync(url, SOURCE, token=TOKEN, timeout_s=0.2)
    with pytest.raises(GrafanaError, match="does not answer"):
        sync(url, SOURCE, token=TOKEN)


def test_source_of_dsn() -> None:
    source = source_of_dsn("postgresql://u%40x:p%2Fw@127.0.0.1:5433/fleet?sslmode=prefer")
    assert source == Source("127.0.0.1", 5433, "fleet", "u@x", "p/w", "prefer")
    assert source_of_dsn("postgresql://u:p@db/fleet").ssl_mode == "require"
    assert source_of_dsn("postgresql://u:p@127.0.0.1/fleet", host="10.0.0.5").host == "10.0.0.5"
    assert source_of_dsn("postgresql://u:p@/fleet?host=/run/pg&port=5440") == Source(
        "/run/pg", 5440, "fleet", "u", "p"
    )
    with pytest.raises(GrafanaError, match="needs user, host and database"):
        source_of_dsn("postgresql://localhost/fleet")


def expanded(statement: str, start: datetime, end: datetime, vehicles: list[str]) -> str:
    """Grafana's macros and variables filled in, as its PostgreSQL documentation describes them."""
    between = rf"\1 BETWEEN '{start.isoformat()}' AND '{end.isoformat()}'"
    statement = re.sub(r"\$__timeFilter\((\w+)\)", between, statement)
    statement = re.sub(
        r"\$__timeGroupAlias\((\w+), \$__interval\)",
        r'floor(extract(epoch from \1)/60)*60 AS "time"',
        statement,
    )
    quoted = ",".join(f"'{vehicle}'" for vehicle in vehicles)
    statement = statement.replace("${vehicle:sqlstring}", quoted)
    assert "$" not in statement, "a macro that this test does not know"
    return statement


async def test_the_sql_runs_and_finds_what_is_there(any_database: Database) -> None:
    now = datetime.now(UTC)
    async with connected(any_database.owner) as connection:
        fleet = Fleet(connection)
        await fleet.add("a", "b")
        await fleet.presence("a", at=now)
        await fleet.heartbeat()
        await fleet.latest("a", now, 60.17, 24.94, speed=30.0)
        await fleet.read("a", [{"time": now, "speed": 30.0, "soc": 50.0}])
    found = {}
    async with connected(any_database.dashboard) as connection:
        for name in (*QUERIES, VARIABLE):
            statement = expanded(query(name), now - timedelta(hours=1), now + timedelta(hours=1), ["a", "b"])
            found[name] = [dict(row) for row in await connection.fetch(statement)]
    assert {row["state"]: row["vehicles"] for row in found["states"]} == {"online": 1, "unknown": 1}
    assert [(row["vehicle"], row["lat"], row["speed"]) for row in found["positions"]] == [("a", 60.17, 30)]
    assert [(row["metric"], row["speed"]) for row in found["speed"]] == [("a", 30)]
    assert [(row["metric"], row["charge"]) for row in found["charge"]] == [("a", 50)]
    assert [(row["metric"], row["changes"]) for row in found["presence"]] == [("online (attach)", 1)]
    assert [row["region"] for row in found["gateways"]] == ["helsinki"]
    assert found["lag"][0]["lag"] == 0.2
    assert [row["vehicle"] for row in found[VARIABLE]] == ["a", "b"]


def test_every_panel_has_its_own_place_and_a_query_that_is_tested() -> None:
    dashboard = fleet_dashboard()
    assert json.loads(json.dumps(dashboard)) == dashboard
    queries = {panel["targets"][0]["rawSql"] for panel in dashboard["panels"]}
    assert queries == {query(name) for name in QUERIES}
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
