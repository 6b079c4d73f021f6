"""The values that users of the bridge hand over or get back."""

import functools
import random
import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Message:
    """One message received: `qos` 0 to 2, `retain` is true for one that the broker had kept."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes when the session ends without a DISCONNECT."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: the n-th attempt waits a random time below `first` * 2^n seconds, at most `cap`.

    Clients that lost the same broker at the same moment come back spread over the whole interval.
    """

    first: float = 0.2
    cap: float = 15.0

    def delay(self, attempt: int, rng: random.Random) -> float:
        """Seconds to wait before attempt number `attempt` (0 is the first)."""
        ceiling = min(self.cap, self.first * 2.0 ** min(attempt, 32))
        return rng.uniform(0.0, ceiling)


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How a `wss://` or `mqtts://` broker is trusted; PEM files.

    ca_file: certificates to trust instead of the system's.
    cert_file, key_file: this client's own certificate (mutual TLS).
    insecure: accept any certificate. Only for tests on one machine.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure: bool = False


@functools.lru_cache(maxsize=16)
def ssl_context(options: TlsOptions) -> ssl.SSLContext:
    """The context of `options`; cached, because loading a system's certificates takes milliseconds.

    Raises:
        OSError: a file cannot be read, or is no PEM (ssl.SSLError is an OSError).
    """
    context = ssl.create_default_context(cafile=options.ca_file)
    if options.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.cert_file is not None:
        context.load_cert_chain(options.cert_file, options.key_file)
    return context
