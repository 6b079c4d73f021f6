"""Certificates for development: an authority of one's own, the broker's certificate, and one a vehicle.

For a fleet on the road the authority belongs on a machine of its own, and its key nowhere near the broker.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fleetcell.contract.errors import ConfigError
from fleetcell.contract.topics import check_name
from fleetcell.layout import write_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CA_DAYS: Final = 3_650
_SKEW: Final = timedelta(hours=1)  # a clock that is a little late must not refuse a fresh certificate


class Authority:
    """A certificate authority in a folder: `ca.pem` and `ca.key`; made when it is not there.

    Keys are on the curve P-256. Every file is readable by its owner alone.

    Raises:
        ConfigError: the authority's files are there but cannot be read.
    """

    def __init__(self, folder: Path, now: datetime) -> None:
        self._folder = folder
        self._now = now
        self.file = folder / "ca.pem"
        self._key_file = folder / "ca.key"
        if self.file.exists() or self._key_file.exists():
            self._key, self._certificate = self._read()
        else:
            self._key, self._certificate = self._make()

    def server(self, hosts: Sequence[str], days: int) -> list[Path]:
        """`server.pem` and `server.key`, for these host names and addresses."""
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        return self._issue("server", hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, days, names)

    def unit(self, vehicle: str, days: int) -> list[Path]:
        """`units/<vehicle>.pem` and `.key`: the common name is the vehicle id.

        Raises:
            TopicError: this is no vehicle id.
        """
        check_name(vehicle, "vehicle")
        return self._issue(f"units/{vehicle}", vehicle, ExtendedKeyUsageOID.CLIENT_AUTH, days)

    def _issue(
        self,
        file: str,
        common_name: str,
        usage: x509.ObjectIdentifier,
        days: int,
        names: x509.SubjectAlternativeName | None = None,
    ) -> list[Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder(common_name, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return self._write(self._folder / f"{file}.pem", certificate, self._folder / f"{file}.key", key)

    def _make(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder("fleetcell development authority", key.public_key(), CA_DAYS, issuer_key=key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
        )
        certificate = builder.sign(key, hashes.SHA256())
        self._write(self.file, certificate, self._key_file, key)
        return key, certificate

    def _read(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        try:
            key = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
            certificate = x509.load_pem_x509_certificate(self.file.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"the authority in {self._folder} cannot be read: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ConfigError(f"{self._key_file} is not the key of {self.file}")
        return key, certificate

    def _builder(
        self,
        common_name: str,
        public_key: ec.EllipticCurvePublicKey,
        days: int,
        issuer_key: ec.EllipticCurvePrivateKey | None = None,
    ) -> x509.CertificateBuilder:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        issuer = subject if issuer_key is not None else self._certificate.subject
        signer = (issuer_key or self._key).public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _SKEW)
            .not_valid_after(self._now + timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
        )

    @staticmethod
    def _write(
        file: Path, certificate: x509.Certificate, key_file: Path, key: ec.EllipticCurvePrivateKey
    ) -> list[Path]:
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_private(key_file, private)
        write_private(file, certificate.public_bytes(serialization.Encoding.PEM))
        return [file, key_file]


def make(folder: Path, hosts: Sequence[str], vehicles: Sequence[str], days: int) -> list[Path]:
    """The authority (kept when there is one), the broker's certificate, and one for each vehicle.

    Returns:
        The files written.

    Raises:
        ConfigError, TopicError: what was asked for cannot be made; then nothing is.
    """
    if not hosts:
        raise ConfigError("the broker's certificate needs a host name or address")
    for vehicle in vehicles:
        check_name(vehicle, "vehicle")
    for host in hosts:
        _general_name(host)
    known = (folder / "ca.pem").exists()
    authority = Authority(folder, datetime.now(UTC))
    written = [] if known else [folder / "ca.pem", folder / "ca.key"]
    written += authority.server(hosts, days)
    for vehicle in vehicles:
        written += authority.unit(vehicle, days)
    return written


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError:
        raise ConfigError(f"{host!r} is no host name; write one of other scripts in its xn-- form") from None
