"""What the live view shows, against where vehicles are."""

from __future__ import annotations

import asyncio
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from vehicle_sim.score.report import position
from vehicle_sim.truth.distances import age_class, class_of, metres, middle_m, quantile
from vehicle_sim.truth.live import LiveView

BEGAN = 1_700_000_000.0


def frame(kind: str, lat: float, at: str = "2023-11-14T22:13:21Z") -> str:
    place = {"lat": lat, "lon": 24.94, "heading": None, "speed": 3.0, "time": at}
    if kind == "snapshot":
        return json.dumps({"type": kind, "cursor": "c", "vehicles": [{"id": "car", "position": place}]})
    return json.dumps({"type": kind, "changes": [{"vehicle": "car", **place}]})


async def watched(view: LiveView, until: int) -> None:
    """Let the view follow its feed until it has taken so many frames; then the vehicle makes a reading."""
    taken = asyncio.Event()
    count = 0
    take = view.take

    def counted(text: bytes) -> None:
        nonlocal count
        take(text)
        count += 1
        if count == until:
            taken.set()

    view.take = counted  # type: ignore[method-assign]
    watching = asyncio.create_task(view.watch())
    async with asyncio.timeout(60):
        await taken.wait()
    view.stands("car", 60.1701, 24.94, BEGAN + 1.5)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def feed(frames: list[str], key: str = "key") -> tuple[LiveView, list[str]]:
    told: list[str] = []

    async def give(link: ServerConnection) -> None:
        told.append(str(link.request.headers["Authorization"]) if link.request else "")
        for text in frames:
            await link.send(text)
        await link.wait_closed()

    async with serve(give, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        view = LiveView(f"http://127.0.0.1:{port}", key, BEGAN)
        await watched(view, len(frames))
    return view, told


async def test_the_distance_at_the_moment_of_a_reading_counts_by_the_age_of_what_is_shown() -> None:
    frames = [frame("snapshot", 10.0), frame("positions", 60.17), json.dumps({"type": "time"})]
    view, told = await feed(frames)
    found = position(view.errors)
    assert told == ["Bearer key"]
    assert found.overall is not None
    assert list(found.by_age) == ["0 to 1 s"]
    assert (found.overall.n, found.problem) == (1, None)
    assert found.overall.max_m == pytest.approx(11.12, abs=0.02)
    assert found.overall.p50_m == pytest.approx(11.12, rel=0.02)


async def test_what_an_earlier_run_left_in_the_view_does_not_count() -> None:
    view, _ = await feed([frame("snapshot", 10.0)])
    assert position(view.errors).overall is None


async def test_a_frame_that_is_none_is_told() -> None:
    view, _ = await feed(['{"type":"positions","changes":[{}]}'])
    assert "a frame was not understood" in (view.errors.problem or "")


async def test_a_feed_that_refuses_the_key_is_told() -> None:
    async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=_refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        view = LiveView(f"http://127.0.0.1:{port}", "wrong", BEGAN)
        async with asyncio.timeout(60):
            await view.watch()
    assert view.errors.problem == "not seen: the platform answered 401"


def _refuse(link: ServerConnection, _request: Request) -> Response:
    return link.respond(401, "no\n")


def test_the_error_over_time_has_a_point_for_each_span() -> None:
    view = LiveView("http://127.0.0.1:1", "key", BEGAN)
    view._connected = True
    view.take(frame("positions", 60.17).encode())
    for second in range(31):
        view.stands("car", 60.17 + second * 1e-5, 24.94, BEGAN + second)
    assert [(at, n) for at, _, _, n in view.errors.over_time] == [(10.0, 10), (20.0, 10), (30.0, 10)]
    assert view.errors.over_time[2][1] > view.errors.over_time[0][1]


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1.0))
def test_a_quantile_of_classes_is_right_to_one_percent_and_a_centimetre(
    distances: list[float], share: float
) -> None:
    counts: dict[int, int] = {}
    for distance in distances:
        counts[class_of(distance)] = counts.get(class_of(distance), 0) + 1
    exact = sorted(distances)[max(0, math.ceil(share * len(distances) - 1e-9) - 1)]
    found = quantile(counts, share)
    assert found is not None
    assert abs(found - exact) <= 0.0101 * exact + 0.0102 or share * len(distances) % 1 < 1e-6


@given(st.floats(0, 1e6))
def test_the_middle_of_a_class_is_in_it(distance: float) -> None:
    assert class_of(middle_m(class_of(distance))) == class_of(distance)


def test_distances_and_ages() -> None:
    assert metres(60.17, 24.94, 60.17, 24.94) == 0
    assert metres(0, 0, 0, 1) == pytest.approx(111_195, rel=1e-4)
    assert metres(60, 179.9999, 60, -179.9999) == pytest.approx(11.1, abs=0.1)
    assert [age_class(age) for age in (-3, 0.5, 1.5, 4, 29, 100, 1e9)] == [
        "0 to 1 s", "0 to 1 s", "1 to 2 s", "2 to 5 s", "5 to 30 s", "30 to 120 s", "over 120 s"
    ]  # fmt: skip
    assert quantile({}, 0.5) is None
