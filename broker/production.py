"""Production mode: what the broker's files must be. What is in the settings alone, they check themselves."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

from broker.errors import BrokerError
from fleetcell.contract.credentials import check_key
from fleetcell.contract.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from fleetcell.settings import BrokerSettings

MIN_SECRET: Final = 32
"""Characters of a secret in production mode; those that fleetcell makes have 43."""

_VARIETY: Final = 8  # different bytes that a random key has at the very least


def check_production(settings: BrokerSettings) -> None:
    """Refuse keys that anybody could know.

    Raises:
        BrokerError: names the variable and what is wrong.
    """
    if not settings.production:
        return
    key_file = settings.credentials_key_file
    _check_private("FLEETCELL_CREDENTIALS_KEY_FILE", key_file)
    try:
        key = check_key(key_file.read_bytes())
    except (OSError, ConfigError) as error:
        raise BrokerError(f"FLEETCELL_CREDENTIALS_KEY_FILE {key_file}: {error}") from error
    if len(set(key)) < _VARIETY:
        raise BrokerError(
            f"FLEETCELL_CREDENTIALS_KEY_FILE {key_file}: this is no random key; "
            "make one with: openssl rand -hex 32"
        )
    if settings.tls_key_file is not None:
        _check_private("FLEETCELL_TLS_KEY_FILE", settings.tls_key_file)


def _check_private(variable: str, file: Path) -> None:
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise BrokerError(f"{variable} {file}: {error.strerror}") from error
    if mode & stat.S_IROTH:
        raise BrokerError(f"{variable} {file}: every user of this machine can read it; chmod o-r it")
