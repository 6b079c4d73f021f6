"""A few read-only pages over HTTP, such as /metrics and /healthz, on a port of their own.

For services that have no HTTP server otherwise. One request a connection, GET only, no query.
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


async def serve_pages(pages: Mapping[str, Callable[[], Page]], host: str, port: int) -> asyncio.Server:
    """Serve pages by their path; port 0 picks a free one. The server serves until it is closed.

    Raises:
        OSError: the port is taken.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(_page(pages, head)))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a visitor that does not speak HTTP, or left
        finally:
            writer.close()

    return await asyncio.start_server(answer, host, port, limit=_HEAD_LIMIT, reuse_address=True)


def _page(pages: Mapping[str, Callable[[], Page]], head: bytes) -> Page:
    method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
    if method != b"GET":
        return Page(b"GET only\n", status=HTTPStatus.METHOD_NOT_ALLOWED)
    path = rest.split(b" ", 1)[0].split(b"?", 1)[0].decode("latin-1")
    make = pages.get(path)
    if make is None:
        return Page(f"there is {', '.join(pages)}\n".encode(), status=HTTPStatus.NOT_FOUND)
    return make()


def _response(page: Page) -> bytes:
    head = (
        f"HTTP/1.1 {page.status.value} {page.status.phrase}\r\nContent-Type: {page.kind}\r\n"
        f"Content-Length: {len(page.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + page.body
