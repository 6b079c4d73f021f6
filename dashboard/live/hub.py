"""The hub: who is where and in which state, and what each live client still has to be told. Pure.

It is fed by `feed` (presence events in cursor order, positions, silent gateways) and read by the
transports through `Client`. Nothing here waits, reads a clock or touches a socket.

A client ends with the truth whatever happens: it gets a snapshot, then every presence change; after a
disconnection it resumes from its cursor and gets the changes that it missed, or, where those cannot be
had (another generation, too long ago) a new snapshot.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dashboard.live import frames
from dashboard.live.client import QUEUE_LIMIT, Client, Tick
from dashboard.live.cursor import Cursor
from dashboard.live.picture import Picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from dashboard.live.filter import Filter
    from dashboard.live.frames import Frame
    from dashboard.live.picture import Change, Known, Replay
    from dashboard.shapes import Moved
    from fleetcell.contract.messages import State

RING_SIZE: Final = 20_000  # presence changes kept in memory for clients that resume
FRAME_CHANGES: Final = 500  # presence changes in one frame
SNAPSHOT_REUSE: Final = timedelta(seconds=1)  # a snapshot serves everybody who comes within this
DEFAULT_INTERVAL_S: Final = 0.2  # between two positions frames of a client that names no max_hz


class Hub:
    """The live feed's state and its clients.

    Args:
        instance: names this process, so that a poll's place among its positions is not taken for another's.
        ring_size: presence changes kept for clients that resume.
        queue_limit: frames that may wait for one client.
    """

    def __init__(self, instance: str, *, ring_size: int = RING_SIZE, queue_limit: int = QUEUE_LIMIT) -> None:
        self.generation = ""
        self.sequence = 0  # cursor of the newest presence event known here
        self.clients: set[Client] = set()
        self.closed_slow = 0
        self._instance = instance
        self._queue_limit = queue_limit
        self._picture = Picture()
        self._snapshots: dict[Filter, tuple[Frame, Cursor, datetime]] = {}
        self._ring: deque[Change] = deque(maxlen=ring_size)
        self._ring_after = 0  # every event after this cursor is in the ring
        self._moves = 0
        self._moved_at: dict[str, int] = {}  # vehicle to the number of its last move
        self._unflushed: dict[str, Moved | None] = {}  # vehicle to where the last tick saw it

    # -- what the feed tells --------------------------------------------------------------------

    def load(self, generation: str, sequence: int, known: Iterable[Known], now: datetime) -> None:
        """Start, or start again, from what the database holds as of `sequence`; clients get a snapshot."""
        self.generation, self.sequence = generation, sequence
        self._ring.clear()
        self._ring_after = sequence
        self._unflushed.clear()
        self._snapshots.clear()
        self._picture.load(known)
        for name in self._picture.positions:
            self._count_move(name)
        for client in self.clients:
            client.restart(self._snapshot(client.filter, now))

    def apply(self, changes: Iterable[Change]) -> None:
        """Presence events in cursor order; those that the hub already has are passed over."""
        new = [change for change in changes if change.state.cursor > self.sequence]
        if not new:
            return
        self.flush()  # who was in a client's view is decided by where it was told to be
        told: list[tuple[State, str | None]] = []  # with the region that the hub knew before
        for change in new:
            told.append((change.state, self._picture.change(change)))
            self._keep(change)
            self.sequence = change.state.cursor
        self._tell(told)

    def refresh(self, known: Iterable[str], revoked: Iterable[str], states: Iterable[State]) -> None:
        """What changed without a presence event; only new snapshots show it."""
        self._picture.refresh(known, revoked, states)

    def move(self, moved: Iterable[Moved]) -> bool:
        """Newest positions; one that is not newer than the known one is passed over. Flush afterwards."""
        news = False
        for one in moved:
            before = self._picture.positions.get(one.vehicle)
            if self._picture.move(one):
                self._unflushed.setdefault(one.vehicle, before)
                self._count_move(one.vehicle)
                news = True
        return news

    def flush(self) -> None:
        """Tell the clients what moved since the last flush: one frame for all that want the same."""
        if not self._unflushed:
            return
        moved, self._unflushed = self._unflushed, {}
        ticks: dict[Filter, Tick] = {}
        entered: dict[Filter, Frame | None] = {}
        for client in self.clients:
            wanted = client.filter
            if wanted not in ticks:
                ticks[wanted], entered[wanted] = self._tick(wanted, moved)
            frame = entered[wanted]
            if frame is not None:
                client.put(frame)
            if ticks[wanted].moved:
                client.move(ticks[wanted])

    def silence(self, silent: Mapping[str, datetime]) -> None:
        """Which regions' gateways are silent, since when; their vehicles are shown as unknown."""
        before = self._picture.digest
        changed = self._picture.silence(silent)
        self._tell([(state, state.region) for state in changed], silent_before=before)

    # -- what clients ask -------------------------------------------------------------------------

    def missing(self, cursor: Cursor) -> tuple[int, int] | None:
        """The presence events (after, up to) to read from the table before this cursor can resume.

        None: the hub has them, or the cursor is of another feed and gets a snapshot.
        """
        if not self._continues(cursor) or cursor.sequence >= self._ring_after:
            return None
        return cursor.sequence, self._ring_after

    def attach(
        self,
        wanted: Filter,
        cursor: Cursor | None,
        *,
        clock: float,
        now: datetime,
        wake: Callable[[], None],
        max_hz: float | None = None,
        replay: Replay | None = None,
    ) -> Client:
        """A new client, with what it needs first already queued.

        Args:
            wanted: what it wants to see.
            cursor: the last that it has, or None to start with a snapshot.
            clock: monotonic seconds.
            now: the server's time, for ages in a snapshot.
            wake: called when something waits for a client that had nothing.
            max_hz: the most positions frames a second.
            replay: the events that `missing` named; without them an old cursor gets a snapshot.
        """
        interval = DEFAULT_INTERVAL_S if max_hz is None else 1 / max_hz
        client = Client(wanted, min_interval=interval, now=clock, limit=self._queue_limit, wake=wake)
        self.flush()  # so that the next tick begins where this client does
        for frame in self._resume(wanted, cursor, replay, now):
            if isinstance(frame, Tick):
                client.move(frame)
            else:
                client.put(frame)
        self.clients.add(client)
        return client

    def detach(self, client: Client) -> None:
        """The client is gone."""
        self.clients.discard(client)
        self.closed_slow += client.too_slow

    def poll(
        self, wanted: Filter, cursor: Cursor | None, now: datetime, replay: Replay | None = None
    ) -> list[Frame]:
        """All frames that a client at `cursor` has not seen, at once; continue with `poll_cursor`."""
        return [
            frame.frame() if isinstance(frame, Tick) else frame
            for frame in self._resume(wanted, cursor, replay, now)
        ]

    def cursor(self) -> str:
        """The cursor of a client that has every presence change so far."""
        return self._cursor(self.sequence).encode()

    def poll_cursor(self) -> str:
        """The cursor of a client that has every presence change and every position so far."""
        return self._poll_cursor().encode()

    def close(self, reason: str) -> None:
        """End every client."""
        for client in list(self.clients):
            client.close(reason)

    # -- inside -------------------------------------------------------------------------------------

    def _resume(
        self, wanted: Filter, cursor: Cursor | None, replay: Replay | None, now: datetime
    ) -> Iterator[Frame | Tick]:
        if cursor is None or not self._continues(cursor):
            yield from self._start(wanted, now)
            return
        reached = cursor.sequence if replay is None else max(cursor.sequence, replay.up_to)
        if reached < self._ring_after:
            yield self._snapshot(wanted, now)
            return
        missed = [] if replay is None else [c for c in replay.changes if c.state.cursor > cursor.sequence]
        missed += [change for change in self._ring if change.state.cursor > reached]
        told = [(change.state, change.previous_region) for change in missed]
        yield from self._presence_frames(self._wanted(wanted, told), cursor.silent)
        since = cursor.moves if cursor.instance == self._instance else 0
        moved = since < self._moves
        if cursor.silent != self._picture.digest or (wanted.box is not None and (moved or missed)):
            # other gateways were silent then, or vehicles came into the box meanwhile
            yield self._snapshot(wanted, now)
            return
        changed = {change.state.vehicle for change in missed}  # one that came into view may stand still
        seen = {
            name: one
            for name, one in (self._picture.positions.items() if moved or changed else ())
            if (self._moved_at[name] > since or name in changed)
            and self._picture.matches(wanted, name, self._picture.region(name))
        }
        if seen:
            yield Tick(seen)

    def _start(self, wanted: Filter, now: datetime) -> Iterator[Frame | Tick]:
        """A snapshot; of a crowd that comes at once, all get the same, and what changed since."""
        shared = self._snapshots.get(wanted)
        if shared is not None:
            frame, cursor, made = shared
            is_fresh = timedelta(0) <= now - made < SNAPSHOT_REUSE
            if is_fresh and cursor.sequence >= self._ring_after and cursor.silent == self._picture.digest:
                yield frame
                yield from self._resume(wanted, cursor, None, now)
                return
        frame = self._snapshot(wanted, now)
        if wanted.box is None:  # there a resumption needs a snapshot itself
            self._snapshots = {
                kept: entry for kept, entry in self._snapshots.items() if now - entry[2] < SNAPSHOT_REUSE
            }
            self._snapshots[wanted] = (frame, self._poll_cursor(), now)
        yield frame

    def _continues(self, cursor: Cursor) -> bool:
        return cursor.generation == self.generation and cursor.sequence <= self.sequence

    def _tell(self, told: Sequence[tuple[State, str | None]], *, silent_before: str | None = None) -> None:
        """Queue presence changes to every client that wants them; encoded once for each filter."""
        ready: dict[Filter, tuple[list[Frame], Tick]] = {}
        for client in self.clients:
            wanted = client.filter
            if wanted not in ready:
                states = self._wanted(wanted, told)
                if silent_before is None:
                    presence = self._presence_frames(states, self._picture.digest)
                else:
                    presence = self._silence_frames(states, silent_before)
                ready[wanted] = (list(presence), Tick(self._brought(wanted, told)))
            batches, brought = ready[wanted]
            for frame in batches:
                client.put(frame)
            if brought.moved:
                client.move(brought)

    def _presence_frames(self, states: Sequence[State], digest: str) -> Iterator[Frame]:
        """Changes in cursor order; each frame's cursor is that of its newest change."""
        for start in range(0, len(states), FRAME_CHANGES):
            batch = states[start : start + FRAME_CHANGES]
            cursor = Cursor(self.generation, batch[-1].cursor, digest)
            yield frames.presence(map(self._picture.shown, batch), cursor.encode())

    def _silence_frames(self, states: Sequence[State], silent_before: str) -> Iterator[Frame]:
        """States that are shown differently now, because a gateway fell silent or came back.

        Until the last frame the cursors keep the digest from before: a client that is cut off in between
        gets a snapshot when it resumes.
        """
        for start in range(0, len(states), FRAME_CHANGES):
            last = start + FRAME_CHANGES >= len(states)
            digest = self._picture.digest if last else silent_before
            cursor = Cursor(self.generation, self.sequence, digest)
            batch = states[start : start + FRAME_CHANGES]
            yield frames.presence(map(self._picture.shown, batch), cursor.encode())

    def _wanted(self, wanted: Filter, told: Iterable[tuple[State, str | None]]) -> list[State]:
        """The changes of vehicles that are in a client's view now, or were before."""
        matches = self._picture.matches
        return [
            state
            for state, before in told
            if matches(wanted, state.vehicle, state.region) or matches(wanted, state.vehicle, before)
        ]

    def _brought(self, wanted: Filter, told: Iterable[tuple[State, str | None]]) -> dict[str, Moved]:
        """Positions of vehicles that a change of region brings into a client's view."""
        if wanted.regions is None:
            return {}
        matches = self._picture.matches
        return {
            state.vehicle: position
            for state, before in told
            if (position := self._picture.positions.get(state.vehicle)) is not None
            and matches(wanted, state.vehicle, state.region)
            and not matches(wanted, state.vehicle, before)
        }

    def _tick(self, wanted: Filter, moved: Mapping[str, Moved | None]) -> tuple[Tick, Frame | None]:
        """What one kind of client sees of a tick, and the presence of vehicles that came into its view."""
        picture = self._picture
        if wanted.is_open:
            return Tick({name: picture.positions[name] for name in moved}), None
        seen: dict[str, Moved] = {}
        entered: list[State] = []
        for name, before in moved.items():
            region, after = picture.region(name), picture.positions[name]
            was, now = wanted.matches(name, region, before), wanted.matches(name, region, after)
            if was or now:  # a vehicle that leaves the box is seen leaving
                seen[name] = after
            if now and not was and name in picture.states:
                entered.append(picture.shown(picture.states[name]))
        return Tick(seen), frames.presence(entered, self.cursor()) if entered else None

    def _snapshot(self, wanted: Filter, now: datetime) -> Frame:
        return frames.snapshot(self._picture.vehicles(wanted, now), self.cursor(), now)

    def _poll_cursor(self) -> Cursor:
        return replace(self._cursor(self.sequence), instance=self._instance, moves=self._moves)

    def _cursor(self, sequence: int) -> Cursor:
        return Cursor(self.generation, sequence, self._picture.digest)

    def _keep(self, change: Change) -> None:
        if self._ring.maxlen == len(self._ring):
            self._ring_after = self._ring[0].state.cursor if self._ring else change.state.cursor
        self._ring.append(change)

    def _count_move(self, name: str) -> None:
        self._moves += 1
        self._moved_at[name] = self._moves
