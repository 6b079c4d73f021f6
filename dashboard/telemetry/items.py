"""Database rows as readings and buckets. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboard.shapes import unit_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dashboard.telemetry.selection import Aggregate, Selection

NOTE_MARK = "$"  # keys of ingest's own notes in `extra`; no wire key has it


def signals_of(row: Mapping[str, Any], selection: Selection) -> dict[str, Any]:
    """The selected values of a reading; what it does not have is left out."""
    signals = {key: value for key in selection.columns if (value := row[key]) is not None}
    extra: Mapping[str, Any] = row["extra"] or {}
    if selection.everything:
        signals.update((key, value) for key, value in extra.items() if not key.startswith(NOTE_MARK))
    else:
        signals.update((key, extra[key]) for key in selection.extras if key in extra)
    return signals


def reading_of(row: Mapping[str, Any], vehicle: str, selection: Selection) -> dict[str, Any]:
    """One reading. `notes`: what ingest noted, such as values that it refused; only where there are some."""
    item: dict[str, Any] = {
        "time": row["time"],
        "vehicle": vehicle,
        "boot": row["boot"].hex,
        "seq": row["seq"],
        "received_at": row["received_at"],
        "quality": row["quality"],
        "signals": signals_of(row, selection),
    }
    if row["quality"] and row["extra"]:
        notes = {k.removeprefix(NOTE_MARK): v for k, v in row["extra"].items() if k.startswith(NOTE_MARK)}
        if notes:
            item["notes"] = notes
    return item


def bucket_of(row: Mapping[str, Any], vehicle: str | None, found: Sequence[Aggregate]) -> dict[str, Any]:
    """One bucket: `signals` has for each signal its aggregates; a signal without a value is left out."""
    signals: dict[str, dict[str, Any]] = {}
    for index, aggregate in enumerate(found):
        value = row[f"a{index}"]
        if value is not None:
            signals.setdefault(aggregate.key, {})[aggregate.name] = value
    item: dict[str, Any] = {"time": row["bucket"], "count": row["count"], "signals": signals}
    if vehicle is not None:
        item["vehicle"] = vehicle
    return item


def units_of(items: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> dict[str, str]:
    """The unit of every signal that was asked for or is there."""
    present = dict.fromkeys(keys)
    for item in items:
        present.update(dict.fromkeys(item["signals"]))
    return {key: unit_of(key) for key in present}
