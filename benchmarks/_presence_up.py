"""A `fleetcell up` for a benchmark of presence, as a user starts it, and what its live frame shows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from websockets.asyncio.client import connect as connect_websocket

from vehicle_sim.provisioning import find_platform
from vehicle_sim.score.presence import Shown, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from vehicle_sim.provisioning import Platform

ROOT: Final = Path(__file__).resolve().parent.parent
START_S: Final = 120.0


@contextlib.asynccontextmanager
async def platform_up(*arguments: str) -> AsyncIterator[tuple[Path, Platform]]:
    """The platform on a fresh data directory and free ports, without simulated vehicles of its own."""
    with tempfile.TemporaryDirectory(prefix="fleetcell-", ignore_cleanup_errors=True) as name:
        data = Path(name)
        os.chmod(data, 0o755)  # noqa: S103, PTH101 - the database may run as another user
        up = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fleetcell", "up", "--no-sim", "--data", name),
            *("--port", "0", "--ws-port", "0", "--mqtt-port", "0", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=ROOT,
        )
        try:
            assert up.stdout is not None
            await asyncio.wait_for(up.stdout.readline(), START_S)
            yield data, find_platform(data)
        finally:
            with contextlib.suppress(ProcessLookupError):
                up.terminate()
            await up.wait()


@dataclass
class LiveFrame:
    """A client of the live WebSocket, as a browser is.

    Attributes:
        shown: each unit's changes of presence, in the order in which they came.
        ready: set once the first snapshot is there.
    """

    shown: defaultdict[str, list[Shown]] = field(default_factory=lambda: defaultdict(list))
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def watch(self, platform: Platform) -> None:
        """Read until cancelled."""
        address = platform.api_url.replace("http", "ws", 1) + "/api/v1/live"
        headers = {"Authorization": f"Bearer {platform.api_key}"}
        async with connect_websocket(
            address, additional_headers=headers, max_size=None, compression=None
        ) as frames:
            async for text in frames:
                at, frame = time.monotonic(), msgspec.json.decode(text)
                match frame["type"]:
                    case "snapshot":
                        self.ready.set()
                    case "presence":
                        for change in frame["changes"]:
                            self.shown[change["vehicle"]].append(_shown(at, change))
                    case _:
                        pass
                async with self._changed:
                    self._changed.notify_all()

    async def until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Wait for a frame that makes it true; whether one did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._changed:
                await self._changed.wait_for(condition)
        return condition()

    def all_are(self, names: list[str], states: frozenset[State]) -> bool:
        """Whether the frame shows all of them so."""
        return all(self.shown[name] and self.shown[name][-1].state in states for name in names)

    def have_renewed(self, ended: Mapping[str, int]) -> bool:
        """Whether the frame shows all of them online in a session after the one that ended, by its epoch."""
        newest = ((self.shown[name][-1], epoch) for name, epoch in ended.items())
        return all(shown.state is State.ONLINE and shown.epoch > epoch for shown, epoch in newest)


def _shown(at: float, change: dict[str, Any]) -> Shown:
    return Shown(at, State(change["state"]), change["reason"], change["epoch"], change["region"])
