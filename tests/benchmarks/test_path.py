"""The load of the whole path: its messages are those of the contract, and acks count however they are cut."""

from __future__ import annotations

import itertools
import socket
from array import array
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks._clients import LoadError, publish_packet
from benchmarks._path_load import BOOT, Figures, Fleet, Unit, settled_in, templates
from fleetcell.contract.messages import Ack, Rejected, encode
from fleetcell.contract.topics import Channel, VehicleTopic
from ingest.decode import decode_upload

if TYPE_CHECKING:
    from collections.abc import Iterator

FLEET = Fleet(1, "helsinki", {"car-1": "secret"})
ACK = "fleet/v1/helsinki/car-1/ack"


@pytest.fixture
def unit() -> Iterator[tuple[Unit, socket.socket]]:
    ours, brokers = socket.socketpair()
    unit = Unit(FLEET, "car-1", "secret")
    unit.socket.close()
    unit.socket = ours
    ours.setblocking(False)
    with ours, brokers:
        yield unit, brokers


@pytest.mark.parametrize("samples", [1, 10, 50])
def test_what_is_sent_is_telemetry(unit: tuple[Unit, socket.socket], samples: int) -> None:
    one, brokers = unit
    one.upload(templates(samples)[0], samples, 0.0)
    one.upload(templates(samples)[1], samples, 1.0)
    assert one.last == 2 * samples
    data = brokers.recv(1 << 20)
    payload = data[data.rindex(b'{"boot"') :]
    upload = decode_upload(VehicleTopic("helsinki", "car-1", Channel.TELEMETRY), payload, 0)
    assert upload.seqs == array("q", range(samples + 1, 2 * samples + 1))
    assert not upload.bad
    assert all(reading["rat"] == "LTE" for reading in upload.signals)


@given(cuts=st.lists(st.integers(0, 400), max_size=6), also=st.booleans())
def test_acks_count_however_they_are_cut(cuts: list[int], also: bool) -> None:
    ours, brokers = socket.socketpair()
    with ours, brokers:
        one = Unit(FLEET, "car-1", "secret")
        one.socket.close()
        one.socket = ours
        ours.setblocking(False)
        for seq in (1, 2, 3):
            one.sent.append((seq, float(seq)))
        stream = b"".join(
            data
            for seq in (1, 2)
            for data in (
                b"\x40\x02\x00\x01",
                publish_packet(ACK, encode(Ack(BOOT, seq, [(9, 9)] * 20 if also else None)), 1, seq),
            )
        )
        data = b"".join(
            b"\x82\x7e" + len(part).to_bytes(2, "big") + part for part in (stream[:150], stream[150:])
        )
        done = []
        places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        for start, end in itertools.pairwise(places):
            brokers.sendall(data[start:end])
            done += list(one.done(one.acknowledged()))
        assert done == [1.0, 2.0]
        answers = brokers.recv(1000)
        assert [b"\x40\x02" + bytes((0, seq)) in answers for seq in (1, 2)] == [True, True]


def test_an_ack_says_how_far_it_goes() -> None:
    assert settled_in(encode(Ack(BOOT, 12))) == 12
    assert settled_in(encode(Ack(BOOT, 7, [(9, 10)]))) == 7
    with pytest.raises(LoadError, match="not an ack"):
        settled_in(encode(Rejected("00", "no JSON")))


def test_percentiles() -> None:
    figures = Figures(delays_ms=[float(number) for number in range(100)])
    assert (figures.delay_ms(0.5), figures.delay_ms(0.99), figures.delay_ms(1.0)) == (50, 99, 99)
    with pytest.raises(LoadError, match="nothing"):
        Figures().delay_ms(0.5)
