"""The hub: whatever happens, a client ends with the truth and misses no change."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.live.client import TIME_EVERY_S, Client
from dashboard.live.cursor import Cursor, decode_cursor
from dashboard.live.filter import EVERYTHING, Box, Filter
from dashboard.live.hub import Hub
from dashboard.live.picture import Change, Known, Replay
from dashboard.shapes import Moved
from fleetcell.contract.messages import PresenceState, State

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
VEHICLES = ("a", "b", "c", "d")
REGIONS = ("espoo", "helsinki")
BOX = Box(0, 0, 5, 5)
FILTERS = (
    EVERYTHING,
    Filter(regions=frozenset({"espoo"})),
    Filter(box=BOX),
    Filter(vehicles=frozenset({"a", "b"})),
    Filter(box=BOX, regions=frozenset({"helsinki"})),
)


def state_of(vehicle: str, cursor: int, state: PresenceState, region: str) -> State:
    return State(vehicle, state, "test", NOW, {}, None, cursor, 1, region, None, None, None, cursor)


def moved(vehicle: str, second: int, lat: float = 1.0, lon: float = 1.0) -> Moved:
    return Moved(vehicle, lat, lon, None, None, NOW + timedelta(seconds=second))


class World:
    """The database and the clock beside a hub, as `feed` handles them."""

    def __init__(self, *, ring_size: int = 3, queue_limit: int = 4) -> None:
        self.hub = Hub("test", ring_size=ring_size, queue_limit=queue_limit)
        self.clock = 0.0
        self.generation = 0
        self.table: list[Change] = []
        self.last = 0
        self.silent: set[str] = set()
        self.hub.load("g0", 0, [], NOW)

    def change(self, vehicle: str, state: PresenceState, region: str, *, skip: int = 0) -> None:
        before = next((c.state.region for c in reversed(self.table) if c.state.vehicle == vehicle), None)
        self.last += 1 + skip
        self.table.append(Change(state_of(vehicle, self.last, state, region), before))

    def read(self) -> None:
        self.hub.apply([change for change in self.table if change.state.cursor > self.hub.sequence])

    def silence(self, regions: set[str]) -> None:
        self.silent = regions
        self.hub.silence(dict.fromkeys(regions, NOW))

    def restore(self) -> None:
        """Another database: what is registered is as before, the history is gone."""
        self.generation += 1
        states = {change.state.vehicle: change.state for change in self.table}
        self.table, self.last = [], 0
        for state in states.values():
            assert state.region is not None
            self.change(state.vehicle, state.state, state.region)
        known = [Known(change.state.vehicle, change.state, None) for change in self.table]
        self.hub.load(f"g{self.generation}", self.last, known, NOW)

    def replay(self, cursor: Cursor | None) -> Replay | None:
        span = self.hub.missing(cursor) if cursor is not None else None
        if span is None:
            return None
        after, up_to = span
        return Replay(up_to, [change for change in self.table if after < change.state.cursor <= up_to])

    def truth(self) -> dict[str, tuple[str, str | None]]:
        """What everybody should see of each registered vehicle: state and region."""
        shown: dict[str, tuple[str, str | None]] = {}
        for change in self.table:
            state = change.state
            silent = state.region in self.silent
            shown[state.vehicle] = ("unknown" if silent else state.state.value, state.region)
        return shown


@dataclass
class Viewer:
    """A live client as the page is one: it believes frames, and keeps the last cursor."""

    world: World
    wanted: Filter
    cursor: str | None = None
    client: Client | None = None
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    positions: dict[str, dict[str, Any]] = field(default_factory=dict)
    must_have: int | None = None  # every change after this cursor has to arrive
    changes: set[int] = field(default_factory=set)
    generation: int = 0

    def connect(self) -> None:
        if self.client is None:
            start = decode_cursor(self.cursor) if self.cursor else None
            self.client = self.world.hub.attach(
                self.wanted,
                start,
                clock=self.world.clock,
                now=NOW,
                wake=lambda: None,
                replay=self.world.replay(start),
            )

    def disconnect(self) -> None:
        if self.client is not None:
            self.world.hub.detach(self.client)
            self.client = None

    def take(self, count: int) -> bool:
        """Take frames; whether there may be more."""
        for _ in range(count):
            if self.client is None:
                return False
            if self.client.closed is not None:
                self.disconnect()  # too slow
                return False
            self.world.clock += 0.3
            frame = self.client.take(self.world.clock, NOW, 0.0, self.world.hub.cursor())
            if frame is None:
                return False
            self.believe(json.loads(frame.text))
        return True

    def poll(self) -> None:
        """The same by a poll."""
        start = decode_cursor(self.cursor) if self.cursor else None
        for frame in self.world.hub.poll(self.wanted, start, NOW, self.world.replay(start)):
            self.believe(json.loads(frame.text))
        self.cursor = self.world.hub.poll_cursor()

    def believe(self, frame: dict[str, Any]) -> None:
        self.cursor = frame.get("cursor", self.cursor)
        match frame["type"]:
            case "snapshot":
                self._snapshot(frame)
            case "presence":
                for change in frame["changes"]:
                    known = self.states.get(change["vehicle"])
                    assert known is None or change["cursor"] >= known["cursor"], "back to an older state"
                    self.states[change["vehicle"]] = change
                    self.changes.add(change["cursor"])
            case "positions":
                for one in frame["changes"]:
                    self._move(one["vehicle"], one)

    def _snapshot(self, frame: dict[str, Any]) -> None:
        sequence = decode_cursor(frame["cursor"]).sequence
        if self.must_have is None or self.generation != self.world.generation:
            self.generation, self.must_have = self.world.generation, sequence
            self.changes.clear()
            self.positions.clear()  # of another database, where a vehicle may be elsewhere and earlier
        self.states = {v["id"]: v["registration"] for v in frame["vehicles"] if v["registration"]}
        shown = {v["id"]: v["position"] for v in frame["vehicles"] if v["position"]}
        for vehicle, position in shown.items():
            self._move(vehicle, position)
        self.positions = shown

    def _move(self, vehicle: str, position: dict[str, Any]) -> None:
        known = self.positions.get(vehicle)
        assert known is None or position["time"] >= known["time"], "an older position over a newer"
        self.positions[vehicle] = position

    def seen(self) -> dict[str, tuple[str, str | None]]:
        """What the page shows, its own filter applied."""
        return {
            vehicle: (known["state"], known["region"])
            for vehicle, known in self.states.items()
            if self.shows(vehicle, known["region"])
        }

    def shows(self, vehicle: str, region: str | None) -> bool:
        at = self.positions.get(vehicle)
        place = None if at is None else Moved(vehicle, at["lat"], at["lon"], None, None, NOW)
        return self.wanted.matches(vehicle, region, place)


vehicles = st.sampled_from(VEHICLES)
viewers = st.integers(0, len(FILTERS) - 1)
Operation = st.one_of(
    st.tuples(
        st.just("change"),
        vehicles,
        st.sampled_from(PresenceState),
        st.sampled_from(REGIONS),
        st.integers(0, 2),
    ),
    st.tuples(st.just("read")),
    st.tuples(st.just("move"), vehicles, st.integers(0, 30), st.sampled_from((1.0, 9.0))),
    st.tuples(st.just("flush")),
    st.tuples(st.just("silence"), st.sets(st.sampled_from(REGIONS))),
    st.tuples(st.just("restore")),
    st.tuples(st.just("connect"), viewers),
    st.tuples(st.just("disconnect"), viewers),
    st.tuples(st.just("take"), viewers, st.integers(1, 4)),
    st.tuples(st.just("poll"), viewers),
    st.tuples(st.just("wait"), st.floats(0.1, 2 * TIME_EVERY_S)),
)


def apply(world: World, people: list[Viewer], newest: dict[str, Moved], operation: tuple[Any, ...]) -> None:
    match operation:
        case ("change", vehicle, state, region, skip):
            world.change(vehicle, state, region, skip=skip)
        case ("read",):
            world.read()
        case ("move", vehicle, second, lat):
            one = moved(vehicle, second, lat)
            known = newest.get(vehicle)
            taken = world.hub.move([one])
            assert taken == (known is None or one.time > known.time)
            if taken:
                newest[vehicle] = one
        case ("flush",):
            world.hub.flush()
        case ("silence", regions):
            world.silence(regions)
        case ("restore",):
            world.restore()
            for vehicle in set(newest) - {change.state.vehicle for change in world.table}:
                del newest[vehicle]  # the other database does not know it
        case ("connect", index):
            people[index].connect()
        case ("disconnect", index):
            people[index].disconnect()
        case ("take", index, count):
            people[index].take(count)
        case ("poll", index):
            if people[index].client is None:
                people[index].poll()
        case ("wait", seconds):
            world.clock += seconds


ON, OFF = PresenceState.ONLINE, PresenceState.OFFLINE
SCENES: dict[str, list[tuple[Any, ...]]] = {
    "a vehicle comes into a box": [
        ("connect", 2), ("change", "a", ON, "espoo", 0), ("read",), ("move", "a", 1, 1.0),
    ],
    "a poll before the region is known, then it comes into view without moving": [
        ("change", "a", ON, "espoo", 0), ("move", "a", 0, 1.0), ("poll", 1), ("read",), ("poll", 1),
    ],
    "a gateway falls silent while the client is away": [
        ("change", "a", ON, "espoo", 0), ("read",), ("connect", 0), ("take", 0, 4), ("disconnect", 0),
        ("silence", {"espoo"}),
    ],
    "a gateway comes back while the client is away": [
        ("change", "a", ON, "espoo", 0), ("read",), ("silence", {"espoo"}), ("connect", 0), ("take", 0, 4),
        ("disconnect", 0), ("silence", set()),
    ],
    "a vehicle drives into the box while the client is away": [
        ("change", "a", ON, "espoo", 0), ("read",), ("connect", 2), ("take", 2, 4), ("disconnect", 2),
        ("move", "a", 1, 1.0), ("flush",),
    ],
    "a vehicle leaves the box": [
        ("change", "a", ON, "espoo", 0), ("read",), ("move", "a", 1, 1.0), ("flush",), ("connect", 2),
        ("take", 2, 4), ("move", "a", 2, 9.0), ("flush",),
    ],
    "a vehicle leaves the box, in which no tick has seen it": [
        ("move", "a", 0, 1.0), ("connect", 2), ("change", "a", ON, "espoo", 0), ("read",),
        ("move", "a", 1, 9.0),
    ],
    "a vehicle leaves the box, then the region, within a tick": [
        ("move", "a", 0, 1.0), ("connect", 4),
        ("change", "a", ON, "espoo", 0), ("change", "a", ON, "helsinki", 0), ("read",),
        ("move", "a", 1, 9.0), ("change", "a", ON, "espoo", 0), ("read",),
    ],
    "a vehicle is handed over to another region": [
        ("change", "a", ON, "espoo", 0), ("read",), ("connect", 1), ("take", 1, 4),
        ("change", "a", ON, "helsinki", 0), ("read",),
    ],
    "a standing vehicle is handed over into view": [
        ("change", "a", ON, "helsinki", 0), ("read",), ("move", "a", 1, 1.0), ("flush",), ("connect", 1),
        ("take", 1, 4), ("change", "a", ON, "espoo", 0), ("read",),
    ],
    "a change directly after the one that was seen": [
        ("connect", 0), ("take", 0, 4), ("change", "a", ON, "espoo", 0), ("read",), ("take", 0, 4),
        ("disconnect", 0), ("change", "a", OFF, "espoo", 0), ("read",),
    ],
    "another database while the client is away, whose cursors have come as far": [
        ("change", "a", ON, "espoo", 0), ("change", "a", OFF, "espoo", 0), ("change", "b", ON, "espoo", 0),
        ("read",), ("connect", 0), ("take", 0, 4), ("disconnect", 0), ("restore",),
        ("change", "a", ON, "espoo", 0), ("read",),
    ],
    "a vehicle moves while the client is away": [
        ("change", "a", ON, "espoo", 0), ("read",), ("connect", 0), ("take", 0, 4), ("disconnect", 0),
        ("move", "a", 1, 1.0), ("flush",),
    ],
}  # fmt: skip


@settings(max_examples=300)
@given(st.lists(Operation, max_size=60))
def test_a_client_ends_with_the_truth_and_misses_no_change(operations: list[tuple[Any, ...]]) -> None:
    play(operations)


@pytest.mark.parametrize("scene", SCENES)
def test_scenes(scene: str) -> None:
    play(SCENES[scene])


def play(operations: list[tuple[Any, ...]]) -> None:
    """Do it, let everybody catch up, and compare what they see with the truth."""
    world = World()
    people = [Viewer(world, wanted) for wanted in FILTERS]
    newest: dict[str, Moved] = {}
    for operation in operations:
        apply(world, people, newest, operation)
    world.read()
    world.hub.flush()
    for viewer in people:
        while True:
            viewer.connect()
            while viewer.take(1):
                pass
            if viewer.client is not None and viewer.client.queued == 0:
                break
    world.clock += 10
    for viewer in people:
        while viewer.take(1):
            pass
        place = {vehicle: (one.lat, one.time) for vehicle, one in newest.items()}
        expected = {
            vehicle: shown
            for vehicle, shown in world.truth().items()
            if viewer.wanted.matches(vehicle, shown[1], newest.get(vehicle))
        }
        assert viewer.seen() == expected
        for vehicle in expected.keys() & place.keys():
            at = viewer.positions[vehicle]
            assert (at["lat"], datetime.fromisoformat(at["time"])) == place[vehicle]
        if viewer.wanted.is_open:
            assert viewer.must_have is not None
            due = {c.state.cursor for c in world.table if c.state.cursor > viewer.must_have}
            assert due <= viewer.changes, "a change was missed"


def test_frames_are_encoded_once_for_clients_that_want_the_same() -> None:
    world = World(queue_limit=100)
    clients = [world.hub.attach(EVERYTHING, None, clock=0, now=NOW, wake=lambda: None) for _ in range(3)]
    for client in clients:
        assert client.take(0, NOW, 0, world.hub.cursor()) is not None
        client.take(0, NOW, 0, world.hub.cursor())  # the time
    world.change("a", PresenceState.ONLINE, "espoo")
    world.read()
    first, *others = [client.take(0.1, NOW, 0, world.hub.cursor()) for client in clients]
    assert first is not None
    assert all(other is first for other in others)
    world.hub.move([moved("a", 1)])
    world.hub.flush()
    first, *others = [client.take(1, NOW, 0, world.hub.cursor()) for client in clients]
    assert first is not None
    assert first.kind == "positions"
    assert all(other is first for other in others)


def test_a_crowd_shares_a_snapshot_and_gets_what_changed_since() -> None:
    world = World(ring_size=100, queue_limit=100)
    world.change("a", PresenceState.ONLINE, "espoo")
    world.read()
    first = world.hub.poll(EVERYTHING, None, NOW)
    world.change("a", PresenceState.OFFLINE, "espoo")
    world.read()
    world.hub.move([moved("a", 1)])
    soon = world.hub.poll(EVERYTHING, None, NOW + timedelta(seconds=0.5))
    assert soon[0] is first[0]
    assert [frame.kind for frame in soon] == ["snapshot", "presence", "positions"]
    later = world.hub.poll(EVERYTHING, None, NOW + timedelta(seconds=1))
    assert [frame.kind for frame in later] == ["snapshot"]


def test_what_changes_without_an_event_is_in_the_next_snapshot() -> None:
    world = World()
    for name in ("a", "b"):
        world.change(name, PresenceState.ONLINE, "espoo")
    world.read()
    later = NOW + timedelta(minutes=1)
    newer = msgspec.structs.replace(world.table[0].state, deadline=later)
    stale = msgspec.structs.replace(world.table[1].state, deadline=later, cursor=1)
    world.hub.refresh(["a", "new"], ["b"], [newer, stale])
    (frame,) = world.hub.poll(EVERYTHING, None, NOW)
    shown = {vehicle["id"]: vehicle["registration"] for vehicle in json.loads(frame.text)["vehicles"]}
    assert shown.keys() == {"a", "new"}
    assert shown["a"]["deadline"] == later.isoformat().replace("+00:00", "Z")
    assert shown["new"] is None
    assert world.hub._picture.states["b"].deadline is None


def test_positions_are_conflated_and_slowed_presence_is_not() -> None:
    world = World(queue_limit=100)
    client = world.hub.attach(EVERYTHING, None, clock=0, now=NOW, wake=lambda: None, max_hz=0.5)
    kinds = []
    sent: list[dict[str, Any]] = []
    for tenth in range(100):
        now = tenth / 10
        world.hub.move([moved("a", tenth + 1, lat=tenth / 100)])
        world.hub.flush()
        world.change("a", PresenceState.ONLINE, "espoo")
        world.read()
        while (frame := client.take(now, NOW, 0, world.hub.cursor())) is not None:
            kinds.append(frame.kind)
            sent.append(json.loads(frame.text))
    assert kinds.count("positions") == 5
    assert kinds.count("presence") == 100
    assert [len(frame["changes"]) for frame in sent if frame["type"] == "positions"] == [1] * 5


def test_a_client_that_is_too_slow_is_closed_and_resumes() -> None:
    world = World(queue_limit=4)
    viewer = Viewer(world, EVERYTHING)
    viewer.connect()
    viewer.take(2)
    woken: list[None] = []
    assert viewer.client is not None
    viewer.client._wake = lambda: woken.append(None)
    for _ in range(6):
        world.change("a", PresenceState.ONLINE, "espoo")
        world.read()
    assert viewer.client.closed == "too slow: resume with the last cursor"
    assert len(woken) == 5  # four frames, then the end
    assert viewer.take(1) is False
    viewer.connect()
    while viewer.take(1):
        pass
    assert viewer.changes == set(range(1, 7))
    assert world.hub.closed_slow == 1


def test_a_time_frame_is_never_more_than_ten_seconds_away() -> None:
    world = World(queue_limit=10_000)
    client = world.hub.attach(EVERYTHING, None, clock=0, now=NOW, wake=lambda: None)
    times = []
    for tenth in range(600):  # a client that never catches up
        world.change("a", PresenceState.ONLINE, "espoo")
        world.change("a", PresenceState.SUSPECT, "espoo")
        world.hub.apply([world.table[-2]])
        world.hub.apply([world.table[-1]])
        frame = client.take(tenth / 10, NOW, 0, world.hub.cursor())
        if frame is not None and frame.kind == "time":
            times.append(tenth / 10)
    assert max(b - a for a, b in zip([0, *times], [*times, 60.0], strict=True)) <= 10


def test_an_old_cursor_without_replay_gets_a_snapshot() -> None:
    world = World(ring_size=2)
    viewer = Viewer(world, EVERYTHING)
    viewer.connect()
    viewer.take(2)
    start = decode_cursor(viewer.cursor or "")
    for _ in range(5):
        world.change("a", PresenceState.ONLINE, "espoo")
    world.read()
    assert world.hub.missing(start) == (0, 3)
    frames = world.hub.poll(EVERYTHING, start, NOW)
    assert [frame.kind for frame in frames] == ["snapshot"]
    frames = world.hub.poll(EVERYTHING, start, NOW, world.replay(start))
    assert [frame.kind for frame in frames] == ["presence"]
    ahead = Cursor("g0", 99)
    assert [frame.kind for frame in world.hub.poll(EVERYTHING, ahead, NOW)] == ["snapshot"]


def test_a_client_cut_off_amid_a_silence_ends_with_the_truth() -> None:
    world = World(queue_limit=100)
    names = [f"v{number}" for number in range(1001)]  # three frames
    for name in names:
        world.change(name, PresenceState.ONLINE, "espoo")
    world.read()
    for frames_taken in (1, 2, 3):
        world.silence(set())
        viewer = Viewer(world, EVERYTHING)
        viewer.connect()
        viewer.take(2)
        world.silence({"espoo"})
        assert viewer.client is not None
        assert viewer.client.queued == 3
        viewer.take(frames_taken)
        viewer.disconnect()
        viewer.connect()
        while viewer.take(1):
            pass
        viewer.disconnect()
        assert viewer.seen() == world.truth()
