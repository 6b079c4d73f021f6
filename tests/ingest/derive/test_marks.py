"""What a batch of readings marks as dirty."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.derive.marks import touched
from ingest.derive.rules import BUCKET_US

one_reading = st.tuples(st.integers(1, 2**31 - 1), st.integers(0, 4 * 10**15), st.booleans())


@given(st.lists(one_reading, max_size=50))
def test_each_bucket_of_each_vehicle_once_in_order(readings: list[tuple[int, int, bool]]) -> None:
    vehicles, numbers = touched(
        [vehicle for vehicle, _, _ in readings],
        np.array([us for _, us, _ in readings], dtype=np.int64),
        np.array([left_out for _, _, left_out in readings], dtype=np.bool_),
    )
    assert list(zip(vehicles, numbers, strict=True)) == sorted(
        {(vehicle, us // BUCKET_US) for vehicle, us, left_out in readings if not left_out}
    )
