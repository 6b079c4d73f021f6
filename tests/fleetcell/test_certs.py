"""`fleetcell certs make`: files that OpenSSL takes, kept private, for what they are meant only."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcell.certs import make
from fleetcell.contract.errors import ConfigError, TopicError
from tests.command_line import fleetcell


def read(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_what_is_made(tmp_path: Path) -> None:
    written = make(tmp_path, ["broker.example", "192.0.2.1", "::1"], ["veh1"], 30)
    assert [file.relative_to(tmp_path).as_posix() for file in written] == [
        "ca.pem", "ca.key", "server.pem", "server.key", "units/veh1.pem", "units/veh1.key",
    ]  # fmt: skip
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in written)
    authority, server, unit = (read(written[index]) for index in (0, 2, 4))
    for certificate in (server, unit):
        certificate.verify_directly_issued_by(authority)
        lifetime = certificate.not_valid_after_utc - datetime.now(UTC)
        assert 29 <= lifetime.days <= 30
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        assert not basic.ca
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["broker.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1", "::1"]
    assert unit.subject.rfc4514_string() == "CN=veh1"
    for certificate, usage in (
        (server, ExtendedKeyUsageOID.SERVER_AUTH),
        (unit, ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [usage]


def test_openssl_takes_them_by_its_strict_rules(tmp_path: Path) -> None:
    make(tmp_path, ["127.0.0.1"], ["veh1"], 1)
    client, server = (
        ssl.create_default_context(cafile=tmp_path / "ca.pem"),
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
    )
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    server.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    server.load_verify_locations(tmp_path / "ca.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    server.verify_flags |= ssl.VERIFY_X509_STRICT
    client.load_cert_chain(tmp_path / "units/veh1.pem", tmp_path / "units/veh1.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    right = server.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for side in (left, right):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass
    assert done == {left, right}
    assert right.getpeercert()["subject"] == ((("commonName", "veh1"),),)  # type: ignore[index]


def test_the_authority_is_kept(tmp_path: Path) -> None:
    make(tmp_path, ["a.example"], [], 30)
    before = (tmp_path / "ca.pem").read_bytes(), (tmp_path / "ca.key").read_bytes()
    written = make(tmp_path, ["b.example"], ["veh1"], 30)
    assert tmp_path / "ca.pem" not in written
    assert ((tmp_path / "ca.pem").read_bytes(), (tmp_path / "ca.key").read_bytes()) == before
    read(tmp_path / "units/veh1.pem").verify_directly_issued_by(read(tmp_path / "ca.pem"))


@pytest.mark.parametrize("broken", ["ca.key", "ca.pem"])
@pytest.mark.parametrize("content", [None, b"-----BEGIN NONSENSE-----\n"], ids=["missing", "nonsense"])
def test_an_authority_that_cannot_be_read_is_never_replaced(
    tmp_path: Path, broken: str, content: bytes | None
) -> None:
    make(tmp_path, ["a.example"], [], 30)
    (tmp_path / broken).unlink()
    if content is not None:
        (tmp_path / broken).write_bytes(content)
    with pytest.raises(ConfigError, match="authority"):
        make(tmp_path, ["a.example"], [], 30)
    assert (tmp_path / broken).exists() is (content is not None)


def test_a_key_of_another_authority_is_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        make(tmp_path / folder, ["a.example"], [], 30)
    (tmp_path / "a/ca.key").write_bytes((tmp_path / "b/ca.key").read_bytes())
    with pytest.raises(ConfigError, match="is not the key"):
        make(tmp_path / "a", ["a.example"], [], 30)


def test_nothing_is_made_when_something_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(TopicError, match="veh 1"):
        make(tmp_path / "new", ["a.example"], ["veh0", "veh 1"], 30)
    with pytest.raises(ConfigError, match="xn--"):
        make(tmp_path / "new", ["bröker.example"], [], 30)
    assert not (tmp_path / "new").exists()


def test_the_command(tmp_path: Path) -> None:
    made = fleetcell("certs", "make", "--unit", "veh1", "--data", str(tmp_path / "data"))
    assert made.returncode == 0, made.stderr
    assert f"FLEETCELL_TLS_CERT_FILE='{tmp_path}/data/certs/server.pem'" in made.stdout
    assert (tmp_path / "data/certs/units/veh1.key").exists()
    wrong = fleetcell("certs", "make", "--unit", "a/b", "--out", str(tmp_path / "out"))
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: vehicle 'a/b'")
