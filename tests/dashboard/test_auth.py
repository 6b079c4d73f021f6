"""Tokens, keys and origins."""

from __future__ import annotations

import stat
import time
from datetime import timedelta
from pathlib import Path

import jwt
import pytest

from dashboard.auth import Role, SignInError, Tokens, read_or_make_key, role_of, same_origin
from fleetcell.contract.errors import ConfigError

KEY = "k" * 43


def test_a_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "session.key"
    key = read_or_make_key(path)
    assert len(key) == 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_make_key(path) == key
    path.write_text("short\n")
    with pytest.raises(ConfigError, match="at least 32"):
        read_or_make_key(path)
    with pytest.raises(ConfigError, match=str(tmp_path)):
        read_or_make_key(tmp_path)  # a folder


def test_a_session_is_read_back_until_it_ends() -> None:
    tokens, now = Tokens(KEY), time.time()
    principal = tokens.session(tokens.make("session", "ann", Role.OPERATOR, timedelta(hours=1), now))
    assert (principal.name, principal.role, principal.by_cookie) == ("ann", Role.OPERATOR, True)
    with pytest.raises(SignInError, match="expired"):
        tokens.session(tokens.make("session", "ann", Role.OPERATOR, timedelta(seconds=-1), now))


def test_what_is_no_session() -> None:
    tokens, now = Tokens(KEY), time.time()
    claims = {"purpose": "session", "sub": "x", "role": "admin", "exp": now + 60, "jti": "1"}
    unsigned = jwt.encode(claims, "", algorithm="none")
    other_role = jwt.encode(claims | {"role": "root"}, KEY, algorithm="HS256")
    no_end = jwt.encode({k: v for k, v in claims.items() if k != "exp"}, KEY, algorithm="HS256")
    other_way = jwt.encode(claims, KEY * 2, algorithm="HS512")
    link = tokens.make("sign-in", "x", Role.ADMIN, timedelta(hours=1), now)
    for token in (unsigned, other_role, no_end, other_way, link, "", "a.b.c"):
        with pytest.raises(SignInError):
            tokens.session(token)


def test_a_link_works_once_and_is_forgotten_when_it_has_expired() -> None:
    tokens, now = Tokens(KEY), time.time()
    link = tokens.make("sign-in", "x", Role.ADMIN, timedelta(seconds=60), now)
    assert tokens.use_link(link, now).role is Role.ADMIN
    with pytest.raises(SignInError, match="used before"):
        tokens.use_link(link, now)
    tokens.use_link(tokens.make("sign-in", "x", Role.ADMIN, timedelta(seconds=600), now), now + 61)
    assert len(tokens._used) == 1


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"host": "fleet:8080", "origin": "http://fleet:8080"}, True),
        ({"host": "fleet", "origin": "http://fleet:80"}, True),
        ({"host": "fleet:8080", "origin": "http://fleet"}, False),
        ({"host": "fleet:8080", "origin": "https://fleet:8080"}, False),
        ({"host": "fleet:8080", "origin": "null"}, False),
        ({"host": "fleet:8080", "origin": "http://fleet:99999999"}, False),
        ({"host": "fleet:8080", "origin": "http://evil#fleet:8080"}, False),
        ({"host": "inside:8080", "origin": "https://fleet.example.org"}, True),
        ({"host": "fleet:8080"}, False),
        ({"host": "fleet:8080", "sec-fetch-site": "same-origin"}, True),
        ({"host": "fleet:8080", "sec-fetch-site": "cross-site"}, False),
    ],
)
def test_same_origin(headers: dict[str, str], same: bool) -> None:
    assert same_origin(headers, "http", "https://fleet.example.org") is same


def test_roles_are_ordered() -> None:
    assert role_of("viewer") < role_of("operator") < role_of("admin")
    assert role_of("admin").label == "admin"
    with pytest.raises(ValueError, match="viewer, operator or admin"):
        role_of("root")
