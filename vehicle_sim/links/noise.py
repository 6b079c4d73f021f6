"""Random numbers that belong to a place or a moment, not to the order of asking.

Everything random on a link is a function of the seed and of *where* and *when*: the shadowing of a cell at
a point, the jitter of a slot of time, the load of a cell in a minute. So what a link does never depends on
how the traffic was cut into writes, and one link cannot disturb the numbers of another.
"""

from __future__ import annotations

import hashlib
import math
from statistics import NormalDist
from typing import Final

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_GOLDEN: Final = 0x9E37_79B9_7F4A_7C15
_TO_UNIT: Final = 2.0**-53
_LEAST: Final = 2.0**-54  # keeps logarithms finite
_NORMAL: Final = NormalDist()


def seed_of(*parts: object) -> int:
    """A 64-bit seed for a name such as (run seed, vehicle, "link"); the same on every machine."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def uniform(seed: int, *place: int) -> float:
    """A number in [0, 1) that belongs to these coordinates (integers of any size and sign).

    splitmix64 (Steele, Lea and Flood, OOPSLA 2014), one round for each coordinate.
    """
    return (state(seed, *place) >> 11) * _TO_UNIT


def state(seed: int, *place: int) -> int:
    """The seed for all further coordinates: uniform(state(s, a), b) is uniform(s, a, b)."""
    z = seed
    for coordinate in place:
        z = (z + _GOLDEN * (coordinate * 2 + 1)) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK
        z ^= z >> 31
    return z


def exponential(mean: float, seed: int, *place: int) -> float:
    """Exponentially distributed with this mean, for these coordinates."""
    return -mean * math.log(max(1.0 - uniform(seed, *place), _LEAST))


def normal(seed: int, *place: int) -> float:
    """Normally distributed, mean 0 and deviation 1, for these coordinates."""
    return _NORMAL.inv_cdf(max(uniform(seed, *place), _LEAST))
