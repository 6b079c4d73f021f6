"""Log lines are let through now and then."""

from __future__ import annotations

from broker.throttle import Throttle


def test_one_line_a_client_and_matter_in_ten_seconds() -> None:
    throttle = Throttle()
    assert throttle.passes("publish", "veh1", 0.0)
    assert not throttle.passes("publish", "veh1", 9.9)
    assert throttle.passes("publish", "veh2", 9.9)
    assert throttle.passes("subscribe", "veh1", 9.9)
    assert throttle.passes("publish", "veh1", 10.0)


def test_what_is_remembered_is_bounded() -> None:
    throttle = Throttle()
    for number in range(25_000):
        assert throttle.passes("publish", str(number), 0.0)
    assert len(throttle._until) <= 10_000
