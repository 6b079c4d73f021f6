"""Who may do what, over real HTTP: keys, links, sessions, roles, origins, and what is open."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import websockets
from websockets.asyncio.client import connect

from dashboard.auth import Role, Tokens, key_hash, make_sign_in_link
from dashboard.pages import STATIC
from dashboard.server import make_server
from tests.dashboard.conftest import PATIENCE_S, Running, serving, settings_of
from tests.dashboard.fleet import Fleet
from tests.postgres_servers import Database

NAME = "00000000-0000-0000-0000-000000000000"  # of anything: a vehicle or a command
OPEN = {"/healthz", "/readyz", "/sign-in"}


@pytest.fixture
async def session_key(running: Running) -> str:
    return running.dashboard.settings.session_key_file.read_text()


def browser(running: Running) -> httpx.AsyncClient:
    """A client without a key, with a cookie jar."""
    return httpx.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False, verify=False)


async def key_with(running: Running, role: str) -> dict[str, str]:
    key = f"{role}-" + "k" * 40
    await running.fleet.connection.execute("SELECT api.key_put($1, $2, $3)", role, role, key_hash(key))
    return {"Authorization": f"Bearer {key}"}


async def test_everything_is_closed_but_what_must_be_open(running: Running) -> None:
    document = (await running.api.get("/openapi.json")).json()
    paths = set(document["paths"]) | {
        "/docs",
        "/redoc",
        "/openapi.json",
        "/metrics",
        "/static-offline-docs/x.js",
    }
    assert len(paths) > 20
    async with browser(running) as nobody:
        for path in sorted(paths - OPEN):
            for method in ("GET", "POST", "DELETE", "OPTIONS"):
                if (method, path) == ("POST", "/api/v1/session"):
                    continue
                answer = await nobody.request(method, re.sub(r"{\w+}", NAME, path))
                assert answer.status_code == 401, (method, path)
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["www-authenticate"] == "Bearer"
        assert (await nobody.get("/healthz")).status_code == 200
        assert (await nobody.get("/api/v1/no/such/path")).status_code == 401
        assert (await nobody.post("/anything")).status_code == 401


async def test_a_revoked_key_ends(running: Running) -> None:
    viewer = await key_with(running, "viewer")
    async with browser(running) as client:
        assert (await client.get("/api/v1/fleet", headers=viewer)).status_code == 200
        await running.fleet.connection.execute("SELECT api.key_revoke('viewer')")
        keys = running.dashboard.services.keys
        keys._clock = lambda: time.monotonic() + 6  # five seconds later
        assert (await client.get("/api/v1/fleet", headers=viewer)).status_code == 401
        for wrong in ("Bearer", "Basic abc", "Bearer " + "x" * 43):
            answer = await client.get("/api/v1/fleet", headers={"Authorization": wrong})
            assert answer.status_code == 401


async def test_a_session_and_a_live_view_end_with_their_key(running: Running) -> None:
    viewer = await key_with(running, "viewer")
    key = viewer["Authorization"].removeprefix("Bearer ")
    keys = running.dashboard.services.keys
    async with browser(running) as client:
        assert (await client.post("/api/v1/session", json={"key": key})).status_code == 200
        assert (await client.get("/api/v1/session")).json()["role"] == "viewer"
        async with connect(f"{running.ws_url}/api/v1/live", additional_headers=viewer, proxy=None) as socket:
            await socket.recv()
            await running.fleet.connection.execute("SELECT api.key_revoke('viewer')")
            keys._clock = lambda: time.monotonic() + 6  # five seconds later
            assert (await client.get("/api/v1/session")).status_code == 401
            await asyncio.wait_for(socket.wait_closed(), 60)  # with the next frame of time
            assert socket.close_code == 1008
            assert "signed out" in (socket.close_reason or "")


async def test_a_lower_role_counts_at_once(running: Running) -> None:
    hashed = running.dashboard.services.passwords.hash("correct horse")
    await running.fleet.connection.execute("SELECT api.user_put('ann', 'admin', $1)", hashed)
    async with browser(running) as client:
        await client.post("/api/v1/session", json={"user": "ann", "password": "correct horse"})
        assert (await client.get("/api/v1/session")).json()["role"] == "admin"
        await running.fleet.connection.execute("SELECT api.user_put('ann', 'viewer')")
        running.dashboard.services.keys._clock = lambda: time.monotonic() + 6  # five seconds later
        assert (await client.get("/api/v1/session")).json()["role"] == "viewer"
        answer = await client.post("/api/v1/vehicles", json={"id": "a"}, headers={"Origin": running.url})
        assert answer.status_code == 403


async def test_roles(running: Running) -> None:
    viewer = await key_with(running, "viewer")
    operator = await key_with(running, "operator")
    for who in (viewer, operator):
        async with browser(running) as client:
            answer = await client.post("/api/v1/vehicles", json={"id": "a"}, headers=who)
            assert answer.status_code == 403
            assert "needs the role admin" in answer.json()["detail"]
    me = (await running.api.get("/api/v1/session")).json()
    assert me == {"name": "key admin.key", "role": "admin", "expires_at": None}


async def test_a_sign_in_link_lets_in_once(running: Running, session_key: str) -> None:
    link = make_sign_in_link(running.url, session_key, "operator")
    async with browser(running) as first, browser(running) as second:
        answer = await first.get(link)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie  # plain HTTP here
        me = (await first.get("/api/v1/session")).json()
        assert (me["name"], me["role"]) == ("up", "operator")
        again = await second.get(link)
        assert again.status_code == 401
        assert "used before" in again.text
        assert (await first.get(link)).status_code == 303  # who is in may open it again
        gone = await first.request("DELETE", "/api/v1/session", headers={"Origin": running.url})
        assert gone.status_code == 204
        assert (await first.get("/api/v1/session")).status_code == 401


async def test_wrong_links_are_refused(running: Running, session_key: str) -> None:
    tokens = Tokens(session_key.strip())
    expired = make_sign_in_link(running.url, session_key, lifetime=timedelta(seconds=-1))
    forged = make_sign_in_link(running.url, "x" * 43)
    session = tokens.make("session", "me", Role.ADMIN, timedelta(hours=1), time.time())
    for link in (expired, forged, f"{running.url}/sign-in?token={session}", f"{running.url}/sign-in"):
        async with browser(running) as client:
            answer = await client.get(link)
            assert answer.status_code == 401
            assert "set-cookie" not in answer.headers
    link_token = tokens.make("sign-in", "me", Role.ADMIN, timedelta(hours=1), time.time())
    async with browser(running) as client:  # a link is not a session
        client.cookies.set(tokens.cookie_name, link_token)
        assert (await client.get("/api/v1/fleet")).status_code == 401


async def test_password_sign_in_and_its_limit(running: Running) -> None:
    hashed = running.dashboard.services.passwords.hash("correct horse")
    assert hashed.startswith("$argon2id$")
    await running.fleet.connection.execute("SELECT api.user_put('ann', 'viewer', $1)", hashed)
    async with browser(running) as client:
        right = {"user": "ann", "password": "correct horse"}
        answer = await client.post("/api/v1/session", json=right)
        assert answer.status_code == 200
        assert answer.json()["role"] == "viewer"
        assert (await client.get("/api/v1/fleet")).status_code == 200
        for body in ({"user": "ann", "password": "wrong"}, {"user": "bob", "password": "correct horse"}):
            refused = await client.post("/api/v1/session", json=body)
            assert refused.status_code == 401
            assert refused.json()["detail"] == "user or password is wrong"
        running.dashboard.services.passwords._failures["ann"] = [time.monotonic()] * 10
        limited = await client.post("/api/v1/session", json=right)
        assert limited.status_code == 429
        assert limited.headers["retry-after"] == "300"
        assert (await client.post("/api/v1/session", json={"user": "ann"})).status_code == 422


async def test_key_sign_in(running: Running) -> None:
    async with browser(running) as client:
        assert (await client.post("/api/v1/session", json={"key": "nonsense"})).status_code == 401
        assert (await client.post("/api/v1/session", json={"key": running.admin_key})).status_code == 200
        assert (await client.get("/api/v1/session")).json()["role"] == "admin"


async def test_another_page_cannot_use_a_session(running: Running, session_key: str) -> None:
    async with browser(running) as client:
        await client.get(make_sign_in_link(running.url, session_key))
        elsewhere = {"Origin": "https://evil.example"}
        body = {"id": "a"}
        assert (await client.post("/api/v1/vehicles", json=body, headers=elsewhere)).status_code == 403
        assert (await client.post("/api/v1/vehicles", json=body)).status_code == 403  # says nothing
        other_port = {"Origin": "http://127.0.0.1:1"}
        assert (await client.post("/api/v1/vehicles", json=body, headers=other_port)).status_code == 403
        own = {"Origin": running.url}
        assert (await client.post("/api/v1/vehicles", json=body, headers=own)).status_code == 201
        signing_in = await client.post("/api/v1/session", json={"key": running.admin_key}, headers=elsewhere)
        assert signing_in.status_code == 403
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
        for origin in (elsewhere, {}):
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with connect(
                    f"{running.ws_url}/api/v1/live", additional_headers=cookie | origin, proxy=None
                ):
                    pass
            assert refused.value.response.status_code == 403
        async with connect(
            f"{running.ws_url}/api/v1/live", additional_headers=cookie | own, proxy=None
        ) as ws:
            assert "snapshot" in str(await ws.recv())


async def test_behind_a_proxy_with_https(plain_database: Database, fleet: Fleet, tmp_path: Path) -> None:
    settings = settings_of(plain_database, tmp_path, public_url="https://fleet.example.org")
    async with serving(settings, plain_database, fleet) as running, browser(running) as client:
        link = make_sign_in_link(running.url, settings.session_key_file.read_text())
        answer = await client.get(link)
        assert "Secure" in answer.headers["set-cookie"]
        name, _, rest = answer.headers["set-cookie"].partition("=")
        headers = {"Cookie": f"{name}={rest.partition(';')[0]}", "Origin": "https://fleet.example.org"}
        async with browser(running) as plain:
            made = await plain.post("/api/v1/vehicles", json={"id": "a"}, headers=headers)
            assert made.status_code == 201


async def test_security_headers(running: Running) -> None:
    async with browser(running) as client:
        for path in ("/", "/healthz", "/api/v1/fleet"):
            headers = (await client.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert "unsafe-inline" not in policy
            assert f"connect-src 'self' ws://{urlsplit(running.url).netloc}" in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert "server" not in headers
    docs = await running.api.get("/docs")
    assert docs.status_code == 200
    assert "https://" not in docs.text  # no CDN


async def test_too_large_a_body_is_refused(running: Running) -> None:
    async with browser(running) as client:
        body = b'{"key": "' + b"x" * (1024 * 1024) + b'"}'
        answer = await client.post(
            "/api/v1/session", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"


async def test_too_large_a_body_without_a_length_is_refused(running: Running) -> None:
    """By the application itself, so that no socket closes under the client's hands."""
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        yield b'{"key": "'
        for _ in range(64):
            read += 1
            yield b"x" * 65_536

    transport = httpx.ASGITransport(app=make_server(running.dashboard.services))
    async with httpx.AsyncClient(transport=transport, base_url=running.url) as client:
        answer = await client.post(
            "/api/v1/session", content=chunks(), headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert read < 32  # it stops to read where it is too much


async def test_pages_stay_in_their_folder(running: Running) -> None:
    async with browser(running) as client:
        for path in ("/%2e%2e/app.py", "/..%2fapp.py", "/assets/none.js", "/no.txt"):
            assert (await client.get(path)).status_code == 404, path
        root = await client.get("/")
        assert root.status_code == 200
        built = (STATIC / "index.html").is_file()
        assert ("run build" in root.text) is not built
