"""Settings: a wrong value is refused with the variable's name and without its value."""

from __future__ import annotations

import pytest

from fleetcell.contract.errors import ConfigError
from fleetcell.settings import SERVICES, BrokerSettings, DashboardSettings, IngestSettings, SimSettings, load


def test_defaults_are_enough_where_they_can_be() -> None:
    assert load(BrokerSettings).ws_port == 9001
    assert load(SimSettings).api_url is None


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETCELL_ALLOWED_ORIGINS", "https://a.example, https://b.example")
    monkeypatch.setenv("FLEETCELL_DSN", "postgresql://user:hunter2@db/fleet")
    monkeypatch.setenv("FLEETCELL_LINGER_S", "3")
    assert load(BrokerSettings).allowed_origins == ["https://a.example", "https://b.example"]
    ingest = load(IngestSettings)
    assert ingest.timers().linger_s == 3
    assert "hunter2" not in repr(ingest)


@pytest.mark.parametrize(
    ("variable", "value", "kind"),
    [
        ("FLEETCELL_PORT", "80800", DashboardSettings),
        ("FLEETCELL_REGION", "north/south", IngestSettings),
        ("FLEETCELL_BROKER_URL", "http://broker", IngestSettings),
        ("FLEETCELL_BROKER_URL", "ws://user:hunter2@broker/mqtt", IngestSettings),
        ("FLEETCELL_BROKER_URL", "ws://broker:99999/mqtt", SimSettings),
        ("FLEETCELL_LOG_LEVEL", "loud", BrokerSettings),
        ("FLEETCELL_BATCH_ROWS", "0", IngestSettings),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, kind: type
) -> None:
    monkeypatch.setenv("FLEETCELL_DSN", "postgresql://user:hunter2@db/fleet")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=variable) as refused:
        load(kind)
    assert "hunter2" not in str(refused.value)
    assert "Value error" not in str(refused.value)


def test_a_missing_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEETCELL_DSN", raising=False)
    with pytest.raises(ConfigError, match="FLEETCELL_DSN"):
        load(DashboardSettings)


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_says_what_it_is(service: str) -> None:
    assert all(field.description for field in SERVICES[service].model_fields.values())
