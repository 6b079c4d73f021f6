"""Production mode: what it refuses, with the name of the variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.app import amqtt_config
from broker.errors import BrokerError
from broker.limits import Limits
from broker.production import check_production
from fleetcell.contract.credentials import mac, new_secret
from fleetcell.contract.errors import ConfigError
from fleetcell.settings import BrokerSettings, DashboardSettings, IngestSettings, load
from tests.broker.conftest import KEY, Accounts, Clients, RunningBroker, secret
from tests.broker.raw_client import PATIENCE_S
from tests.command_line import fleetcell


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch, accounts: Accounts, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment that production mode accepts."""
    accounts.key_file.write_text("7d0b6e1f9c4a2835" * 4)
    accounts.key_file.chmod(0o600)
    for name, value in {
        "PRODUCTION": "true",
        "CREDENTIALS_FILE": accounts.file,
        "CREDENTIALS_KEY_FILE": accounts.key_file,
        "ALLOWED_ORIGINS": "https://fleet.example",
        "DSN": "postgresql://fleetcell@db/fleet",
    }.items():
        monkeypatch.setenv(f"FLEETCELL_{name}", str(value))
    return monkeypatch


def test_what_is_safe_is_accepted(production: pytest.MonkeyPatch) -> None:
    check_production(load(BrokerSettings))
    production.setenv("FLEETCELL_METRICS_PORT", "9100")
    production.setenv("FLEETCELL_HOST", "::1")
    check_production(load(BrokerSettings))
    load(IngestSettings)
    production.setenv("FLEETCELL_BROKER_URL", "wss://broker.example/mqtt")
    load(DashboardSettings)


def test_listeners_with_tls_may_be_anywhere(production: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CERT", "KEY"):
        file = tmp_path / name
        file.touch(0o600)
        production.setenv(f"FLEETCELL_TLS_{name}_FILE", str(file))
    production.setenv("FLEETCELL_TLS_HOST", "0.0.0.0")
    settings = load(BrokerSettings)
    check_production(settings)
    binds = {name: listener["bind"] for name, listener in amqtt_config(settings)["listeners"].items()}
    assert binds == {
        "default": "127.0.0.1:1883",
        "websocket": "127.0.0.1:9001",
        "mqtts": "0.0.0.0:8883",
        "wss": "0.0.0.0:9443",
    }
    (tmp_path / "KEY").chmod(0o644)
    with pytest.raises(BrokerError, match=r"FLEETCELL_TLS_KEY_FILE .*every user"):
        check_production(settings)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"HOST": "0.0.0.0"}, "FLEETCELL_HOST 0.0.0.0: .*FLEETCELL_TLS_CERT_FILE"),
        ({"HOST": "broker.example"}, "FLEETCELL_HOST"),
        ({"HOST": "::"}, "FLEETCELL_HOST"),
        ({"METRICS_PORT": "9100", "METRICS_HOST": "0.0.0.0"}, "FLEETCELL_METRICS_HOST"),
        ({"ALLOWED_ORIGINS": "http://fleet.example"}, "FLEETCELL_ALLOWED_ORIGINS"),
        ({"ALLOWED_ORIGINS": "https://*"}, "FLEETCELL_ALLOWED_ORIGINS"),
        ({"ALLOWED_ORIGINS": "null"}, "FLEETCELL_ALLOWED_ORIGINS"),
    ],
)
def test_settings_that_are_refused(
    production: pytest.MonkeyPatch, changes: dict[str, str], says: str
) -> None:
    for name, value in changes.items():
        production.setenv(f"FLEETCELL_{name}", value)
    with pytest.raises(ConfigError, match=says) as refused:
        load(BrokerSettings)
    assert "Value error" not in str(refused.value)
    production.setenv("FLEETCELL_PRODUCTION", "false")
    load(BrokerSettings)


@pytest.mark.parametrize("kind", [IngestSettings, DashboardSettings])
@pytest.mark.parametrize("url", ["ws://broker.example/mqtt", "mqtt://10.0.0.1"])
def test_a_broker_elsewhere_is_reached_by_tls_only(
    production: pytest.MonkeyPatch, kind: type[IngestSettings | DashboardSettings], url: str
) -> None:
    production.setenv("FLEETCELL_BROKER_URL", url)
    with pytest.raises(ConfigError, match="FLEETCELL_BROKER_URL"):
        load(kind)


def test_units_are_told_of_a_broker_with_tls_only(production: pytest.MonkeyPatch) -> None:
    production.setenv("FLEETCELL_BROKER_PUBLIC_URL", "ws://broker.example/mqtt")
    with pytest.raises(ConfigError, match="FLEETCELL_BROKER_PUBLIC_URL"):
        load(IngestSettings)
    production.setenv("FLEETCELL_BROKER_PUBLIC_URL", "wss://broker.example/mqtt")
    load(IngestSettings)


@pytest.mark.parametrize("given", ["TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_CLIENT_CA_FILE"])
def test_half_of_a_certificate_is_refused_anyway(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    (tmp_path / "x").touch()
    monkeypatch.setenv(f"FLEETCELL_{given}", str(tmp_path / "x"))
    with pytest.raises(ConfigError, match="FLEETCELL_TLS_CERT_FILE"):
        load(BrokerSettings)
    monkeypatch.setenv(f"FLEETCELL_{given}", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match=f"FLEETCELL_{given}"):
        load(BrokerSettings)


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (None, 0, "No such file"),
        (b"short", 0o600, "at least 32"),
        (b"0" * 64, 0o600, "no random key"),
        (b"changeme" * 8, 0o600, "no random key"),
        (bytes(range(40, 80)), 0o644, "every user"),
    ],
)
def test_keys_that_anybody_could_know(
    production: pytest.MonkeyPatch, accounts: Accounts, content: bytes | None, mode: int, says: str
) -> None:
    accounts.key_file.unlink()
    if content is not None:
        accounts.key_file.write_bytes(content)
        accounts.key_file.chmod(mode)
    with pytest.raises(BrokerError, match=rf"^FLEETCELL_CREDENTIALS_KEY_FILE .*{says}") as refused:
        check_production(load(BrokerSettings))
    assert str(content) not in str(refused.value)
    production.setenv("FLEETCELL_PRODUCTION", "false")
    check_production(load(BrokerSettings))


def test_the_command_says_which_variable(production: pytest.MonkeyPatch) -> None:
    production.setenv("FLEETCELL_HOST", "0.0.0.0")
    ended = fleetcell("broker")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: FLEETCELL_HOST 0.0.0.0: ")
    assert len(ended.stderr.splitlines()) == 1


async def test_short_secrets_and_anonymous_clients_are_refused(accounts: Accounts) -> None:
    long = new_secret()
    accounts.units["veh9"] = mac(KEY, long)
    accounts.units["veh8"] = mac(KEY, "")
    accounts.write()
    running = RunningBroker(accounts, Limits(connect_timeout_s=PATIENCE_S), production=True)
    running.start()
    clients = Clients(running)
    try:
        for name, password, code in (
            ("veh1", secret("veh1"), 5),  # right, but short
            ("veh8", "", 5),
            ("veh8", None, 5),
            ("veh9", long, 0),
        ):
            client = await clients.tcp()
            assert (await client.login(name, password)).body[1] == code, name
    finally:
        await clients.close()
        running.stop()
