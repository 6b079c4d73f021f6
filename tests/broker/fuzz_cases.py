"""What a hostile client sends: packets whole, cut, glued and mutated, in good and bad frames.

Pure: the seed and the number of a connection give its bytes.
"""

from __future__ import annotations

import base64
import itertools
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from tests.broker import raw_client as raw

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE: Final = [f"hostile{number}" for number in range(16)]
"""Vehicles whose credentials the fuzzer has."""
VICTIM: Final = "healthy-tcp"
"""A vehicle that is connected, and whose secret the fuzzer does not have."""
BASE: Final = "fleet/v1/helsinki"

_LARGE: Final = 300_000  # bytes: over the largest packet allowed
_MUTATED: Final = 0.1
_GLUED: Final = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """One connection of the fuzzer.

    Attributes:
        upgrade: The HTTP request that asks for a WebSocket; none over TCP.
        eager: What follows is sent without waiting for the answer to `upgrade`.
        writes: The bytes, as they are cut.
        packets: MQTT packets among them, whole or not.
        reads: Whether it reads what the broker sends.
        waits: Whether it waits for the broker to close, or just goes.
        address: Its own, on the loopback network.
    """

    upgrade: bytes | None
    eager: bool
    writes: list[bytes]
    packets: int
    reads: bool
    waits: bool
    address: str


def plan(seed: int, number: int, secret: Callable[[str], str]) -> Plan:
    """The plan of a connection; equal arguments give equal plans."""
    rng = Random(f"{seed}:{number}")
    name = rng.choice(HOSTILE)
    packets = _packets(rng, name, secret)
    websocket = rng.random() < 0.5
    data = b"".join(packets)
    writes = [_frames(rng, piece) for piece in _cut(rng, data, packets)] if websocket else []
    return Plan(
        upgrade=_upgrade(rng) if websocket else None,
        eager=rng.random() < 0.1,
        writes=writes if websocket else _cut(rng, data, packets),
        packets=len(packets),
        reads=rng.random() < 0.95,
        waits=rng.random() < 0.5,
        address=f"127.0.{rng.randrange(1, 4)}.{rng.randrange(1, 250)}",
    )


# -- MQTT ---------------------------------------------------------------------------------------------


def _packets(rng: Random, name: str, secret: Callable[[str], str]) -> list[bytes]:
    packets = []
    if rng.random() < 0.95:
        packets.append(_connect(rng, name, secret))
    if rng.random() < 0.9:
        packets += [_packet(rng, name) for _ in range(rng.choice([1, 3, 10, 30, 100]))]
    hurt = 0.0 if rng.random() < 0.3 else rng.choice([0.003, 0.02, _MUTATED])
    return [_mutate(rng, packet) if rng.random() < hurt else packet for packet in packets]


def _connect(rng: Random, name: str, secret: Callable[[str], str]) -> bytes:
    roll = rng.random()
    will = None
    if rng.random() < 0.3:
        topic = rng.choice([f"{BASE}/{name}/presence", f"{BASE}/{VICTIM}/presence", "$SYS/x", "+/#", ""])
        will = raw.Will(topic, rng.randbytes(rng.randrange(100)), rng.randrange(3), rng.random() < 0.2)
    if roll < 0.03:  # another's session, without the secret
        return raw.connect_packet(VICTIM, VICTIM, "guessed", will=will)
    if roll < 0.05:
        return raw.connect_packet(VICTIM, name, secret(name), will=will)
    if roll < 0.07:
        return raw.connect_packet("", name, secret(name), clean=rng.random() < 0.5)
    if roll < 0.09:
        return raw.connect_packet(name, name, secret(name), level=rng.randrange(256))
    if roll < 0.11:
        return raw.connect_packet("x" * rng.randrange(65_000), None, None)[: rng.randrange(80_000)]
    clean = rng.random() < 0.95
    keep_alive = rng.choice([0, 1, 60, 65_535])
    return raw.connect_packet(name, name, secret(name), clean=clean, keep_alive=keep_alive, will=will)


