"""Readings of one shape: decoders that know which signals to expect, and put them side by side.

A unit mostly sends the same signals in each reading. A decoder made for just these checks keys, types and
ranges while it reads, and leaves an array of numbers instead of an object for each value. Whatever does not
fit is for the general decoder (`ingest.decode`), which comes to the same outcome for what does.
"""

from __future__ import annotations

import struct
from functools import cache, lru_cache
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Final, overload

import msgspec
import numpy as np
from msgspec import Meta

from fleetcell.contract.messages import MAX_SAMPLES, Sample, Telemetry
from fleetcell.contract.signals import CATALOGUE, MAX_TEXT, Datatype, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

Reading = dict[str, Any]

# Milliseconds that any plausible or implausible device clock stays in; others take the slow and exact check.
EASY_MS: Final = 4_000_000_000_000
_MOST_SHAPES: Final = 256  # of all vehicles; making one takes some 50 µs
_MOST_VEHICLES: Final = 200_000  # of which the shape is remembered
_NUMBERS: Final = frozenset({Datatype.DOUBLE, Datatype.INT})


class Shape:
    """Readings that have a good value of each of these signals, and of no other.

    Args:
        keys: of signals with a column, as `shape_of` makes them.
    """

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.numbers: Final = tuple(key for key in keys if CATALOGUE[key].datatype in _NUMBERS)
        self.words: Final = tuple(key for key in keys if CATALOGUE[key].datatype not in _NUMBERS)
        self.whole: Final = tuple(key for key in keys if CATALOGUE[key].datatype is Datatype.INT)
        self._numbers_of = _getter(self.numbers)
        self._words_of = _getter(self.words)
        self._pack = struct.Struct(f"{len(self.numbers)}d").pack
        message = _message(keys)
        self._json: msgspec.json.Decoder[Any] = msgspec.json.Decoder(message)
        self._msgpack: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(message)

    def read(self, payload: bytes, *, packed: bool) -> tuple[Telemetry, Shaped] | None:
        """The message, and the signals of its samples; None where it is not of this shape."""
        try:
            message = self._msgpack.decode(payload) if packed else self._json.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            return None
        if len(message.samples) == 1:
            signals = message.samples[0].s
            return message, Shaped(self, self._pack(*self._numbers_of(signals)), self._words_of(signals))
        found = [sample.s for sample in message.samples]
        numbers = b"".join([self._pack(*values) for values in map(self._numbers_of, found)])
        return message, Shaped(self, numbers, list(chain.from_iterable(map(self._words_of, found))))


class Shaped(msgspec.Struct, frozen=True, gc=False):
    """The signals of some readings of a shape.

    `numbers` (float64) and `words` hold their values, reading by reading.
    """

    shape: Shape
    numbers: bytes
    words: Sequence[Any]

    @classmethod
    def joined(cls, parts: Sequence[Shaped]) -> Shaped:
        """Several of the same shape as one."""
        numbers = b"".join([part.numbers for part in parts])
        return cls(parts[0].shape, numbers, list(chain.from_iterable([part.words for part in parts])))

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """The numbers, a row for each reading."""
        return np.frombuffer(self.numbers, dtype=np.float64).reshape(-1, len(self.shape.numbers))

    def columns(self, rows: Sequence[int] | npt.NDArray[np.intp]) -> dict[str, list[Any]]:
        """The values of some of the readings, by key."""
        shape, matrix, words = self.shape, self.matrix[rows], self.words
        found: dict[str, list[Any]] = {}
        for place, key in enumerate(shape.numbers):
            column = matrix[:, place]
            found[key] = (column.astype(np.int64) if key in shape.whole else column).tolist()
        for place, key in enumerate(shape.words):
            found[key] = [words[row * len(shape.words) + place] for row in rows]
        return found

    def at(self, rows: Sequence[int] | npt.NDArray[np.intp]) -> list[Reading]:
        """Some of the readings."""
        columns = self.columns(rows)
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def __len__(self) -> int:
        return len(self.numbers) // (8 * len(self.shape.numbers))

    @overload
    def __getitem__(self, place: int) -> Reading: ...
    @overload
    def __getitem__(self, place: slice) -> list[Reading]: ...
    def __getitem__(self, place: int | slice) -> Reading | list[Reading]:
        rows = range(len(self))[place]
        return self.at(rows) if isinstance(rows, range) else self.at([rows])[0]

    def __iter__(self) -> Iterator[Reading]:
        return iter(self.at(range(len(self))))


class Shapes:
    """Of each vehicle the boot and the shape of its last readings."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[str, Shape]] = {}

    def read(self, vehicle: str, payload: bytes, *, packed: bool) -> tuple[Telemetry, Shaped] | None:
        """The message, where it is of that boot and its readings have that shape."""
        known = self._of.get(vehicle)
        if known is None:
            return None
        boot, shape = known
        found = shape.read(payload, packed=packed)
        if found is None or found[0].boot != boot:
            del self._of[vehicle]
            return None
        return found

    def learn(self, vehicle: str, message: Telemetry) -> None:
        """Note the boot, and the shape of readings that were decoded in general, if they have one."""
        samples = message.samples
        first = samples[0].s if samples else {}
        if not all(sample.s.keys() == first.keys() for sample in samples):
            return
        shape = shape_of(tuple(sorted(first)))
        if shape is not None:
            if len(self._of) >= _MOST_VEHICLES:
                self._of.clear()
            self._of[vehicle] = message.boot, shape


@lru_cache(maxsize=_MOST_SHAPES)
def shape_of(keys: tuple[str, ...]) -> Shape | None:
    """The shape of readings with these keys, in alphabetical order.

    None: a signal has no column or bounds that a decoder could check, there is only half a position, or there
    is no number at all.
    """
    signals = [CATALOGUE.get(key) for key in keys]
    if not all(signal is not None and _checkable(signal) for signal in signals):
        return None
    if ("lat" in keys) != ("lon" in keys):
        return None
    shape = Shape(keys)
    return shape if shape.numbers else None


def _checkable(signal: Signal) -> bool:
    if signal.column is None or signal.datatype is Datatype.TEXTS:
        return False
    return signal.datatype not in _NUMBERS or (signal.low is not None and signal.high is not None)


def _message(keys: tuple[str, ...]) -> Any:
    """`Telemetry`, with samples that have these signals, and times as most units write them."""
    signals = msgspec.defstruct(
        "Signals", [(key, _type(key)) for key in keys], forbid_unknown_fields=True, frozen=True, gc=False
    )
    moment = Annotated[int, Meta(ge=0, lt=EASY_MS)]
    sample = msgspec.defstruct(
        "Sample", [("ts", moment), ("s", signals)], bases=(Sample,), frozen=True, kw_only=True, gc=False
    )
    samples = Annotated[list[sample], Meta(max_length=MAX_SAMPLES)]  # type: ignore[valid-type] # made here
    return msgspec.defstruct(
        "Telemetry",
        [("boot", str), ("samples", samples)],  # a boot is known, or it is not of this shape
        bases=(Telemetry,),
        frozen=True,
        kw_only=True,
        gc=False,
    )


@cache
def _type(key: str) -> Any:
    signal = CATALOGUE[key]
    match signal.datatype:
        case Datatype.DOUBLE:
            return Annotated[float, Meta(ge=signal.low, le=signal.high)]
        case Datatype.INT:
            return Annotated[int, Meta(ge=signal.low, le=signal.high)]
        case Datatype.BOOL:
            return bool
        case _:
            return Annotated[str, Meta(max_length=MAX_TEXT)]


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """The attributes of these names, as a tuple however many they are."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda found: tuple(getattr(found, name) for name in names)
