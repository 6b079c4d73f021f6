"""The load generator's clients: what they count and acknowledge, however the bytes are cut."""

import itertools
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import _clients as clients
from tests.broker import raw_client as raw

TOPIC = "fleet/v1/helsinki/p00001/telemetry"
ACCOUNT = clients.Account("p00001", "secret")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, brokers = socket.socketpair()
    with ours, brokers:
        yield ours, brokers


def test_packets_are_those_of_mqtt() -> None:
    will = raw.Will(TOPIC, b"lost")
    assert clients.connect_packet(ACCOUNT) == raw.connect_packet("p00001", "p00001", "secret")
    assert clients.connect_packet(ACCOUNT, TOPIC) == raw.connect_packet(
        "p00001", "p00001", "secret", will=will
    )
    assert clients.subscribe_packet(TOPIC, 1) == raw.subscribe_packet([(TOPIC, 1)], 1)
    assert clients.publish_packet(TOPIC, bytes(200), 1, 258) == raw.publish_packet(
        TOPIC, bytes(200), 1, packet_id=258
    )
    assert clients.puback_packets(b"\x00\x01", b"\x05\x02") == b"\x40\x02\x00\x05\x40\x02\x01\x02"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_are_masked_with_key_0(size: int) -> None:
    data = bytes(size)
    whole, other = clients.frame(data), raw.frame(data)
    head = len(whole) - size - 4
    assert whole[:head] == other[:head]
    assert whole[head:] == bytes(4) + data


def unmasked(data: bytes) -> bytes:
    """A frame of a broker."""
    return raw.frame(data, mask=False)


@given(
    qos=st.integers(0, 1),
    ws=st.booleans(),
    count=st.integers(1, 30),
    cuts=st.lists(st.integers(0, 10_000), max_size=8),
    glued=st.booleans(),
)
def test_messages_are_counted_and_acknowledged_once(
    qos: int, ws: bool, count: int, cuts: list[int], glued: bool
) -> None:
    packets = [
        clients.publish_packet(TOPIC, bytes(200), qos, 300 + number * qos) for number in range(1, count + 1)
    ]
    if ws:
        packets = [unmasked(b"".join(packets))] if glued else [unmasked(packet) for packet in packets]
    data = b"".join(packets)
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    ours, brokers = socket.socketpair()
    with ours, brokers:
        client = clients.Client(clients.Target(1, ws), ACCOUNT)
        client.socket.close()
        client.socket = ours
        ours.setblocking(False)
        found, acknowledged = 0, b""
        for start, end in itertools.pairwise(places):
            brokers.sendall(data[start:end])
            found += client.take_messages()
        ours.shutdown(socket.SHUT_WR)
        while piece := brokers.recv(65_536):
            acknowledged += piece
    assert found == count
    if not qos:
        assert acknowledged == b""
    elif not ws:
        wanted = [raw.acknowledgement_packet(raw.PUBACK, 300 + number) for number in range(1, count + 1)]
        assert acknowledged == b"".join(wanted)


def test_a_broker_that_closes_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, brokers = pair
    client = clients.Client(clients.Target(1, ws=True), ACCOUNT)
    client.socket.close()
    client.socket = ours
    brokers.sendall(unmasked(b"\x03\xe8")[:1].replace(b"\x82", b"\x88") + unmasked(b"\x03\xe8")[1:])
    with pytest.raises(clients.LoadError, match="closed"):
        client.receive()
    brokers.close()
    with pytest.raises(clients.LoadError, match="closed"):
        client.receive()