def _packet(rng: Random, name: str) -> bytes:
    roll = rng.random()
    if roll < 0.55:
        qos = rng.randrange(3)
        payload = rng.randbytes(rng.choice([0, 1, 20, 200, 2_000]))
        if rng.random() < 0.0005:
            payload = bytes(rng.randrange(_LARGE))
        return raw.publish_packet(
            _topic(rng, name),
            payload,
            qos,
            retain=rng.random() < 0.1,
            packet_id=rng.randrange(1, 65_536),
            dup=bool(qos) and rng.random() < 0.1,
        )
    if roll < 0.70:
        kind = rng.choice([raw.PUBACK, raw.PUBREC, raw.PUBREL, raw.PUBCOMP])
        return raw.acknowledgement_packet(kind, rng.randrange(1, 65_536))
    if roll < 0.85:
        return raw.PINGREQ_PACKET
    if roll < 0.93:
        filters = [(_filter(rng, name), rng.randrange(3)) for _ in range(rng.choice([1, 1, 1, 5, 50]))]
        return raw.subscribe_packet(filters, rng.randrange(1, 65_536))
    if roll < 0.995:
        filters_gone = [_filter(rng, name) for _ in range(rng.choice([1, 1, 5]))]
        return raw.unsubscribe_packet(filters_gone, rng.randrange(1, 65_536))
    if roll < 0.997:
        return raw.DISCONNECT_PACKET
    return raw.packet(rng.randrange(256), rng.randbytes(rng.randrange(40)))


def _topic(rng: Random, name: str) -> str | bytes:
    roll = rng.random()
    if roll < 0.7:
        return f"{BASE}/{name}/{rng.choice(['telemetry', 'telemetry/mp', 'presence', 'event', 'response'])}"
    if roll < 0.8:
        return f"{BASE}/v2x/cam/8/5/3/1/0/2/{rng.randrange(8)}/{name}"
    if roll < 0.9:
        return f"{BASE}/{VICTIM}/{rng.choice(['telemetry', 'state', 'ack', 'command'])}"
    if roll < 0.97:
        return rng.choice(["$SYS/fleetcell/x", "a/b", "/" * 120, f"{BASE}/{rng.random()}/state"])
    if roll < 0.998:
        return "fleet/" + "é" * rng.randrange(200)
    return rng.choice([b"+/a", b"#", b"", b"a\0b", b"/" * 200, b"\xff\xfe", b"\xed\xa0\x80"])


def _filter(rng: Random, name: str) -> str:
    roll = rng.random()
    if roll < 0.6:
        return f"{BASE}/{name}/{rng.choice(['ack', 'command', 'page', 'state'])}"
    if roll < 0.7:
        return f"{BASE}/v2x/cam/8/5/3/1/0/2/#"
    if roll < 0.95:
        return rng.choice([f"{BASE}/gateway", "#", "+/+/+", "$SYS/#", f"{BASE}/{VICTIM}/command", "/" * 100])
    if roll < 0.997:
        return f"$share/{rng.choice(['g', '', '+', 'x/y'])}/{BASE}/{name}/ack"
    return rng.choice(["a#", "+a", "", "#/a", "\0", "/" * 300])


