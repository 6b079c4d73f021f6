"""JSON answers, encoded by msgspec: a fleet's list is encoded in milliseconds, times come out as RFC 3339."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

_encoder = msgspec.json.Encoder()


class Json(Response):
    """Anything that msgspec encodes: structs, dictionaries, aware datetimes."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body."""
        return _encoder.encode(content)


def schema_reference(kind: Any) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a path that answers with this msgspec type."""
    return {
        200: {
            "description": "Successful",
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}},
        }
    }
