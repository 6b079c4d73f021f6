"""Errors as RFC 9457 `application/problem+json`, every one, with what to do about it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

import asyncpg
import msgspec
import structlog
from fastapi.exceptions import RequestValidationError, ValidationException, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.websockets import WebSocketState

from dashboard.database import STATEMENT_TIMEOUT_S, UNREACHABLE
from dashboard.errors import BadRequestError, DatabaseUnavailableError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from fastapi import FastAPI
    from starlette.requests import HTTPConnection, Request
    from starlette.websockets import WebSocket

    _Answer = Callable[[HTTPConnection, Exception], Response]

log = structlog.get_logger()

MEDIA_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457. `detail` says what to do; `errors` lists each wrong parameter or field."""

    status: int
    title: str
    detail: str
    type: str = "about:blank"
    errors: list[dict[str, str]] | None = None


class ProblemResponse(Response):
    """A problem as an answer."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: list[dict[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        problem = Problem(status, HTTPStatus(status).phrase, detail, errors=errors)
        super().__init__(msgspec.json.encode(problem), status_code=status, headers=headers)


def install(app: FastAPI) -> None:
    """Answer every error of the application as a problem."""
    answers: dict[type[Exception], _Answer] = {
        RequestValidationError: _validation,
        WebSocketRequestValidationError: _validation,
        BadRequestError: _bad_request,
        NotFoundError: _not_found,
        HTTPException: _http,
        DatabaseUnavailableError: _unavailable,
        asyncpg.QueryCanceledError: _too_slow,
        **dict.fromkeys(UNREACHABLE, _unavailable),
        Exception: _unexpected,
    }
    for kind, answer in answers.items():
        app.add_exception_handler(kind, _handler(answer))  # type: ignore[arg-type] # one for both protocols


def _handler(answer: _Answer) -> Callable[[Request | WebSocket, Exception], Awaitable[Response | None]]:
    """The same answer for a request and, before it is accepted, for a WebSocket."""

    async def handle(connection: Request | WebSocket, error: Exception) -> Response | None:
        response = answer(connection, error)
        if connection.scope["type"] == "http":
            return response
        socket = cast("WebSocket", connection)
        if socket.application_state is WebSocketState.CONNECTING:
            await socket.send_denial_response(response)
        else:
            await socket.close(1011)
        return None

    return handle


def _bad_request(_request: HTTPConnection, error: Exception) -> Response:
    return ProblemResponse(422, str(error))


def _not_found(_request: HTTPConnection, error: Exception) -> Response:
    return ProblemResponse(404, str(error))


def _unavailable(_request: HTTPConnection, error: Exception) -> Response:
    return ProblemResponse(
        503,
        f"{error}. Try again in a few seconds; /readyz says what is missing",
        headers={"Retry-After": "2"},
    )


def _too_slow(_request: HTTPConnection, _error: Exception) -> Response:
    return ProblemResponse(
        503,
        f"the database worked on this for more than {STATEMENT_TIMEOUT_S} s and was stopped: "
        "narrow since and until, name fewer vehicles or signals, or take wider buckets",
    )


def _unexpected(request: HTTPConnection, error: Exception) -> Response:
    log.error("a request failed", path=request.url.path, exc_info=error)
    return ProblemResponse(500, "the server has a fault; its log says which")


def _http(request: HTTPConnection, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == 404 and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = f"there is nothing at {request.url.path}; /docs lists what there is"
    elif error.status_code == 405:
        detail = f"this method is not possible at {request.url.path}; /docs lists what is"
    return ProblemResponse(error.status_code, detail, headers=error.headers)


def _validation(_request: HTTPConnection, error: Exception) -> Response:
    assert isinstance(error, ValidationException)
    errors = [_one(found) for found in error.errors()]
    detail = "; ".join(f"{found['at']}: {found['detail']}" for found in errors)
    return ProblemResponse(422, detail, errors=errors)


def _one(found: Any) -> dict[str, str]:
    location: Sequence[str | int] = found.get("loc", ())
    where = str(location[0]) if location else "request"
    name = "/".join(str(part) for part in location[1:])
    message = str(found.get("msg", "not valid")).removeprefix("Value error, ")
    return {"in": where, "at": name or where, "detail": message}
