"""TLS of a listener: its certificate, and the authority whose client certificates count.

A renewed certificate is taken up without a restart: the files are looked at again now and then, and new
connections get the new ones. Connections that are open stay as they are.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import structlog

from broker.credentials import stamp
from broker.errors import BrokerError

if TYPE_CHECKING:
    from pathlib import Path

log: Final = structlog.get_logger()


class ServerTls:
    """The TLS side of a listener; `context` is what a new connection gets.

    Args:
        cert_file, key_file: The server's certificate (with those between it and the authority) and key, PEM.
        client_ca_file: Authority of client certificates, PEM. None: clients are not asked for one, so nobody
            can come in by one.

    Raises:
        BrokerError: a file cannot be read, or is not what it should be.
    """

    def __init__(self, cert_file: Path, key_file: Path, client_ca_file: Path | None = None) -> None:
        self._cert_file = cert_file
        self._key_file = key_file
        self._client_ca_file = client_ca_file
        self._stamps = self._look()
        self.failures = 0
        self.context = self._load()

    def refresh(self) -> None:
        """Take up replaced files; when they are wrong (or only one is there yet), the last stay in force."""
        stamps = self._look()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self.context = self._load()
        except BrokerError as error:
            self.failures += 1
            log.error("TLS files not read; the last stay in force", reason=str(error))  # noqa: TRY400
            return
        log.info("TLS files read", certificate=str(self._cert_file))

    def _look(self) -> list[object]:
        files = (self._cert_file, self._key_file, self._client_ca_file)
        return [stamp(file) if file is not None else None for file in files]

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # A resumed TLS session would bring a client certificate that nobody has looked at again.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        try:
            context.load_cert_chain(self._cert_file, self._key_file)
        except OSError as error:
            raise BrokerError(
                f"FLEETCELL_TLS_CERT_FILE {self._cert_file}, FLEETCELL_TLS_KEY_FILE {self._key_file}: {error}"
            ) from error
        if self._client_ca_file is not None:
            try:
                context.load_verify_locations(self._client_ca_file)
            except OSError as error:
                raise BrokerError(f"FLEETCELL_TLS_CLIENT_CA_FILE {self._client_ca_file}: {error}") from error
            context.verify_mode = ssl.CERT_OPTIONAL  # who has none comes with a password
        return context
