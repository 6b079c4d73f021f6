"""CAM and DENM as ASN.1 UPER (X.691), by pycrate and the ETSI modules that it comes with: the extra `v2x`.

pycrate reads and writes the same messages in the JSON Encoding Rules, which is our JSON; so UPER is that JSON
in another coat, and one decoder checks both.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from fleetcell.contract.errors import ConfigError, PayloadError
from fleetcell.contract.v2x import codec
from fleetcell.contract.v2x.messages import Cam, Denm

if TYPE_CHECKING:
    from pycrate_core.charpy import Charpy

    from fleetcell.contract.topics import V2xTopic

M = TypeVar("M", bound=Cam | Denm)


class _Asn1(Protocol):
    """What is used of a pycrate type. It holds the value between the two calls."""

    def from_uper(self, data: Charpy) -> None: ...
    def to_uper(self) -> bytes: ...
    def from_jer(self, text: str) -> None: ...
    def to_jer(self) -> str: ...


def available() -> bool:
    """Whether the extra `v2x` is installed."""
    return find_spec("pycrate_asn1dir") is not None


def check_available() -> None:
    """Raises ConfigError, saying how to install it, when the extra `v2x` is not there."""
    if not available():
        raise ConfigError("ASN.1 UPER needs an extra: pip install 'fleetcell[v2x]'")


def encode(message: Cam | Denm) -> bytes:
    """The message as UPER.

    Raises:
        ConfigError: the extra is not installed.
        PayloadError: the ASN.1 module does not allow it (a bit string that is too long, for instance).
    """
    check_available()
    asn1 = _asn1(cam=isinstance(message, Cam))
    try:
        asn1.from_jer(codec.encode(message).decode())
        return asn1.to_uper()
    except _pycrate_error() as error:
        raise PayloadError(f"no valid {type(message).__name__}: {error}") from error


def decode(kind: type[M], payload: bytes) -> M:
    """Read UPER.

    Raises:
        ConfigError: the extra is not installed.
        PayloadError: too long, not UPER, something after it, or not this message; the reason says where.
    """
    check_available()
    codec.check_size(payload)
    from pycrate_core.charpy import Charpy  # noqa: PLC0415 - of the extra

    asn1, data = _asn1(cam=issubclass(kind, Cam)), Charpy(payload)
    try:
        asn1.from_uper(data)
        text = asn1.to_jer()
    except (_pycrate_error(), RecursionError, ValueError, TypeError, LookupError) as error:
        raise PayloadError(f"not a valid {kind.__name__}: {error}") from error
    if data.len_bit() >= 8:
        raise PayloadError(f"not a valid {kind.__name__}: {data.len_bit() // 8} bytes after its end")
    return codec.decode(kind, text.encode())


def read(topic: V2xTopic, payload: bytes) -> Cam | Denm:
    """Read what came on a topic: a CAM or a DENM, JSON or UPER.

    Raises:
        ConfigError: it is UPER, and the extra is not installed.
        PayloadError: see `decode`.
    """
    if topic.kind == "cam":
        return decode(Cam, payload) if topic.uper else codec.decode(Cam, payload)
    return decode(Denm, payload) if topic.uper else codec.decode(Denm, payload)


def _pycrate_error() -> type[Exception]:
    from pycrate_core.utils import PycrateErr  # noqa: PLC0415 - of the extra

    return cast("type[Exception]", PycrateErr)


def _asn1(*, cam: bool) -> _Asn1:
    if cam:
        from pycrate_asn1dir.ITS_CAM_2 import CAM_PDU_Descriptions  # noqa: PLC0415 - of the extra

        return cast("_Asn1", CAM_PDU_Descriptions.CAM)
    from pycrate_asn1dir.ITS_DENM_3 import DENM_PDU_Descriptions  # noqa: PLC0415 - of the extra

    return cast("_Asn1", DENM_PDU_Descriptions.DENM)
