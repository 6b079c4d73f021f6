"""A process of a benchmark that answers lines of JSON, seen from the benchmark."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = TypeVar("T", bound=msgspec.Struct)

_END_S = 30.0
_LINE_BYTES = 2**24


class ChildError(Exception):
    """It has ended, or does not answer."""


class Child:
    """A module that runs as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self._name = name

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, module: str, *arguments: str) -> AsyncIterator[Self]:
        """Run it; its standard input is closed in the end, and then it should go."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, stdin=pipe, stdout=pipe, limit=_LINE_BYTES
        )
        try:
            yield cls(process, module)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), _END_S)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def ask(self, kind: type[T], line: bytes = b"", within_s: float = 60.0) -> T:
        """Send a line, and read its answer.

        Raises:
            ChildError: there is none.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(line + b"\n")
        try:
            answer = await asyncio.wait_for(stdout.readline(), within_s)
        except TimeoutError:
            raise ChildError(f"{self._name} did not answer within {within_s:g} s") from None
        if not answer:
            raise ChildError(f"{self._name} has ended, with {await self._process.wait()}")
        return msgspec.json.decode(answer, type=kind)
