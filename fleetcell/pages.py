"""A few pages over HTTP, such as /metrics and /healthz, and answers to questions, on a port of their own.

For services that have no HTTP server otherwise. One request a connection, no query.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_REQUEST_S: Final = 5.0
_HEAD_LIMIT: Final = 8192  # bytes
_MOST_BODY: Final = 65_536


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    body: bytes
    kind: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


def metrics_page(registry: CollectorRegistry) -> Page:
    """The metrics of a registry, as Prometheus reads them."""
    return Page(generate_latest(registry), CONTENT_TYPE_LATEST)


def json_page(content: Any, status: HTTPStatus = HTTPStatus.OK) -> Page:
    """Content as JSON."""
    return Page(json.dumps(content).encode(), "application/json", status)


async def serve_pages(
    pages: Mapping[str, Callable[[], Page]],
    host: str,
    port: int,
    answers: Mapping[str, Callable[[bytes], Page]] | None = None,
) -> asyncio.Server:
    """Serve pages by their path; port 0 picks a free one. The server serves until it is closed.

    `pages` is what a GET gets, `answers` what a POST gets, made of its body.

    Raises:
        OSError: the port is taken.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_S):
                request = await _read(reader)
                writer.write(_response(_page(pages, answers or {}, request)))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, _NoHttpError):
            pass  # a visitor that does not speak HTTP, or left
        finally:
            writer.close()

    return await asyncio.start_server(answer, host, port, limit=_HEAD_LIMIT, reuse_address=True)


class _NoHttpError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    body: bytes


async def _read(reader: asyncio.StreamReader) -> _Request:
    line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    words = line.split(" ")
    if len(words) != 3:
        raise _NoHttpError
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    size = fields.get("content-length", "0")
    if not size.isdecimal() or len(size) > 9 or int(size) > _MOST_BODY:  # int() raises at thousands of digits
        raise _NoHttpError
    return _Request(words[0], words[1].partition("?")[0], await reader.readexactly(int(size)))


def _page(
    pages: Mapping[str, Callable[[], Page]], answers: Mapping[str, Callable[[bytes], Page]], request: _Request
) -> Page:
    path = request.path
    if request.method == "GET" and path in pages:
        return pages[path]()
    if request.method == "POST" and path in answers:
        return answers[path](request.body)
    if path in pages or path in answers:
        only = "GET" if path in pages else "POST"
        return Page(f"{only} only\n".encode(), status=HTTPStatus.METHOD_NOT_ALLOWED)
    return Page(f"there is {', '.join([*pages, *answers])}\n".encode(), status=HTTPStatus.NOT_FOUND)


def _response(page: Page) -> bytes:
    head = (
        f"HTTP/1.1 {page.status.value} {page.status.phrase}\r\nContent-Type: {page.kind}\r\n"
        f"Content-Length: {len(page.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + page.body
