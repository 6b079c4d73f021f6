"""The rules by which trips, stops and distances are found; docs/analysis.md explains them."""

from __future__ import annotations

from typing import Final

import msgspec

BUCKET_US: Final = 600_000_000  # ten minutes, counted from 1970
VERSION: Final = 1  # of the computation: raise it when the same readings and rules would give something else


class Rules(msgspec.Struct, frozen=True):
    """The parameters. A change of any of them makes every bucket dirty."""

    moving_kmh: float = 5.0  # from this speed on a vehicle moves
    hold_s: float = 30.0  # a speed says something about this long a time after it
    stop_s: float = 300.0  # standing this long ends a trip
    parked_s: float = 60.0  # so does standing this long with the ignition off; no stop is shorter
    gap_s: float = 1800.0  # silence up to here neither ends a trip nor hides where it went
    same_place_m: float = 200.0  # whoever is this near after a silence has stood there
    least_trip_m: float = 200.0  # the diagonal of the box around a trip
    least_trip_s: float = 60.0
    max_acc_m: float = 100.0  # positions less accurate than this are no positions
    max_kmh: float = 250.0  # a step faster than this is a jump of the receiver
    version: int = VERSION
