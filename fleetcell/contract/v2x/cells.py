"""Where V2X messages are published and heard: H3 cells as paths of topic levels. Pure.

A path is the number of the base cell (0 to 121) and then one digit (0 to 6) for each resolution, so a coarser
cell is a prefix: its subtree is one filter. A unit publishes in its cell of resolution 9 (edge 200 m). It
hears CAMs of that cell and two rings around it, DENMs of its cell of resolution 7 (edge 1.4 km) and one ring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import h3

from fleetcell.contract.errors import TopicError
from fleetcell.contract.topics import PREFIX, v2x_topic

if TYPE_CHECKING:
    from fleetcell.contract.topics import V2xTopic

Kind = Literal["cam", "denm"]

PUBLISHED: Final = 9  # resolution
_HEARD: Final[dict[Kind, tuple[int, int]]] = {"cam": (9, 2), "denm": (7, 1)}  # resolution, rings
_DIGIT_BITS: Final = 3
_FINEST: Final = 15
_BASE_CELLS: Final = 122


def cell_path(cell: str) -> str:
    """The levels of an H3 cell: "10/3/6/2" for one of resolution 3."""
    bits = int(cell, 16)
    resolution = h3.get_resolution(cell)
    digits = ((bits >> (_DIGIT_BITS * (_FINEST - level))) & 7 for level in range(1, resolution + 1))
    return "/".join((str(h3.get_base_cell_number(cell)), *map(str, digits)))


def cell_of_path(path: str) -> str:
    """The H3 cell of a path.

    Raises:
        TopicError: it is none.
    """
    base, *digits = path.split("/")
    is_path = (
        base.isascii()
        and base.isdecimal()
        and base == str(int(base))
        and int(base) < _BASE_CELLS
        and len(digits) <= _FINEST
        and all(len(digit) == 1 and digit in "0123456" for digit in digits)
    )
    if is_path:
        bits = 1 << 59 | len(digits) << 52 | int(base) << 45 | (1 << 45) - 1
        for level, digit in enumerate(digits, 1):
            shift = _DIGIT_BITS * (_FINEST - level)
            bits = bits & ~(7 << shift) | int(digit) << shift
        cell: str = h3.int_to_str(bits)
        if h3.is_valid_cell(cell):
            return cell
    raise TopicError(f"not the path of an H3 cell: {path[:80]!r}")


def published_cell(lat: float, lon: float) -> str:
    """The H3 cell that a station at this position (degrees) publishes in."""
    cell: str = h3.latlng_to_cell(lat, lon, PUBLISHED)
    return cell


def pseudonym(station_id: int) -> str:
    """The last level of a station's topics: its station id as 8 hexadecimal digits."""
    return f"{station_id:08x}"


def publish_topic(region: str, kind: Kind, cell: str, station_id: int, *, uper: bool = False) -> str:
    """Where a station publishes: `cell` is an H3 cell of resolution 9."""
    return v2x_topic(region, kind, cell_path(cell), pseudonym(station_id), uper=uper)


def heard_filters(region: str, kind: Kind, lat: float, lon: float) -> list[str]:
    """What a unit at this position (degrees) subscribes to: 19 filters for CAMs, 7 for DENMs."""
    resolution, rings = _HEARD[kind]
    around = h3.grid_disk(h3.latlng_to_cell(lat, lon, resolution), rings)
    return [f"{PREFIX}/{region}/v2x/{kind}/{cell_path(cell)}/#" for cell in sorted(around)]


def denm_filter(region: str) -> str:
    """Every DENM of a region, JSON and UPER."""
    return f"{PREFIX}/{region}/v2x/denm/#"


def check_sender(topic: V2xTopic, station_id: int) -> str:
    """The H3 cell that a message says it was sent in.

    Raises:
        TopicError: the topic has no cell of resolution 9, or another pseudonym than the message.
    """
    cell = cell_of_path(topic.cell)
    if h3.get_resolution(cell) != PUBLISHED:
        raise TopicError(f"V2X messages are published in cells of resolution {PUBLISHED}: {topic.cell!r}")
    if topic.pseudonym != pseudonym(station_id):
        raise TopicError(f"the topic's pseudonym {topic.pseudonym!r} is not station {station_id}")
    return cell


def near_cell(cell: str, lat: float, lon: float) -> bool:
    """Whether a position in degrees is in a cell of resolution 9 or in one of the six around it."""
    near: bool = h3.latlng_to_cell(lat, lon, PUBLISHED) in h3.grid_disk(cell, 1)
    return near
