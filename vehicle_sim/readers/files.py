"""A trace file's bytes and lines, decompressed on the way, with the line number for the error."""

from __future__ import annotations

import gzip
import zlib
from typing import IO, TYPE_CHECKING, Final

from vehicle_sim.readers.trace import TraceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_GZIP_MAGIC: Final = b"\x1f\x8b"
_CHUNK: Final = 1 << 16


class TraceFile:
    """One input file. gzip is known by its first bytes, not by the name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 1
        """The line that has been read up to, from 1."""

    @property
    def stem(self) -> str:
        """The name without `.gz` and the format's own suffixes: `bologna` of `bologna.fcd.xml.gz`."""
        stem = self.path.name
        for suffix in (".gz", ".xml", ".fcd", ".gpx", ".csv", ".json", ".jsonl", ".ndjson"):
            if stem.lower().endswith(suffix) and len(stem) > len(suffix):
                stem = stem[: -len(suffix)]
        return stem

    def error(self, reason: str, line: int | None = None) -> TraceError:
        """The error for this file, at `line` or where reading has come to."""
        return TraceError(self.path, self.line if line is None else line, reason)

    def chunks(self) -> Iterator[bytes]:
        """The decompressed bytes in pieces.

        Raises:
            TraceError: the file cannot be read, or its compressed data are damaged or cut off.
        """
        self.line = 1
        try:
            with self.path.open("rb") as raw:
                yield from self._read(raw)
        except OSError as error:
            raise TraceError(self.path, None, f"cannot be read: {error.strerror or error}") from error

    def _read(self, raw: IO[bytes]) -> Iterator[bytes]:
        compressed = raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if compressed else raw
        while True:
            try:
                chunk = stream.read(_CHUNK)
            except EOFError as error:
                raise self.error("the compressed data end too early: the file is cut off") from error
            except (gzip.BadGzipFile, zlib.error) as error:
                raise self.error(f"the compressed data are damaged: {error}") from error
            if not chunk:
                return
            yield chunk
            self.line += chunk.count(b"\n")

    def lines(self) -> Iterator[str]:
        """The lines of UTF-8 text, without their ends; `self.line` is the number of the one given.

        Raises:
            TraceError: as `chunks`, or a line is not UTF-8 text.
        """
        number, rest = 0, b""
        for chunk in self.chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                number += 1
                yield self._text(line, number)
            # A cut in the compressed data is reported at the line that it cuts.
            self.line = number + 1 - chunk.count(b"\n")
        if rest:
            number += 1
            yield self._text(rest, number)
        self.line = max(number, 1)

    def _text(self, line: bytes, number: int) -> str:
        self.line = number
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise self.error(f"not UTF-8 text: {error.reason}") from error
        if "\0" in text:
            raise self.error("a NUL byte: this is not a text file")
        return text.removesuffix("\r")
