"""Which signals are asked for, and the parts of statements that select them. Pure.

Column names come from the signal catalogue alone. A key that the catalogue does not know is a parameter
of the statement, never part of its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fleetcell.contract.signals import CATALOGUE, HOT, Datatype

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

AGGREGATES: Final = ("avg", "min", "max", "last")
_NUMERIC: Final = frozenset({Datatype.DOUBLE, Datatype.INT})
_BY_PATH: Final = {signal.vss: key for key, signal in CATALOGUE.items()}
_COLUMNS: Final = {signal.key: signal.column for signal in HOT if signal.column is not None}


@dataclass(frozen=True, slots=True)
class Selection:
    """The signals that are asked for.

    columns: keys that have a column of their own.
    extras: keys in the `extra` column.
    everything: none was named, so that all of `extra` is wanted too.
    """

    columns: tuple[str, ...]
    extras: tuple[str, ...]
    everything: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that is named."""
        return self.columns + self.extras


EVERYTHING: Final = Selection(tuple(_COLUMNS), (), everything=True)


def select(names: Iterable[str] | None) -> Selection:
    """The signals of these wire keys or VSS paths; None selects all.

    Keys outside the catalogue become extras; `unknown` says which of them to look for.
    """
    if names is None:
        return EVERYTHING
    keys = list(dict.fromkeys(_BY_PATH.get(name, name) for name in names))
    return Selection(
        tuple(key for key in keys if key in _COLUMNS), tuple(key for key in keys if key not in _COLUMNS)
    )


def unlisted(selection: Selection) -> list[str]:
    """The keys that only the vehicles can know: they are not in the catalogue."""
    return [key for key in selection.extras if key not in CATALOGUE]


def raw_columns(selection: Selection) -> str:
    """The signal columns of telemetry_raw*.sql, each followed by a comma."""
    return "".join(f'"{_COLUMNS[key]}", ' for key in selection.columns)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One column of a bucket: aggregate `name` of signal `key`."""

    key: str
    name: str
    expression: str


def aggregates(selection: Selection, names: Sequence[str], first_parameter: int) -> list[Aggregate]:
    """What telemetry_bucketed*.sql computes for each bucket, in order.

    Args:
        selection: the signals.
        names: of `AGGREGATES`.
        first_parameter: number of the statement's parameter that holds the first key of `selection.extras`;
            the others follow.
    """
    found: list[Aggregate] = []
    for key in selection.columns:
        found += _of_column(key, names)
    for number, key in enumerate(selection.extras, start=first_parameter):
        value = f"extra -> ${number}::text"
        is_number = f"jsonb_typeof({value}) = 'number'"
        as_number = f"CASE WHEN {is_number} THEN (extra ->> ${number}::text)::double precision END"
        for name in names:
            expression = _last(value) if name == "last" else f"{name}({as_number})"
            found.append(Aggregate(key, name, expression))
    return found


def aggregate_columns(found: Iterable[Aggregate]) -> str:
    """The same as text of the statement, each preceded by a comma."""
    return "".join(f", {aggregate.expression} AS a{index}" for index, aggregate in enumerate(found))


def _of_column(key: str, names: Sequence[str]) -> list[Aggregate]:
    datatype, column = CATALOGUE[key].datatype, f'"{_COLUMNS[key]}"'
    found = []
    for name in names:
        if name == "last":
            expression = _last(column)
        elif key == "heading" and name == "avg":
            # the mean direction: 359 and 1 make 0, not 180
            expression = (
                f"(degrees(atan2(avg(sin(radians({column}))), avg(cos(radians({column}))))) + 360)::numeric"
                " % 360"
            )
        elif datatype in _NUMERIC:
            expression = f"{name}({column})"
        elif datatype is Datatype.BOOL and name == "avg":
            expression = f"avg({column}::integer)"  # the share of readings in which it was true
        else:
            continue
        found.append(
            Aggregate(key, name, f"({expression})::double precision" if name == "avg" else expression)
        )
    return found


def _last(value: str) -> str:
    return f"(array_agg({value} ORDER BY time DESC, seq DESC) FILTER (WHERE {value} IS NOT NULL))[1]"
