"""Tries every behaviour on a broker, and makes the table of what it found."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Final

from tests.conformance.behaviours import BEHAVIOURS, Behaviour
from tests.conformance.bench import AT_LENGTH, AT_ONCE, IN_TIME, LACKING, Address, Bench, DifferenceError

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "broker.md"
BEGIN, END = "<!-- conformance: begin -->\n", "<!-- conformance: end -->\n"
YES: Final = "yes"
SIDE_BY_SIDE: Final = 8  # most of a behaviour's time is waiting
LIMIT_S: Final = 90.0
AGAIN: Final = 2  # times


async def measure(broker: Address, known: dict[str, str] | None = None) -> dict[str, str]:
    """What the broker does: `yes`, or the difference, by behaviour.

    known: what another program is known to do. What differs is tried again, alone and at length: that a busy
    program or machine was slow, or luckily quick, is not a behaviour of the broker. Without it, every
    behaviour is waited for, and a difference is one.
    """
    name = secrets.token_hex(3)  # nothing is left here of another run
    turns = asyncio.Semaphore(SIDE_BY_SIDE)
    waiting = IN_TIME if known is None else AT_ONCE

    async def one(number: int, run: Behaviour) -> str:
        async with turns:
            return await _try(run, Bench(broker, f"{name}-{number}", waiting))

    tried = await asyncio.gather(*(one(n, run) for n, run in enumerate(BEHAVIOURS.values())))
    found = dict(zip(BEHAVIOURS, tried, strict=True))
    if known is None:
        return found
    for number, (behaviour, run) in enumerate(BEHAVIOURS.items()):
        expected = known.get(behaviour, YES)
        waiting = AT_LENGTH if expected == YES else LACKING
        for again in range(AGAIN):
            if found[behaviour] != expected:
                found[behaviour] = await _try(run, Bench(broker, f"{name}-{number}-{again}", waiting))
    return found


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
