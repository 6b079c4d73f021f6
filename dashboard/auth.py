"""Who may do what: API keys, sign-in links, sessions and roles. Deny by default; `guard` enforces it.

A key and a link are random or signed, so a fast hash is enough for keys; passwords of people are argon2id.
Sessions are signed cookies (HS256): no state on the server, and any dashboard with the same key takes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote, urlsplit

import jwt

from fleetcell.contract.errors import ConfigError, FleetcellError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ALGORITHM: Final = "HS256"
KEY_BYTES: Final = 32
SESSION_LIFETIME: Final = timedelta(hours=12)
LINK_LIFETIME: Final = timedelta(hours=1)
Purpose = Literal["sign-in", "session"]


class SignInError(FleetcellError):
    """This sign-in is not valid."""


class Role(IntEnum):
    """What a principal may do; each role may do all that the lower ones may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def label(self) -> str:
        """As the API and the database write it."""
        return self.name.lower()


def role_of(label: str) -> Role:
    """The role of a name.

    Raises:
        ValueError: there is no such role.
    """
    try:
        return Role[label.upper()]
    except KeyError:
        raise ValueError(f"{label!r} is not a role: viewer, operator or admin") from None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request.

    by_cookie: a browser sends the credential by itself.
    expires_at: seconds since 1970; None for an API key.
    account: (`key` or `user`, its name) that can be revoked; None for a sign-in link.
    """

    name: str
    role: Role
    by_cookie: bool = False
    expires_at: int | None = None
    account: tuple[str, str] | None = None


def key_hash(key: str) -> bytes:
    """How an API key is kept: SHA-256. It has 256 random bits, so that nothing slower is needed."""
    return hashlib.sha256(key.encode()).digest()


def new_key() -> str:
    """A fresh API key: 256 random bits, base64url."""
    return secrets.token_urlsafe(KEY_BYTES)


def read_or_make_key(path: Path) -> str:
    """The secret in a file; made (mode 0600) where there is none.

    Raises:
        ConfigError: it cannot be read or made, or is too short to be a secret.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(new_key() + "\n")
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    if len(key) < KEY_BYTES:
        raise ConfigError(f"{path}: the key has {len(key)} characters; it needs at least {KEY_BYTES}")
    return key


class Tokens:
    """Makes and reads the signed tokens of sign-in links and sessions.

    Args:
        key: of at least 32 characters; who has it can sign in as anybody.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._used: dict[str, int] = {}  # jti of a used link to its expiry

    @property
    def cookie_name(self) -> str:
        """The session cookie; browsers share cookies between ports, so that each key has its own."""
        return "fleetcell_" + hashlib.sha256(b"cookie name" + self._key.encode()).hexdigest()[:8]

    def make(
        self,
        purpose: Purpose,
        name: str,
        role: Role,
        lifetime: timedelta,
        now: float,
        account: tuple[str, str] | None = None,
    ) -> str:
        """A token that says who, with which role, until when, and by which account."""
        claims = {
            "purpose": purpose,
            "sub": name,
            "role": role.label,
            "iat": int(now),
            "exp": int(now + lifetime.total_seconds()),
            "jti": secrets.token_urlsafe(16),
            "account": account,
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def session(self, token: str) -> Principal:
        """Who a session cookie is.

        Raises:
            SignInError: it is not a session of ours, or it has expired.
        """
        return self._principal(self._read(token, "session"), by_cookie=True)

    def use_link(self, token: str, now: float) -> Principal:
        """Who a sign-in link lets in; it can be used once.

        Raises:
            SignInError: it is not a link of ours, has expired, or was used before.
        """
        claims = self._read(token, "sign-in")
        self._used = {jti: expires for jti, expires in self._used.items() if expires > now}
        if claims["jti"] in self._used:
            raise SignInError("this sign-in link was used before: each lets in once")
        self._used[claims["jti"]] = claims["exp"]
        return self._principal(claims, by_cookie=False)

    def _read(self, token: str, purpose: Purpose) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                options={"require": ["purpose", "sub", "role", "exp", "jti"]},
            )
        except jwt.ExpiredSignatureError:
            raise SignInError("this has expired: sign in again") from None
        except jwt.InvalidTokenError:
            raise SignInError("this is not a sign-in of this server") from None
        if claims["purpose"] != purpose:
            raise SignInError("this token is for something else")
        return claims

    def _principal(self, claims: dict[str, Any], *, by_cookie: bool) -> Principal:
        try:
            account = claims.get("account")
            return Principal(
                name=str(claims["sub"]),
                role=role_of(str(claims["role"])),
                by_cookie=by_cookie,
                expires_at=int(claims["exp"]),
                account=None if account is None else (str(account[0]), str(account[1])),
            )
        except (ValueError, LookupError, TypeError) as error:
            raise SignInError(str(error)) from None


def make_sign_in_link(
    base_url: str, key: str, role: str = "admin", lifetime: timedelta = LINK_LIFETIME, *, name: str = "up"
) -> str:
    """A link that signs a browser in, once.

    Args:
        base_url: of the dashboard, such as http://127.0.0.1:8080.
        key: the content of the session key file.
        role: viewer, operator or admin.
        lifetime: until when it can be used; the session that it makes lasts 12 hours.
        name: who signs in, for the session.
    """
    token = Tokens(key.strip()).make("sign-in", name, role_of(role), lifetime, time.time())
    return f"{base_url.rstrip('/')}/sign-in?token={quote(token)}"


def same_origin(headers: Mapping[str, str], scheme: str, public_url: str | None) -> bool:
    """Whether a browser's request comes from a page of this server.

    The Origin must be that of the Host that was asked for, or of the public address.
    """
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") == "same-origin"
    allowed = {_origin(f"{scheme}://{headers.get('host', '')}")}
    if public_url is not None:
        allowed.add(_origin(public_url))
    return _origin(origin) in allowed


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ("invalid", url, None)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    return (scheme, parts.hostname or "", port or {"http": 80, "https": 443}.get(scheme))


def equal(a: str, b: str) -> bool:
    """Compare secrets in the same time for any answer."""
    return hmac.compare_digest(a.encode(), b.encode())
