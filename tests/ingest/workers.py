"""Ingest workers as processes of their own, to be killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

if TYPE_CHECKING:
    from pathlib import Path

    from fleetcell.settings import IngestSettings


class Worker:
    """One `fleetcell ingest`."""

    def __init__(self, settings: IngestSettings, name: str, directory: Path) -> None:
        self.name = name
        self._settings = settings
        self._log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            f"FLEETCELL_{key.upper()}": _plain(value)
            for key, value in self._settings.model_dump(exclude_none=True).items()
        }
        environment["FLEETCELL_WORKER"] = self.name
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fleetcell", "ingest"],
                env=os.environ | environment,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, its connections just end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def said(self, words: str) -> bool:
        """Whether its log has a line with these words."""
        return re.search(words, self._text()) is not None

    async def says(self, words: str, timeout_s: float = 60) -> None:
        """Wait for it."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.said(words):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{self.name} did not say {words!r}: {self._text()}") from None

    def _text(self) -> str:
        """Its log without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self._log.read_text(errors="replace"))


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value)
