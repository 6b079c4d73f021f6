"""A batch on its way to the database: uploads of many units, and payloads that could not be read."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from fleetcell.contract.errors import PayloadError
from ingest.decode import BadSample, decode_upload

if TYPE_CHECKING:
    from fleetcell.contract.topics import VehicleTopic
    from ingest.decode import Upload
    from ingest.inbox import Arrival
    from ingest.shapes import Shapes


@dataclass(frozen=True, slots=True)
class Rejection:
    """A payload that cannot be used at all: it becomes a dead letter, and the unit is told by its hash."""

    topic: VehicleTopic
    payload: bytes
    reason: str

    @property
    def sha256(self) -> bytes:
        """What the unit knows the payload by."""
        return hashlib.sha256(self.payload).digest()


@dataclass(slots=True)
class Batch:
    """What one transaction stores.

    `rows` counts readings, events, bad samples and rejections; `names` are the vehicles that it is from.
    """

    uploads: list[Upload] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    rows: int = 0
    names: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = {upload.topic.vehicle for upload in self.uploads}
        self.names |= {rejection.topic.vehicle for rejection in self.rejections}

    def add(self, arrival: Arrival, shapes: Shapes | None = None) -> Upload | None:
        """Decode an arrival into the batch; None when it was rejected."""
        self.names.add(arrival.topic.vehicle)
        try:
            upload = decode_upload(arrival.topic, arrival.payload, arrival.received_us, shapes)
        except PayloadError as error:
            self.rejections.append(Rejection(arrival.topic, arrival.payload, str(error)))
            self.rows += 1
            return None
        self.uploads.append(upload)
        self.rows += max(1, upload.rows)
        return upload

    def only(self, vehicles: set[str]) -> Batch:
        """The part of these vehicles."""
        return _batch(
            [upload for upload in self.uploads if upload.topic.vehicle in vehicles],
            [rejection for rejection in self.rejections if rejection.topic.vehicle in vehicles],
        )

    def by_boot(self) -> dict[tuple[str, str], list[Upload]]:
        """The uploads by (vehicle, boot), each in the order they came."""
        groups: defaultdict[tuple[str, str], list[Upload]] = defaultdict(list)
        for upload in self.uploads:
            groups[upload.topic.vehicle, upload.boot].append(upload)
        return groups

    def halves(self) -> tuple[Batch, Batch] | None:
        """Split in two, down to single samples; None when there is nothing left to split.

        A batch that the database refuses is stored in parts, until what it refuses stands alone.
        """
        if len(self.uploads) + len(self.rejections) > 1:
            uploads, rejections = len(self.uploads) // 2, (len(self.rejections) + len(self.uploads) % 2) // 2
            return (
                _batch(self.uploads[:uploads], self.rejections[:rejections]),
                _batch(self.uploads[uploads:], self.rejections[rejections:]),
            )
        if self.uploads and len(self.uploads[0].seqs) > 1:
            upload = self.uploads[0]
            middle = len(upload.seqs) // 2
            return _batch([_part(upload, 0, middle)], []), _batch([_part(upload, middle, None)], [])
        return None

    def condemned(self, reason: str, encoded: bytes) -> Batch:
        """The same single sample or event as a bad one: a dead letter that holds `encoded`."""
        (upload,) = self.uploads
        seq = upload.seqs[0] if upload.seqs else upload.events[0].seq
        bad = [*upload.bad, BadSample(seq, encoded, reason)]
        return _batch([replace(upload, seqs=[], times_us=[], signals=[], ups_ms=[], events=[], bad=bad)], [])


def _batch(uploads: list[Upload], rejections: list[Rejection]) -> Batch:
    return Batch(uploads, rejections, sum(max(1, upload.rows) for upload in uploads) + len(rejections))


def _part(upload: Upload, start: int, stop: int | None) -> Upload:
    """Some of the samples; what else the upload says goes with the first part."""
    rest = start == 0
    return replace(
        upload,
        seqs=upload.seqs[start:stop],
        times_us=upload.times_us[start:stop],
        signals=upload.signals[start:stop],
        ups_ms=upload.ups_ms[start:stop],
        events=upload.events if rest else (),
        bad=upload.bad if rest else (),
    )
