"""The answers to other brokers: the same credentials and rules, asked in their words."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from broker.auth_service import answer_ejabberd, serve
from broker.credentials import CredentialStore
from broker.other_brokers import Judge
from fleetcell.settings import BrokerAuthSettings
from tests.broker.conftest import Accounts, secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ACK = "fleet/v1/helsinki/veh1/ack"


@pytest.fixture
def judge(accounts: Accounts) -> Judge:
    return Judge(CredentialStore(accounts.file, accounts.key_file))


@pytest.mark.parametrize(
    ("name", "password", "client_id", "good"),
    [
        ("veh1", secret("veh1"), "veh1", True),
        ("veh1", secret("veh1"), None, True),  # not told: the broker binds it otherwise
        ("veh1", secret("veh1"), "veh2", False),
        ("veh1", secret("veh2"), "veh1", False),
        ("veh9", secret("veh9"), "veh9", False),
        ("gateway", secret("gateway"), "worker-1", True),
        ("gateway", secret("gateway"), "veh1", False),
        ("", "", "", False),
    ],
)
def test_who_comes_in(judge: Judge, name: str, password: str, client_id: str | None, good: bool) -> None:
    assert judge.lets_in(name, password, client_id) is good


def test_a_withdrawn_credential_is_known_at_the_next_question(accounts: Accounts, judge: Judge) -> None:
    assert judge.lets_in("veh1", secret("veh1"))
    del accounts.units["veh1"]
    accounts.write()
    assert not judge.lets_in("veh1", secret("veh1"))
    assert not judge.may("veh1", "subscribe", ACK)


@pytest.mark.parametrize(
    ("path", "form", "answer"),
    [
        ("user", {"username": "veh1", "password": secret("veh1"), "client_id": "veh1"}, "allow"),
        ("user", {"username": "veh1", "password": "guessed"}, "deny"),
        ("user", {}, "deny"),
        ("vhost", {"username": "veh1", "vhost": "/"}, "allow"),
        ("vhost", {"username": "nobody", "vhost": "/"}, "deny"),
        (
            "resource",
            {"resource": "queue", "name": "mqtt-subscription-veh1qos1", "permission": "read"},
            "allow",
        ),
        (
            "resource",
            {"resource": "queue", "name": "mqtt-subscription-veh2qos1", "permission": "read"},
            "deny",
        ),
        ("resource", {"resource": "queue", "name": "other", "permission": "read"}, "deny"),
        ("resource", {"resource": "exchange", "name": "amq.topic", "permission": "write"}, "allow"),
        ("resource", {"resource": "exchange", "name": "amq.topic", "permission": "configure"}, "deny"),
        ("resource", {"resource": "exchange", "name": "amq.direct", "permission": "write"}, "deny"),
        ("topic", {"permission": "write", "routing_key": "fleet.v1.helsinki.veh1.telemetry"}, "allow"),
        ("topic", {"permission": "write", "routing_key": "fleet.v1.helsinki.veh2.telemetry"}, "deny"),
        ("topic", {"permission": "read", "routing_key": "fleet.v1.helsinki.veh1.ack"}, "allow"),
        ("topic", {"permission": "read", "routing_key": "fleet.v1.helsinki.*.ack"}, "deny"),
        ("topic", {"permission": "read", "routing_key": "#"}, "deny"),
        ("other", {}, "deny"),
    ],
)
def test_rabbitmq(judge: Judge, path: str, form: dict[str, str], answer: str) -> None:
    asked = {"username": "veh1", "name": "amq.topic", **form} if form else {}
    assert judge.rabbitmq(path, asked) == answer


@pytest.mark.parametrize(
    ("path", "asked", "answer"),
    [
        ("authn", {"username": "veh1", "password": secret("veh1"), "clientid": "veh1"}, "allow"),
        ("authn", {"username": "veh1", "password": secret("veh1"), "clientid": "veh2"}, "deny"),
        ("authn", {"username": "veh1", "password": secret("veh1")}, "deny"),
        ("authz", {"username": "veh1", "action": "subscribe", "topic": ACK}, "allow"),
        ("authz", {"username": "veh1", "action": "publish", "topic": ACK}, "deny"),
        ("authz", {"username": "gateway", "action": "publish", "topic": ACK}, "allow"),
        ("authz", {"username": "gateway", "action": "all", "topic": ACK}, "deny"),
        ("other", {"username": "gateway", "action": "publish", "topic": ACK}, "deny"),
        ("authn", [], "deny"),
    ],
)
def test_emqx(judge: Judge, path: str, asked: object, answer: str) -> None:
    assert json.loads(judge.emqx(path, json.dumps(asked).encode())) == {"result": answer}


def test_ejabberd_asks_by_pipe(accounts: Accounts) -> None:
    fields: dict[str, Any] = {"credentials_file": accounts.file, "credentials_key_file": accounts.key_file}
    settings = BrokerAuthSettings(**fields)
    asked = [
        f"auth:veh1:fleet.internal:{secret('veh1')}",
        "auth:veh1:fleet.internal:guessed:with:colons",
        "isuser:veh1:fleet.internal",
        "isuser:nobody:fleet.internal",
        "setpass:veh1:fleet.internal:new",
        "",
    ]
    questions = b"".join(len(one).to_bytes(2, "big") + one.encode() for one in asked)
    answers = io.BytesIO()
    answer_ejabberd(settings, io.BytesIO(questions), answers)
    assert answers.getvalue() == b"".join(b"\0\2\0" + bytes((good,)) for good in (1, 0, 1, 0, 0, 0))


@pytest.fixture
async def url(judge: Judge) -> AsyncIterator[str]:
    server = await serve(judge, "127.0.0.1", 0)
    async with server:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())


async def test_the_questions_come_by_http(url: str) -> None:
    async with httpx.AsyncClient(timeout=60, base_url=url, trust_env=False) as client:
        form = {"username": "veh1", "password": secret("veh1"), "vhost": "/"}
        assert (await client.post("/rabbitmq/user", data=form)).text == "allow"
        asked = {"username": "veh1", "password": "guessed", "clientid": "veh1"}
        assert (await client.post("/emqx/authn", json=asked)).json() == {"result": "deny"}
        strange = await client.post("/rabbitmq/user", content=b"username=%ff&password=\xff")
        assert (strange.status_code, strange.text) == (200, "deny")
        assert (await client.get("/rabbitmq/user", params=form)).status_code == 405
        assert (await client.post("/elsewhere")).status_code == 404


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"POST /x HTTP/1.1\r\nContent-Length: many\r\n\r\n"])
async def test_what_is_no_request_is_closed(url: str, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(sent)
    assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()
    await writer.wait_closed()
