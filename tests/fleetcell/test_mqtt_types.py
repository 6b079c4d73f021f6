"""Addresses and backoff of the bridge."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.mqtt import Backoff, BrokerAddress, parse_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ws://broker:9001/mqtt", BrokerAddress("broker", 9001, tls=False, path="/mqtt")),
        ("ws://broker", BrokerAddress("broker", 80, tls=False, path="/mqtt")),
        ("ws://broker/?token=1", BrokerAddress("broker", 80, tls=False, path="/mqtt?token=1")),
        ("wss://broker/a/b", BrokerAddress("broker", 443, tls=True, path="/a/b")),
        ("mqtt://[::1]:1884", BrokerAddress("::1", 1884, tls=False, path=None)),
        ("mqtts://broker/", BrokerAddress("broker", 8883, tls=True, path=None)),
    ],
)
def test_url_is_understood(url: str, address: BrokerAddress) -> None:
    assert parse_url(url) == address
    assert parse_url(str(address)) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://broker", "must start with"),
        ("broker:1883", "must start with"),
        ("mqtt://", "names no host"),
        ("mqtt://broker:99999", "bad port"),
        ("mqtt://broker/path", "has no path"),
        ("ws://user:secret@broker", "must not carry"),
    ],
)
def test_bad_url_is_refused_without_repeating_secrets(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        parse_url(url)
    assert "secret" not in str(refusal.value)


@given(attempt=st.integers(0, 10_000), seed=st.integers(), first=st.floats(0.01, 5), cap=st.floats(0.01, 60))
def test_backoff_stays_below_its_ceilings(attempt: int, seed: int, first: float, cap: float) -> None:
    delay = Backoff(first, cap).delay(attempt, random.Random(seed))
    assert 0 <= delay <= cap
    assert delay <= first * 2.0 ** min(attempt, 100)


def test_backoff_is_full_jitter() -> None:
    rng = random.Random(1)
    delays = [Backoff(first=1.0, cap=8.0).delay(3, rng) for _ in range(1000)]
    assert min(delays) < 0.2
    assert max(delays) > 7.8
    assert 3.5 < sum(delays) / len(delays) < 4.5
