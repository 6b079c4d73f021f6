"""paho's client on a wire of ours: what it does for each message is done here, in a third of the time."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, Literal

from paho.mqtt.client import PUBACK, PUBLISH, Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.matcher import MQTTMatcher

from fleetcell.mqtt.types import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetcell.mqtt.wire import Wire

_PACKET_ID: Final = struct.Struct(">H")
_PUBACK: Final = struct.Struct(">BBH")  # type, length, packet id (MQTT 3.1.1, 3.4)
_MOST_HEAD: Final = 5  # bytes of a packet before its body (2.2.3)


class _NoFilters(MQTTMatcher):
    """In the place of paho's tree of callbacks by topic: each walk leaves cyclic garbage."""

    def iter_match(self, topic: str) -> tuple[()]:
        del topic
        return ()


_NO_FILTERS = _NoFilters()  # type: ignore[no-untyped-call]  # paho has no types there


class Codec(Client):
    """paho on a given wire. `_create_socket` is paho's only seam for a transport that is no socket.

    The attributes of paho's own client have slots: a dictionary of them is 1 KiB larger, each time.
    """

    __slots__ = ("_wire", "answered", "received", "under_way", *vars(Client(CallbackAPIVersion.VERSION2)))

    def __init__(self, wire: Wire, client_id: str) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=True,
            reconnect_on_failure=False,
        )
        self._wire = wire
        self._on_message_filtered = _NO_FILTERS
        # By packet id what waits for the answer; None: nobody does, but it counts.
        self.under_way: dict[int, Any] = {}
        self.answered: Callable[[int], None]
        self.received: Callable[[Message], None]

    def _create_socket(self) -> Wire:
        return self._wire

    # What paho does for each message goes straight to the wire's memory: a third of the time it takes.

    def _sock_recv(self, bufsize: int) -> bytes:
        return self._wire.recv(bufsize)

    def _send_puback(self, mid: int) -> MQTTErrorCode:
        return self._packet_queue(PUBACK, _PUBACK.pack(PUBACK, 2, mid), mid, 0)

    def _packet_queue(
        self, command: int, packet: bytes | bytearray, mid: int, qos: int, info: MQTTMessageInfo | None = None
    ) -> MQTTErrorCode:
        if (command & 0xF0 == PUBACK or (command & 0xF0 == PUBLISH and qos)) and not self._out_packet:
            try:
                self._wire.send(packet)
            except BrokenPipeError:
                pass  # paho sees to it
            else:
                return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super()._packet_queue(command, packet, mid, qos, info)

    # paho keeps each message of QoS 1 until its PUBACK, to send it again in its next session. Here no session
    # has a next one, and the caller keeps it: of a message that is on its way only the packet id is known.

    def publish_once(self, topic: bytes, payload: bytes, retain: bool) -> int:
        """Publish with QoS 1; the packet id, which `answered` is told with the PUBACK.

        Raises:
            ValueError: no valid topic name.
            ConnectionError: the connection is lost.
        """
        if not topic:
            raise ValueError("Invalid topic.")
        self._raise_for_invalid_topic(topic)
        mid = self._mid_generate()
        while mid in self.under_way:
            mid = self._mid_generate()
        if self._send_publish(mid, topic, payload, 1, retain) is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConnectionError("connection lost")
        self.under_way[mid] = None
        return mid

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        if cmd == "PUBACK" and len(packet) == _PACKET_ID.size:
            self.answered(*_PACKET_ID.unpack(packet))
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super()._handle_pubackcomp(cmd)

    # Nearly all that comes are a PUBLISH of QoS 0 or 1 and a PUBACK. paho reads each in a dozen steps.

    def read_frequent(self) -> bool:
        """Take such a packet, if it comes next and all of it is there; what is wrong with it paho tells."""
        inbound = self._wire.inbound
        if self._in_packet["command"] or (found := _body(inbound)) is None:
            return False
        head, (start, end) = inbound[0], found
        if head == PUBACK and end - start == _PACKET_ID.size:
            packet_id = int.from_bytes(inbound[start:end])
            self._wire.drop(end)
            self.answered(packet_id)
            return True
        if head & 0xF4 != PUBLISH:  # another packet, or of QoS 2
            return False
        body, qos = bytes(inbound[start:end]), head >> 1 & 1
        name_end = _PACKET_ID.size + int.from_bytes(body[: _PACKET_ID.size])
        payload_at = name_end + qos * _PACKET_ID.size
        if name_end <= _PACKET_ID.size or payload_at > len(body):
            return False
        try:
            topic = body[_PACKET_ID.size : name_end].decode()
        except UnicodeDecodeError:
            return False
        self._wire.drop(end)
        self.received(Message(topic, body[payload_at:], qos, bool(head & 1)))
        if qos:
            self._send_puback(int.from_bytes(body[name_end:payload_at]))
        return True


def _body(inbound: bytearray) -> tuple[int, int] | None:
    """Where the body of the first packet begins and ends, if all of it is there."""
    length = 0
    for place in range(1, min(len(inbound), _MOST_HEAD)):
        byte = inbound[place]
        length |= (byte & 127) << 7 * (place - 1)
        if byte < 128:
            start = place + 1
            return (start, start + length) if start + length <= len(inbound) else None
    return None
