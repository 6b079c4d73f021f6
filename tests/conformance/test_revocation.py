"""What becomes of a live session when its credential is withdrawn; each broker as deploy/brokers has it.

Only the embedded broker and Mosquitto look at the sessions that there are. docs/broker.md has the table, with
RabbitMQ, which takes ten seconds to start and is not tried here.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import psutil
import pytest

from broker.limits import Limits
from tests.broker.conftest import KEY, Accounts, RunningBroker, secret
from tests.broker.raw_client import CONNACK, PATIENCE_S, RawClient, connect_packet
from tests.broker_servers import BROKERS, start_deployed_mosquitto, start_ejabberd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENDED, KEPT = "ended", "kept until it connects again"
PINGS: Final = 3
VEHICLES: Final = ("veh1", "veh2")


class Trial(NamedTuple):
    """A broker that knows `veh1` and `veh2`, and how to make it forget them."""

    mqtt_port: int
    revoke: Callable[[], None]


@contextmanager
def embedded(folder: Path) -> Iterator[Trial]:
    accounts = Accounts(folder)
    running = RunningBroker(accounts, Limits())
    running.start()
    try:
        yield Trial(running.mqtt_port, lambda: withdraw(accounts))
    finally:
        running.stop()


@contextmanager
def mosquitto(folder: Path) -> Iterator[Trial]:
    server = start_deployed_mosquitto(folder / "mosquitto", {name: secret(name) for name in VEHICLES})
    accounts = Accounts(folder)

    def revoke() -> None:
        withdraw(accounts)
        script, passwords = BROKERS / "mosquitto" / "passwords.py", folder / "mosquitto" / "passwords"
        argv = [sys.executable, str(script), str(passwords), "--credentials", str(accounts.file)]
        subprocess.run(argv, stdin=subprocess.DEVNULL, check=True)
        for process in psutil.Process(server.pids[0]).children(recursive=True):
            if process.name() == "mosquitto":
                process.send_signal(signal.SIGHUP)

    try:
        yield Trial(server.mqtt_port, revoke)
    finally:
        server.stop()


@contextmanager
def ejabberd(folder: Path) -> Iterator[Trial]:
    home = folder / "ejabberd" / "platform"
    server = start_ejabberd(folder / "ejabberd")
    (home / "run").mkdir(parents=True)
    accounts = Accounts(home / "run")
    (home / "credentials.key").write_bytes(KEY)
    try:
        yield Trial(server.mqtt_port, lambda: withdraw(accounts))
    finally:
        server.stop()


def withdraw(accounts: Accounts) -> None:
    for name in VEHICLES:
        del accounts.units[name]
    accounts.write()


BROKERS_TRIED: Final = {
    "fleetcell": (embedded, ENDED),
    "mosquitto": (mosquitto, ENDED),
    "ejabberd": (ejabberd, KEPT),
}


@pytest.mark.integration
@pytest.mark.parametrize("name", BROKERS_TRIED)
async def test_a_live_session_whose_credential_is_withdrawn(name: str, tmp_path: Path) -> None:
    start, expected = BROKERS_TRIED[name]
    with start(tmp_path) as trial:
        live = await RawClient.open_tcp(trial.mqtt_port)
        assert (await live.login("veh1", secret("veh1"))).body[1] == 0
        assert await comes_in(trial.mqtt_port)
        await asyncio.to_thread(trial.revoke)
        while await comes_in(trial.mqtt_port):  # until the broker knows
            await asyncio.sleep(0.1)
        assert await becomes(live, expected) == expected
        await live.aclose()


async def comes_in(port: int) -> bool:
    """Whether the other secret is still good."""
    client = await RawClient.open_tcp(port)
    client.send(connect_packet("veh2", "veh2", secret("veh2")))
    answer = await client.read()
    await client.aclose()
    return answer is not None and answer.kind == CONNACK and answer.body[1] == 0


async def becomes(client: RawClient, expected: str) -> str:
    """What becomes of a connection: kept, when it answers pings, or closed: an expected end is waited for."""
    pings = 0
    try:
        async with asyncio.timeout(PATIENCE_S):
            while pings < PINGS or expected == ENDED:
                await client.ping()
                pings += 1
                await asyncio.sleep(0.3)
    except TimeoutError:
        return KEPT
    except (AssertionError, ConnectionError):
        return ENDED
    return KEPT
