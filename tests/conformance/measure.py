"""Tries every behaviour on a broker, and makes the table of what it found."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from tests.conformance.behaviours import BEHAVIOURS, Behaviour
from tests.conformance.bench import Address, Bench, DifferenceError

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "broker.md"
BEGIN, END = "<!-- conformance: begin -->\n", "<!-- conformance: end -->\n"
YES: Final = "yes"
AT_ONCE: Final = 8  # most of a behaviour's time is waiting
LIMIT_S: Final = 60.0


async def measure(broker: Address) -> dict[str, str]:
    """What the broker does: `yes`, or the difference, by behaviour."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, run: Behaviour) -> str:
        async with turns:
            return await _try(run, Bench(broker, f"c{number}"))

    found = await asyncio.gather(*(one(n, run) for n, run in enumerate(BEHAVIOURS.values())))
    return dict(zip(BEHAVIOURS, found, strict=True))


async def _try(run: Behaviour, bench: Bench) -> str:
    try:
        async with asyncio.timeout(LIMIT_S):
            await run(bench)
    except DifferenceError as difference:
        return str(difference)
    except TimeoutError:
        return "no answer"
    except (AssertionError, ConnectionError) as error:
        return str(error) or type(error).__name__
    finally:
        await bench.close()
    return YES


def table(columns: dict[str, dict[str, str]]) -> str:
    """The table, with a column a broker."""
    lines = ["| behaviour | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(column.get(name, "") for column in columns.values()) + " |"
        for name in BEHAVIOURS
    ]
    return "\n".join(lines) + "\n"


def documented(text: str | None = None) -> dict[str, dict[str, str]]:
    """The table of docs/broker.md, by column and behaviour."""
    text = DOCUMENT.read_text() if text is None else text
    inside = text.partition(BEGIN)[2].partition(END)[0]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|\n").split(" | ")] for line in inside.strip().splitlines()
    ]
    head = [cell.strip() for cell in head]
    return {name: {row[0]: row[at] for row in rows} for at, name in enumerate(head) if at}


def write(columns: dict[str, dict[str, str]]) -> None:
    """Put the table into docs/broker.md."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(before + BEGIN + table(columns) + END + after)
