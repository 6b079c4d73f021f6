"""Any CAM and DENM that the structures allow, made from the structures themselves."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from fleetcell.contract.v2x.messages import (
    CAM_ID,
    DENM_ID,
    PROTOCOL_VERSION,
    Cam,
    Denm,
    HighFrequencyContainer,
    LowFrequencyContainer,
    SpecialVehicleContainer,
)

_CHOICES = (HighFrequencyContainer, LowFrequencyContainer, SpecialVehicleContainer)  # never empty in ASN.1


def any_of(kind: Any) -> st.SearchStrategy[Any]:
    """Every value that a type allows."""
    return _values(inspect.type_info(kind))


def _values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.StructType(cls=cls, fields=fields):
            parts = {field.name: _field(cls, field) for field in fields}
            return st.builds(cls, **parts)
        case inspect.IntType(ge=int() as ge, le=int() as le):
            return st.sampled_from([ge, le]) | st.integers(ge, le)
        case inspect.StrType(pattern=str() as pattern):
            return st.from_regex(pattern, fullmatch=True)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.UnionType(types=types):
            return st.one_of(*map(_values, types))
        case inspect.NoneType():
            return st.none()
        case inspect.VarTupleType(item_type=item, min_length=min_length, max_length=max_length):
            return st.lists(_values(item), min_size=min_length or 0, max_size=min(max_length or 3, 3)).map(
                tuple
            )
        case inspect.Metadata(type=inner):
            return _values(inner)
    raise AssertionError(kind)


def _field(cls: type, field: inspect.Field) -> st.SearchStrategy[Any]:
    values = _values(field.type)
    return values.filter(lambda value: value is not None) if cls in _CHOICES else values


def _headed(message: Any, message_id: int) -> Any:
    header = msgspec.structs.replace(message.header, protocol_version=PROTOCOL_VERSION, message_id=message_id)
    return msgspec.structs.replace(message, header=header)


CAMS: st.SearchStrategy[Cam] = any_of(Cam).map(lambda cam: _headed(cam, CAM_ID))
DENMS: st.SearchStrategy[Denm] = any_of(Denm).map(lambda denm: _headed(denm, DENM_ID))
