"""Figures in documents: a program writes them between two marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def put(text: str, document: Path, begin: str, end: str) -> None:
    """Replace what stands between the marks.

    Raises:
        ValueError: the document has not both of them.
    """
    before, found_begin, rest = document.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{document} has no place for the tables")
    document.write_text(before + begin + text + end + after)
