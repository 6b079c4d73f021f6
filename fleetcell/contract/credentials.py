"""Credentials of machines: how a secret is kept, and the file the broker reads.

A unit's secret has 256 random bits, so nobody can guess it and a slow password hash would add nothing
but load in a reconnect storm: it is kept as HMAC-SHA-256 under a key that is not in the database. Human
passwords are another matter (argon2id, in `dashboard`).
"""

from __future__ import annotations

import hmac
import secrets
from typing import Final, Literal

import msgspec

from fleetcell.contract.errors import ConfigError
from fleetcell.contract.topics import Role  # noqa: TC001 - msgspec reads it

SECRET_BYTES: Final = 32
KEY_BYTES: Final = 32


class ServiceCredential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A service account: its role, the region it is bound to (none: every region) and its MAC."""

    role: Role
    mac: str
    region: str | None = None


class CredentialsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the broker lets in: vehicle id to MAC, service account to role and MAC."""

    units: dict[str, str] = {}
    services: dict[str, ServiceCredential] = {}
    version: Literal[1] = 1


def new_secret() -> str:
    """A fresh secret: 256 random bits, base64url without padding (43 characters)."""
    return secrets.token_urlsafe(SECRET_BYTES)


def mac(key: bytes, secret: str) -> str:
    """HMAC-SHA-256 of the secret under the key, as 64 hexadecimal digits."""
    return hmac.digest(key, secret.encode(), "sha256").hex()  # one call into C: a storm of CONNECTs asks it


def verify(key: bytes, secret: str, expected: str) -> bool:
    """Whether the secret has this MAC; the comparison takes the same time for any answer."""
    return hmac.compare_digest(mac(key, secret), expected)


def check_key(content: bytes) -> bytes:
    """The key in a key file: its text without the white space around it (an editor adds a newline).

    Raises:
        ConfigError: fewer than 32 bytes.
    """
    key = content.strip()
    if len(key) < KEY_BYTES:
        raise ConfigError(f"the credentials key has {len(key)} bytes; it needs at least {KEY_BYTES}")
    return key


def encode_file(content: CredentialsFile) -> bytes:
    """The file's bytes (JSON, one line an entry, sorted, so that equal content is equal bytes)."""
    return msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=1)


def decode_file(data: bytes) -> CredentialsFile:
    """Read the file.

    Raises:
        ConfigError: it is not one; the message says where.
    """
    try:
        return msgspec.json.decode(data, type=CredentialsFile)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"the credentials file is not valid: {error}") from error
