"""Batches: what is added, and how one is divided until what the database refuses stands alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.messages import Event, encode
from fleetcell.contract.topics import Channel
from ingest.batch import Batch
from ingest.dead_letters import dead_letters
from tests.ingest.units import NOW_US, arrival, sample, telemetry

BOOT = "0" * 32


def batch(messages: list[list[int]], noise: int = 0) -> Batch:
    made = Batch()
    for number, seqs in enumerate(messages):
        made.add(arrival(f"car-{number}", telemetry(BOOT, [sample(seq) for seq in seqs])))
    for number in range(noise):
        made.add(arrival("car-x", b"%d" % number))
    return made


def parts(whole: Batch) -> list[Batch]:
    halves = whole.halves()
    return [whole] if halves is None else [*parts(halves[0]), *parts(halves[1])]


@given(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=9), max_size=6), st.integers(0, 3))
def test_halving_ends_with_single_samples_and_loses_none(messages: list[list[int]], noise: int) -> None:
    whole = batch(messages, noise)
    pieces = parts(whole)
    found = sorted((u.topic.vehicle, seq) for piece in pieces for u in piece.uploads for seq in u.seqs)
    assert found == sorted((f"car-{n}", seq) for n, seqs in enumerate(messages) for seq in seqs)
    assert sum(len(piece.rejections) for piece in pieces) == noise
    assert all(piece.rows <= 1 for piece in pieces)
    assert sum(piece.rows for piece in pieces) == whole.rows


def test_a_batch_keeps_apart_vehicles_that_may_send() -> None:
    whole = batch([[1, 2], [3]], noise=1)
    assert whole.names == {"car-0", "car-1", "car-x"}
    known = whole.only({"car-1"})
    assert (known.names, known.rows) == ({"car-1"}, 1)


def test_the_condemned_keep_their_number() -> None:
    (piece,) = parts(batch([[7]]))
    condemned = piece.condemned("because", b"{}")
    (upload,) = condemned.uploads
    assert (upload.seqs, [bad.seq for bad in upload.bad]) == ([], [7])
    assert [letter.reason for letter in dead_letters(condemned)] == ["because"]
    event = Batch()
    event.add(arrival("car", encode(Event(BOOT, 1, 9, NOW_US // 1000, "dtc")), Channel.EVENT))
    assert [bad.seq for bad in event.condemned("because", b"{}").uploads[0].bad] == [9]
