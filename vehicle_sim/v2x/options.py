"""What the vehicles of a run say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from fleetcell import uper
from fleetcell.contract.errors import ConfigError

if TYPE_CHECKING:
    from fleetcell.contract.v2x.cells import Kind

Format = Literal["json", "uper"]


@dataclass(frozen=True, slots=True)
class V2xOptions:
    """What the vehicles of a run say to each other.

    kinds: of messages; none: nothing.
    form: how they write.
    cam_hz: how often a CAM may come, 1 to 10 Hz; 1 / T_GenCam_Dcc.
    """

    kinds: frozenset[Kind] = frozenset()
    form: Format = "json"
    cam_hz: float = 10.0

    @classmethod
    def read(cls, kinds: str, form: str, cam_hz: float) -> V2xOptions:
        """From the flags of `sim run`.

        Raises:
            ConfigError: a value makes no sense, or the extra for UPER is not installed; names the flag.
        """
        found = {kind.strip() for kind in kinds.split(",") if kind.strip()}
        if not found <= {"cam", "denm"}:
            raise ConfigError(f"--v2x {kinds}: use cam, denm or cam,denm")
        if form not in ("json", "uper"):
            raise ConfigError(f"--v2x-format {form}: use json or uper")
        if not 1 <= cam_hz <= 10:
            raise ConfigError(f"--cam-rate {cam_hz:g}: from 1 to 10 Hz")
        if form == "uper":
            uper.check_available()
        return cls(frozenset(cast("set[Kind]", found)), cast("Format", form), cam_hz)


SILENT: Final = V2xOptions()
