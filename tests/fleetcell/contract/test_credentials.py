"""Secrets of machines, and the file that the broker reads."""

from __future__ import annotations

import pytest

from fleetcell.contract.credentials import (
    CredentialsFile,
    ServiceCredential,
    check_key,
    decode_file,
    encode_file,
    mac,
    new_secret,
    verify,
)
from fleetcell.contract.errors import ConfigError
from fleetcell.contract.topics import Role

KEY = b"k" * 32


def test_a_secret_has_256_bits_and_only_itself_verifies() -> None:
    one, other = new_secret(), new_secret()
    assert len(one) == 43
    assert verify(KEY, one, mac(KEY, one))
    assert not verify(KEY, other, mac(KEY, one))
    assert not verify(b"x" * 32, one, mac(KEY, one))


def test_the_file_is_read_back_and_equal_content_is_equal_bytes() -> None:
    services = {"ingest-north": ServiceCredential(Role.GATEWAY, "ff", "north")}
    content = CredentialsFile(units={"b": "1", "a": "2"}, services=services)
    same = CredentialsFile(units={"a": "2", "b": "1"}, services=services)
    assert decode_file(encode_file(content)) == content
    assert encode_file(content) == encode_file(same)


@pytest.mark.parametrize("data", [b"", b"{}x", b'{"version":2}', b'{"units":{"a":1}}', b'{"servics":{}}'])
def test_a_wrong_file_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match="credentials file"):
        decode_file(data)


def test_a_short_key_is_refused() -> None:
    assert check_key(KEY + b"\n") == KEY
    with pytest.raises(ConfigError, match="31 bytes"):
        check_key(b"k" * 31)
