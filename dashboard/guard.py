"""The gate in front of the application, for HTTP and WebSocket alike: who is it, and may it come in."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import Depends
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard.auth import Principal, Role, SignInError, Tokens, key_hash, role_of, same_origin
from dashboard.database import Database
from dashboard.errors import DatabaseUnavailableError
from dashboard.problems import ProblemResponse

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN: Final = frozenset(
    {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/sign-in"), ("POST", "/api/v1/session")}
)
MAX_BODY: Final = 1024 * 1024  # bytes; ten thousand vehicle ids fit
KEY_CACHE_S: Final = 5.0  # a revoked key ends within this
KEY_CACHE_SIZE: Final = 1000
HOW: Final = (
    "sign in with the link that `fleetcell up` prints, or send `Authorization: Bearer KEY` "
    "(`fleetcell up` keeps an admin key in admin.key of its data folder)"
)


class Keys:
    """API keys, looked up by hash, and what accounts may still do; remembered for a few seconds."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._cache: dict[bytes, tuple[float, Principal | None]] = {}
        self._roles: dict[tuple[str, str], tuple[float, Role | None]] = {}

    async def find(self, key: str) -> Principal | None:
        """Who has this key; None: nobody, or it was revoked.

        Raises:
            DatabaseUnavailableError: it cannot be looked up now.
        """
        digest, now = key_hash(key), self._clock()
        known = self._cache.get(digest)
        if known is not None and now < known[0]:
            return known[1]
        row = await self._database.fetch_row("key_find", digest)
        principal = None
        if row is not None:
            principal = Principal(f"key {row['name']}", role_of(row["role"]), account=("key", row["name"]))
        if len(self._cache) >= KEY_CACHE_SIZE:
            self._cache.clear()
        self._cache[digest] = (now + KEY_CACHE_S, principal)
        return principal

    async def renew(self, principal: Principal) -> Principal | None:
        """The principal with the role that its account has now; None: signed out, expired or revoked.

        Raises:
            DatabaseUnavailableError: it cannot be looked up now.
        """
        if principal.expires_at is not None and time.time() >= principal.expires_at:
            return None
        if principal.account is None:
            return principal
        now = self._clock()
        known = self._roles.get(principal.account)
        if known is None or now >= known[0]:
            label = await self._database.fetch_value("account_role", *principal.account)
            if len(self._roles) >= KEY_CACHE_SIZE:
                self._roles.clear()
            known = (now + KEY_CACHE_S, None if label is None else role_of(label))
            self._roles[principal.account] = known
        role = known[1]
        return None if role is None else replace(principal, role=min(role, principal.role))


class Guard:
    """Lets a request in when its path is open to all, or when it proves who it is.

    Open are signing in, /healthz, /readyz and the files of the web page; every other path of the
    application is closed, also one that is added later. The principal is left in
    `scope["state"]["principal"]`; `require` asks for more than a viewer.

    Args:
        app: what is guarded.
        is_page: whether a path is a file of the web page, and not one of the application's.
        tokens: reads session cookies.
        keys: finds API keys.
        public_url: how browsers reach the server, when not by the Host that they send.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        is_page: Callable[[str], bool],
        tokens: Tokens,
        keys: Keys,
        public_url: str | None,
    ) -> None:
        self._app = app
        self._is_page = is_page
        self._tokens = tokens
        self._keys = keys
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if scope.get("method") == "HEAD":
            scope = {**scope, "method": "GET"}  # the same answer; the server leaves the body out
        refusal = await self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await self._refuse_websocket(refusal, scope, receive, send)

    async def _refusal(self, scope: Scope) -> ProblemResponse | None:
        """Why this request may not come in; None when it may."""
        path, method = scope["path"], scope.get("method", "GET")
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        if len(size := headers.get("content-length", "0")) > 15 or not size.isdigit() or int(size) > MAX_BODY:
            return ProblemResponse(413, f"a request body has at most {MAX_BODY} bytes: send less at a time")
        is_open = (method, path) in OPEN or (method == "GET" and self._is_page(path))
        if scope["type"] == "http" and is_open:
            return None
        try:
            principal = await self._principal(headers)
        except SignInError as error:
            return self._unauthorized(str(error))
        except DatabaseUnavailableError as error:
            return ProblemResponse(503, f"the key cannot be checked: {error}", headers={"Retry-After": "2"})
        if principal is None:
            return self._unauthorized(HOW)
        unsafe = scope["type"] == "websocket" or method not in SAFE_METHODS
        by_browser = principal.by_cookie  # nobody else's page can make it send a key
        if unsafe and by_browser and not same_origin(headers, scope.get("scheme", "http"), self._public_url):
            return ProblemResponse(
                403,
                f"the Origin {headers.get('origin', '(none)')!r} is not this server's: a session works "
                "from its own pages only; set FLEETCELL_PUBLIC_URL when a proxy changes the address",
            )
        state["principal"] = principal
        return None

    async def _principal(self, headers: Headers) -> Principal | None:
        authorization = headers.get("authorization")
        if authorization is not None:
            scheme, _, key = authorization.partition(" ")
            if scheme.lower() != "bearer" or not key.strip():
                raise SignInError("write the header as `Authorization: Bearer KEY`")
            principal = await self._keys.find(key.strip())
            if principal is None:
                raise SignInError("there is no such API key, or it was revoked")
            return principal
        cookie = cookie_parser(headers.get("cookie", "")).get(self._tokens.cookie_name)
        if not cookie:
            return None
        principal = await self._keys.renew(self._tokens.session(cookie))
        if principal is None:
            raise SignInError("this account was removed, or its key revoked")
        return principal

    @staticmethod
    def _unauthorized(detail: str) -> ProblemResponse:
        return ProblemResponse(401, detail, headers={"WWW-Authenticate": "Bearer"})

    @staticmethod
    async def _refuse_websocket(refusal: ProblemResponse, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": "not allowed"})
            return
        await send(
            {
                "type": "websocket.http.response.start",
                "status": refusal.status_code,
                "headers": refusal.raw_headers,
            }
        )
        await send({"type": "websocket.http.response.body", "body": refusal.body})


def principal_of(connection: HTTPConnection) -> Principal:
    """Who makes this request; the guard has let it in."""
    principal = connection.scope["state"]["principal"]
    assert isinstance(principal, Principal)
    return principal


def require(role: Role) -> Any:
    """A dependency: this path is for a role and those above it."""

    def check(connection: HTTPConnection) -> None:
        principal = principal_of(connection)
        if principal.role < role:
            raise HTTPException(
                403, f"this needs the role {role.label}; {principal.name} has {principal.role.label}"
            )

    return Depends(check)


Who = Annotated[Principal, Depends(principal_of)]