def _mutate(rng: Random, packet: bytes) -> bytes:
    data = bytearray(packet)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(len(data)) if data else 0
        match rng.randrange(7):
            case 0 if data:
                data[at] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
            case 2:
                del data[at : at + rng.randrange(1, 5)]
            case 3:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 4:
                del data[at:]
            case 5:
                data += data[at:]
            case _:  # another length than there is
                data[1:2] = rng.choice([b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff\x01", b"\x80", b"\x00"])
    return bytes(data)


def _cut(rng: Random, data: bytes, packets: list[bytes]) -> list[bytes]:
    """Glued in one piece, packet by packet, or cut where it hits."""
    roll = rng.random()
    if roll < 0.4 or not data:
        return [data]
    if roll < 0.7:
        return packets
    places = sorted({0, len(data), *(rng.randrange(len(data)) for _ in range(rng.choice([1, 3, 20])))})
    return [data[start:end] for start, end in itertools.pairwise(places)]


# -- WebSocket ----------------------------------------------------------------------------------------


def _upgrade(rng: Random) -> bytes:
    key = base64.b64encode(rng.randbytes(16)).decode()
    request = (
        "GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    ).encode()
    roll = rng.random()
    if roll < 0.93:
        return request
    if roll < 0.96:
        return _mutate(rng, request)
    return rng.choice(
        [
            request.replace(b"/mqtt", b"/" + b"x" * rng.randrange(20_000)),
            request.replace(b"mqtt\r\n\r\n", b"mqttv5\r\n\r\n"),
            request.replace(b"\r\n\r\n", b"\r\nOrigin: https://elsewhere.example\r\n\r\n"),
            request.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * rng.randrange(50_000) + b"\r\n\r\n"),
            request.replace(b"version: 13", b"version: 8"),
            request[: rng.randrange(len(request))],
            rng.randbytes(rng.randrange(2_000)),
        ]
    )


def _frames(rng: Random, data: bytes) -> bytes:
    roll = rng.random()
    if roll < 0.8:
        return frame(rng, data)
    if roll < 0.92:
        return _fragmented(rng, data)
    if roll < 0.94:  # a flood of pings
        return frame(rng, data) + b"".join(
            frame(rng, rng.randbytes(rng.randrange(126)), 9) for _ in range(rng.choice([1, 20, 500]))
        )
    if roll < 0.985:
        return frame(rng, data) + frame(rng, rng.randbytes(rng.randrange(126)), 10)
    return frame(rng, data) + _bad_frame(rng, data)


def _fragmented(rng: Random, data: bytes) -> bytes:
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice([1, 2, 10])))
    pieces = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
    frames = []
    for index, piece in enumerate(pieces):
        frames.append(frame(rng, piece, 0 if index else 2, fin=index == len(pieces) - 1))
        if rng.random() < 0.2:
            frames.append(frame(rng, b"between", rng.choice([9, 10])))
    return b"".join(frames)


def _bad_frame(rng: Random, data: bytes) -> bytes:
    match rng.randrange(10):
        case 0:
            return frame(rng, data, 1)  # text
        case 1:
            return raw.frame(data, mask=False)
        case 2:
            return frame(rng, data, rng.choice([3, 7, 11, 15]))
        case 3:
            good = frame(rng, data)
            return bytes((good[0] | rng.choice([0x40, 0x20, 0x10]),)) + good[1:]
        case 4:
            return b"\x82\xff" + rng.choice([2**20, 2**31, 2**40, 2**63, 2**64 - 1]).to_bytes(8, "big")
        case 5:
            return frame(rng, bytes(rng.randrange(126, 3_000)), rng.choice([8, 9, 10]))
        case 6:
            return frame(rng, b"cut", rng.choice([8, 9, 10]), fin=False)
        case 7:
            return frame(rng, data, 0) + frame(rng, data, 2, fin=False) + frame(rng, data, 2)
        case 8:
            return frame(
                rng, rng.choice([b"", b"\x03", b"\x03\xe8", b"\x00\x00", b"\x03\xed\xff"]), 8
            ) + frame(rng, data)
        case _:
            return frame(rng, data)[: rng.randrange(1, 14)]


def frame(rng: Random, data: bytes, opcode: int = 2, *, fin: bool = True) -> bytes:
    """A frame of a client, masked by a key of the seed."""
    size = len(data)
    head = bytearray((opcode | (0x80 if fin else 0),))
    if size < 126:
        head.append(0x80 | size)
    elif size < 65_536:
        head += b"\xfe" + size.to_bytes(2, "big")
    else:
        head += b"\xff" + size.to_bytes(8, "big")
    key = rng.randbytes(4)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "big")
    return bytes(head) + key + (int.from_bytes(data, "big") ^ mask).to_bytes(size, "big")
