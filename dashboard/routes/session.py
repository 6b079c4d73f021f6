"""Signing in: by link, by password, by API key; and out."""

import html
import time
from datetime import UTC, datetime
from typing import Annotated, Self

import structlog
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dashboard import shapes
from dashboard.answers import Json, schema_reference
from dashboard.auth import SESSION_LIFETIME, Principal, SignInError, Tokens, same_origin
from dashboard.guard import Who
from dashboard.passwords import TooManyAttemptsError
from dashboard.services import Services, Wired

log = structlog.get_logger()

pages = APIRouter(include_in_schema=False)
router = APIRouter(tags=["session"])


class SignIn(BaseModel):
    """`user` and `password`, or an API `key`."""

    model_config = ConfigDict(extra="forbid")

    user: Annotated[str, Field(max_length=128)] | None = None
    password: Annotated[SecretStr, Field(max_length=1024)] | None = None
    key: Annotated[SecretStr, Field(max_length=256)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        by_password = self.user is not None and self.password is not None and self.key is None
        by_key = self.key is not None and self.user is None and self.password is None
        if not by_password and not by_key:
            raise ValueError('give {"user": "...", "password": "..."} or {"key": "..."}')
        return self


@pages.get("/sign-in")
async def by_link(
    request: Request, services: Wired, token: Annotated[str, Query(max_length=2048)] = ""
) -> Response:
    """The sign-in link of `fleetcell up`: makes a session and shows the page."""
    try:
        principal = services.tokens.use_link(token, time.time())
    except SignInError as error:
        if _is_signed_in(request, services.tokens):  # the link was opened a second time
            return RedirectResponse("/", status_code=303)
        return _sign_in_failed(str(error))
    log.info("signed in by link", name=principal.name, role=principal.role.label)
    return _with_session(RedirectResponse("/", status_code=303), request, services, principal)


@router.post("/session", responses=schema_reference(shapes.Session))
async def sign_in(request: Request, wish: SignIn, services: Wired) -> Response:
    """Make a session cookie from user and password, or from an API key."""
    if "origin" in request.headers and not same_origin(
        request.headers, request.url.scheme, services.public_url
    ):
        raise HTTPException(403, "sign in from this server's own page")
    try:
        principal = await _check(services, wish)
    except SignInError as error:
        raise HTTPException(401, str(error)) from None
    except TooManyAttemptsError as error:
        raise HTTPException(429, str(error), headers={"Retry-After": "300"}) from None
    log.info("signed in", name=principal.name, role=principal.role.label)
    expires = int(time.time() + SESSION_LIFETIME.total_seconds())
    answer = Json(_session_of(Principal(principal.name, principal.role, expires_at=expires)))
    return _with_session(answer, request, services, principal)


async def _check(services: Services, wish: SignIn) -> Principal:
    if wish.key is not None:
        found = await services.keys.find(wish.key.get_secret_value())
        if found is None:
            raise SignInError("there is no such API key, or it was revoked")
        return found
    assert wish.user is not None
    assert wish.password is not None
    return await services.passwords.check(wish.user, wish.password.get_secret_value())


@router.get("/session", responses=schema_reference(shapes.Session))
async def session(who: Who) -> Response:
    """Who is signed in, with which role."""
    return Json(_session_of(who))


@router.delete("/session", status_code=204)
async def sign_out(services: Wired) -> Response:
    """Forget the session cookie."""
    response = Response(status_code=204)
    response.delete_cookie(services.tokens.cookie_name, httponly=True, samesite="lax")
    return response


def _session_of(who: Principal) -> shapes.Session:
    expires = None if who.expires_at is None else datetime.fromtimestamp(who.expires_at, UTC)
    return shapes.Session(who.name, who.role.label, expires)


def _is_signed_in(request: Request, tokens: Tokens) -> bool:
    cookie = request.cookies.get(tokens.cookie_name)
    try:
        return bool(cookie) and tokens.session(cookie or "") is not None
    except SignInError:
        return False


def _with_session(response: Response, request: Request, services: Services, who: Principal) -> Response:
    secure = request.url.scheme == "https" or (services.public_url or "").startswith("https:")
    response.set_cookie(
        services.tokens.cookie_name,
        services.tokens.make("session", who.name, who.role, SESSION_LIFETIME, time.time(), who.account),
        max_age=int(SESSION_LIFETIME.total_seconds()),
        httponly=True,
        samesite="lax",  # strict would not send it on the first page after a link in a mail or terminal
        secure=secure,
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _sign_in_failed(reason: str) -> Response:
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><title>fleetcell: sign in</title>"
        f"<h1>Not signed in</h1><p>{html.escape(reason)}.</p>"
        "<p>Take a fresh link: <code>fleetcell up</code> prints one at each start. "
        'Or <a href="/">sign in</a> with an API key; <code>admin.key</code> in the data folder has one.</p>',
        status_code=401,
        headers={"Cache-Control": "no-store"},
    )
