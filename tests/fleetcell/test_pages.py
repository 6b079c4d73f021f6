"""Pages over HTTP, asked by a client and by visitors that are none."""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus

import httpx
from prometheus_client import CollectorRegistry, Counter

from fleetcell.pages import Page, json_page, metrics_page, serve_pages


async def test_pages_are_served_by_path() -> None:
    registry = CollectorRegistry()
    Counter("heard", "What was heard", registry=registry).inc(3)
    server = await serve_pages(
        {
            "/metrics": lambda: metrics_page(registry),
            "/readyz": lambda: json_page({"reasons": ["a test"]}, HTTPStatus.SERVICE_UNAVAILABLE),
            "/healthz": lambda: Page(b"ok\n"),
        },
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        httpx.AsyncClient(timeout=60, base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        assert "heard_total 3.0" in (await client.get("/metrics")).text.splitlines()
        ready = await client.get("/readyz?verbose")
        assert (ready.status_code, ready.json()) == (503, {"reasons": ["a test"]})
        assert (await client.get("/healthz")).text == "ok\n"
        missing = await client.get("/else")
        assert (missing.status_code, missing.text) == (404, "there is /metrics, /readyz, /healthz\n")
        assert (await client.post("/healthz")).status_code == 405


async def test_a_post_is_answered_by_its_body() -> None:
    server = await serve_pages(
        {"/healthz": lambda: Page(b"ok\n")}, "127.0.0.1", 0, {"/count": lambda body: Page(b"%d" % len(body))}
    )
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        httpx.AsyncClient(timeout=60, base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        assert (await client.post("/count", content=bytes(65_536))).text == "65536"
        assert (await client.post("/count")).text == "0"
        wrong = await client.get("/count")
        assert (wrong.status_code, wrong.text) == (405, "POST only\n")
        assert (await client.post("/else")).text == "there is /healthz, /count\n"


async def test_a_visitor_that_is_no_client_is_let_go() -> None:
    server = await serve_pages({"/healthz": lambda: Page(b"ok\n")}, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    too_much, half = b"Content-Length: 65537\r\n\r\n", b"Content-Length: 3\r\n\r\nab"
    async with server:
        for noise in (
            b"\x10\x00" * 10_000,
            b"GET / HTTP/1.1\r\n",
            b"GET /\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
            b"POST / HTTP/1.1\r\n" + too_much,
            b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
            b"POST / HTTP/1.1\r\n" + half,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(noise)
            writer.write_eof()
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
    assert unhandled == []
