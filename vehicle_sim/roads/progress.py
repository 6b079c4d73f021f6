"""How a build says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int], None]
"""Called with what is being counted ("objects read") and the count so far; the total is not known before."""


def silent(_what: str, _count: int) -> None:
    """No progress wanted."""
