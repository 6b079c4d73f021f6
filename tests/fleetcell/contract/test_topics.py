"""Topics: what is built is parsed back, and nobody may do what the contract does not name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.errors import TopicError
from fleetcell.contract.topics import (
    DIRECTORY_TOPIC,
    FROM_UNIT,
    RESERVED,
    TO_UNIT,
    Channel,
    DirectoryTopic,
    Principal,
    RegionTopic,
    Role,
    V2xTopic,
    VehicleTopic,
    check_filter,
    check_name,
    check_topic,
    dashboard_filters,
    filter_matches,
    gateway_topic,
    may_publish,
    may_receive,
    may_retain,
    may_subscribe,
    parse,
    positions_topic,
    presence_filters,
    telemetry_filters,
    unit_filters,
    v2x_topic,
    vehicle_topic,
)

names = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).filter(lambda name: name not in RESERVED)
channels = st.sampled_from(list(Channel))
levels = st.sampled_from(["fleet", "v1", "a", "b", "state", "", "$SYS", "gateway"])
topics = st.lists(levels, min_size=1, max_size=5).map("/".join).filter(bool)
filters = (
    st.lists(st.one_of(levels, st.just("+")), min_size=1, max_size=5)
    .flatmap(lambda parts: st.sampled_from([parts, [*parts, "#"]]))
    .map("/".join)
    .filter(bool)
)

UNIT = Principal(Role.UNIT, "car-1")
GATEWAY = Principal(Role.GATEWAY, "ingest-north", "north")
DASHBOARD = Principal(Role.DASHBOARD, "dashboard")


@given(names, names, channels)
def test_a_vehicle_topic_is_parsed_back(region: str, vehicle: str, channel: Channel) -> None:
    assert parse(vehicle_topic(region, vehicle, channel)) == VehicleTopic(region, vehicle, channel)


def test_the_other_topics_are_parsed_back() -> None:
    assert parse(gateway_topic("north")) == RegionTopic("north", "gateway")
    assert parse(positions_topic("north")) == RegionTopic("north", "positions")
    assert parse(DIRECTORY_TOPIC) == DirectoryTopic()
    plain = v2x_topic("north", "cam", "8/1/f", "p-1")
    assert parse(plain) == V2xTopic("north", "cam", "8/1/f", "p-1")
    finest = "121" + "/6" * 15
    assert parse(v2x_topic("north", "cam", finest, "p-1")) == V2xTopic("north", "cam", finest, "p-1")
    packed = v2x_topic("north", "denm", "8", "p-1", uper=True)
    assert parse(packed) == V2xTopic("north", "denm", "8", "p-1", uper=True)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "fleet/v1",
        "fleet/v2/north/car-1/state",
        "fleet/v1/north/car-1",
        "fleet/v1/north/car-1/nothing",
        "fleet/v1/north/car 1/state",
        "fleet/v1/north/gateway/state",
        "fleet/v1/north/v2x/spam/8/p-1",
        "fleet/v1/north/v2x/cam/p-1",
        "fleet/v1/north/v2x/cam/8888/p-1",
        f"fleet/v1/north/v2x/cam/8{'/1' * 16}/p-1",
        "fleet/v1/directory/x/state",
        f"fleet/v1/north/{'x' * 65}/state",
        "$SYS/broker/uptime",
    ],
)
def test_what_is_not_of_the_contract_is_refused(topic: str) -> None:
    with pytest.raises(TopicError):
        parse(topic)


@pytest.mark.parametrize("name", ["", "a b", "ä", "a/b", "x" * 65, *sorted(RESERVED)])
def test_a_wrong_name_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(TopicError, match="vehicle"):
        check_name(name, "vehicle")


@pytest.mark.parametrize("wrong", ["", "a+/b", "a#", "#/a", "a/#/b", "a\0"])
def test_a_wrong_filter_is_refused(wrong: str) -> None:
    with pytest.raises(TopicError):
        check_filter(wrong)


@pytest.mark.parametrize("wrong", ["", "a/+", "#", "a\0", "x" * 65536])
def test_a_wrong_topic_is_refused(wrong: str) -> None:
    with pytest.raises(TopicError):
        check_topic(wrong)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [  # MQTT 3.1.1, 4.7.1 and 4.7.2
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/monitor", False),
        ("+/monitor", "$SYS/monitor", False),
        ("$SYS/#", "$SYS/monitor", True),
    ],
)
def test_wildcards_match_as_the_standard_says(topic_filter: str, topic: str, expected: bool) -> None:
    assert filter_matches(topic_filter, topic) is expected


@given(st.sampled_from([UNIT, GATEWAY, DASHBOARD]), filters, topics)
def test_who_may_subscribe_to_a_filter_may_receive_all_that_it_matches(
    principal: Principal, topic_filter: str, topic: str
) -> None:
    if may_subscribe(principal, topic_filter) and filter_matches(topic_filter, topic):
        assert may_receive(principal, topic)


@given(names, names, channels)
def test_a_unit_publishes_only_its_own(region: str, other: str, channel: Channel) -> None:
    unit = Principal(Role.UNIT, "me")
    allowed = other == "me" and channel in FROM_UNIT
    assert may_publish(unit, vehicle_topic(region, other, channel)) is allowed
    assert not may_retain(unit, vehicle_topic(region, other, channel))
    hears = other == "me" and channel in TO_UNIT
    assert may_subscribe(unit, vehicle_topic(region, other, channel)) is hears


def test_a_unit_hears_what_the_contract_gives_it_and_no_more() -> None:
    for topic_filter in unit_filters("north", "car-1"):
        assert may_subscribe(UNIT, topic_filter)
    assert may_subscribe(UNIT, DIRECTORY_TOPIC)
    for near in ("8/5/3/1/0/2/#", "8/5/3/1/0/2/+", "8/5/3/1/0/2/6/6/6/6/0000002a", "10/0/0/0/0/0/0/#"):
        assert may_subscribe(UNIT, f"fleet/v1/north/v2x/cam/{near}")
        assert may_subscribe(UNIT, f"fleet/v1/+/v2x/denm/{near}")
    for wide in (
        "fleet/v1/north/v2x/#",
        "fleet/v1/north/v2x/cam/#",
        "fleet/v1/north/v2x/cam/8/1/#",
        "fleet/v1/north/v2x/cam/8/5/3/1/0/+",
        "fleet/v1/north/v2x/cam/8/5/3/1/0/#",
        "fleet/v1/north/v2x/cam/8/5/3/1/0/2",
        "fleet/v1/north/v2x/cam/8/5/3/+/0/2/#",
        "$share/g/fleet/v1/north/v2x/denm/#",
        "fleet/v1/north/v2x/+/8/5/3/1/0/2/#",
        "#",
        "+/#",
        "fleet/#",
        "fleet/v1/north/#",
        "fleet/v1/north/+/state",
        "fleet/v1/+/+/+",
        "$SYS/#",
    ):
        assert not may_subscribe(UNIT, wide)


def test_a_gateway_keeps_to_its_region() -> None:
    for topic_filter in (*telemetry_filters("north"), *presence_filters("north")):
        assert may_subscribe(GATEWAY, topic_filter)
    for topic_filter in (*telemetry_filters("south"), *telemetry_filters("+"), "fleet/v1/#"):
        assert not may_subscribe(GATEWAY, topic_filter)
    assert may_publish(GATEWAY, vehicle_topic("north", "car-1", Channel.ACK))
    assert not may_publish(GATEWAY, vehicle_topic("south", "car-1", Channel.ACK))
    assert not may_publish(GATEWAY, vehicle_topic("north", "car-1", Channel.TELEMETRY))


def test_only_the_gateways_truth_may_be_retained() -> None:
    assert may_retain(GATEWAY, vehicle_topic("north", "car-1", Channel.STATE))
    assert may_retain(GATEWAY, gateway_topic("north"))
    assert not may_retain(GATEWAY, vehicle_topic("north", "car-1", Channel.COMMAND))
    assert not may_retain(GATEWAY, positions_topic("north"))


def test_a_dashboard_listens_and_says_nothing() -> None:
    for topic_filter in dashboard_filters():
        assert may_subscribe(DASHBOARD, topic_filter)
    assert not may_subscribe(DASHBOARD, "fleet/v1/north/+/telemetry")
    for topic in (vehicle_topic("north", "car-1", Channel.STATE), gateway_topic("north"), DIRECTORY_TOPIC):
        assert not may_publish(DASHBOARD, topic)


@pytest.mark.parametrize("principal", [UNIT, GATEWAY, DASHBOARD])
@given(topic_filter=filters | st.sampled_from(["fleet/v1/north/+/telemetry", "fleet/v1/+/car-1/ack"]))
def test_a_shared_filter_is_allowed_where_the_filter_is(principal: Principal, topic_filter: str) -> None:
    allowed = may_subscribe(principal, topic_filter)
    assert may_subscribe(principal, f"$share/group/{topic_filter}") is allowed
    for no_group in ("$share//", "$share/+/", "$share/#/"):
        assert not may_subscribe(principal, no_group + topic_filter)
