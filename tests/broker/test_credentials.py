"""The credentials file as the broker reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from broker.credentials import CredentialStore
from fleetcell.contract.credentials import mac
from fleetcell.contract.topics import Principal, Role
from tests.broker.conftest import KEY, Accounts, secret

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(accounts: Accounts) -> CredentialStore:
    return CredentialStore(accounts.file, accounts.key_file)


def test_units_and_services(store: CredentialStore) -> None:
    assert store.refresh()
    found = store.check("veh1", secret("veh1"))
    assert found is not None
    assert found[0] == Principal(Role.UNIT, "veh1")
    gateway = store.check("gateway", secret("gateway"))
    assert gateway is not None
    assert gateway[0] == Principal(Role.GATEWAY, "gateway", "helsinki")
    for name, password in (("veh1", "x"), ("veh1", ""), ("veh9", secret("veh9")), ("", "")):
        assert store.check(name, password) is None
    assert store.is_unit("veh1")
    assert not store.is_unit("gateway")


def test_only_a_change_of_content_is_told(store: CredentialStore, accounts: Accounts) -> None:
    assert store.refresh()
    assert not store.refresh()
    accounts.write()  # replaced, but the same
    assert not store.refresh()
    accounts.units["veh9"] = mac(KEY, "s")
    accounts.write()
    assert store.refresh()
    assert store.check("veh9", "s")


def test_another_key_is_a_change(store: CredentialStore, accounts: Accounts) -> None:
    store.refresh()
    accounts.key_file.write_bytes(KEY[::-1])
    assert store.refresh()
    assert store.check("veh1", secret("veh1")) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 2}', b'{"units": {"a": 1}}'])
def test_a_file_that_is_none_leaves_the_last(
    store: CredentialStore, accounts: Accounts, content: bytes
) -> None:
    store.refresh()
    accounts.file.write_bytes(content)
    assert not store.refresh()
    assert store.failures == 1
    assert not store.refresh()
    assert store.failures == 1  # once a change, not once a look
    assert store.check("veh1", secret("veh1"))
    accounts.file.unlink()
    assert not store.refresh()
    assert store.check("veh1", secret("veh1"))


def test_without_files_nobody_is_let_in_until_they_come(tmp_path: Path) -> None:
    store = CredentialStore(tmp_path / "credentials.json", tmp_path / "credentials.key")
    assert not store.refresh()
    assert store.check("veh1", secret("veh1")) is None
    Accounts(tmp_path)
    assert store.refresh()
    assert store.check("veh1", secret("veh1"))


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    accounts.key_file.write_bytes(b"short")
    store = CredentialStore(accounts.file, accounts.key_file)
    assert not store.refresh()
    assert store.check("veh1", secret("veh1")) is None
