"""One client of the hub: a bounded queue of frames, and the newest position of each vehicle beside it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from dashboard.live import frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from dashboard.live.filter import Filter
    from dashboard.live.frames import Frame
    from dashboard.shapes import Moved

TIME_EVERY_S: Final = 5.0  # the contract promises one at least every 10 s; a full queue may delay it by half
QUEUE_LIMIT: Final = 512  # frames; a client that has more waiting is closed and resumes


class Tick:
    """The positions that changed in one tick as one kind of client sees them; encoded when first sent."""

    def __init__(self, moved: dict[str, Moved]) -> None:
        self.moved = moved
        self._frame: Frame | None = None

    def frame(self) -> Frame:
        """The one frame that every client gets that was waiting for nothing else."""
        if self._frame is None:
            self._frame = frames.positions(self.moved.values())
        return self._frame


class Client:
    """What waits for one client; the hub fills it, the transport takes from it.

    Presence is never dropped: when more than `limit` frames wait, `closed` says why and nothing more is
    queued. Positions are conflated: an older one of the same vehicle is replaced.
    """

    def __init__(
        self, wanted: Filter, *, min_interval: float, now: float, limit: int, wake: Callable[[], None]
    ) -> None:
        self.filter = wanted
        self.closed: str | None = None
        self.too_slow = False
        self.on_close: Callable[[], None] | None = None
        self._min_interval = min_interval
        self._limit = limit
        self._wake = wake
        self._queue: deque[Frame] = deque()
        self._tick: Tick | None = None
        self._waiting: dict[str, Moved] = {}
        self._next_positions = now
        self._next_time = now
        self._cursor: str | None = None  # of the last frame taken

    @property
    def queued(self) -> int:
        """How many frames wait."""
        return len(self._queue)

    def put(self, frame: Frame) -> None:
        """Queue a snapshot or a presence frame."""
        if self.closed is not None:
            return
        if len(self._queue) >= self._limit:
            self.too_slow = True
            self.close("too slow: resume with the last cursor")
            return
        self._queue.append(frame)
        self._wake()

    def restart(self, frame: Frame) -> None:
        """Forget what waits and start again with a snapshot: what waited belongs to another feed."""
        self._queue.clear()
        self._tick = None
        self._waiting.clear()
        self.put(frame)

    def move(self, tick: Tick) -> None:
        """Positions of one tick."""
        if self.closed is not None:
            return
        if self._tick is None and not self._waiting:
            self._tick = tick
        else:
            if self._tick is not None:
                self._waiting.update(self._tick.moved)
                self._tick = None
            self._waiting.update(tick.moved)
        self._wake()

    def close(self, reason: str) -> None:
        """No more frames; the transport ends the connection."""
        self.closed = reason
        self._queue.clear()
        self._tick = None
        self._waiting.clear()
        self._wake()
        if self.on_close is not None:
            self.on_close()

    def take(self, now: float, server_time: datetime, lag_s: float, cursor: str) -> Frame | None:
        """The next frame to send, if one is due.

        Args:
            now: monotonic seconds.
            server_time: what a `time` frame says.
            lag_s: how long ago presence was last read from the database.
            cursor: the hub's; a client for whom nothing waits stands there too.
        """
        if self.closed is not None:
            return None
        waited = now - self._next_time
        if waited >= 0 and (not self._queue or waited >= TIME_EVERY_S / 2):
            self._next_time = now + TIME_EVERY_S
            moved_on = not self._queue and cursor != self._cursor
            if moved_on:
                self._cursor = cursor
            return frames.time(server_time, lag_s, cursor if moved_on else None)
        if self._queue:
            frame = self._queue.popleft()
            self._cursor = frame.cursor or self._cursor
            return frame
        if now >= self._next_positions and (self._tick is not None or self._waiting):
            self._next_positions = now + self._min_interval
            frame = self._tick.frame() if self._tick is not None else frames.positions(self._waiting.values())
            self._tick = None
            self._waiting = {}
            return frame
        return None

    def due(self, now: float) -> float:
        """Seconds until `take` has something without being woken."""
        wait = self._next_time - now
        if self._tick is not None or self._waiting:
            wait = min(wait, self._next_positions - now)
        if self._queue:
            wait = 0.0
        return max(0.0, wait)
