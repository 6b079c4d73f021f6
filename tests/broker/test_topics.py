"""The trees of subscriptions and retained messages, against the plain rule of matching."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.session import Session
from broker.topics import Message, RetainedStore, SubscriptionTree, Topic
from fleetcell.contract.errors import TopicError
from fleetcell.contract.topics import check_filter, filter_matches, share, split_share

levels = st.sampled_from(["a", "b", "", "$x"])
topics = st.lists(levels, min_size=1, max_size=4).map("/".join).filter(bool)
filters = st.lists(st.sampled_from(["a", "b", "", "$x", "+", "#"]), min_size=1, max_size=4).map("/".join)


def valid(topic_filter: str) -> bool:
    try:
        check_filter(topic_filter)
    except TopicError:
        return False
    return True


def session(name: str) -> Session:
    return cast("Session", name)  # the tree only needs something to hold


def names(found: dict[Session, int]) -> dict[str, int]:
    return cast("dict[str, int]", found)


def test_a_hash_matches_the_level_above() -> None:
    tree = SubscriptionTree()
    tree.add("a/#", session("s"), 0)
    assert names(tree.match("a")) == {"s": 0}
    assert tree.match("b") == {}


@given(
    st.lists(st.tuples(filters.filter(valid), st.sampled_from("xyz"), st.integers(0, 2)), max_size=12),
    st.lists(st.integers(0, 11), max_size=6),
    topics,
)
def test_matching_is_the_rule_applied_to_each_subscription(
    added: list[tuple[str, str, int]], removed: list[int], topic: str
) -> None:
    tree = SubscriptionTree()
    model: dict[tuple[str, str], int] = {}
    for topic_filter, name, qos in added:
        tree.add(topic_filter, session(name), qos)
        model[topic_filter, name] = qos
    for index in removed:
        if index < len(added):
            topic_filter, name, _ = added[index]
            tree.remove(topic_filter, session(name))
            model.pop((topic_filter, name), None)
    wanted: dict[str, int] = {}
    for (topic_filter, name), qos in model.items():
        if filter_matches(topic_filter, topic):
            wanted[name] = max(wanted.get(name, 0), qos)
    assert names(tree.match(topic)) == wanted
    for topic_filter, name in list(model):
        tree.remove(topic_filter, session(name))
    assert tree.empty  # nothing is left behind


@given(st.lists(st.tuples(topics, st.sampled_from([b"", b"1", b"2"])), max_size=12), filters.filter(valid))
def test_retained_messages_are_the_last_of_each_matching_topic(
    put: list[tuple[str, bytes]], topic_filter: str
) -> None:
    store = RetainedStore()
    model: dict[str, bytes] = {}
    for topic, payload in put:
        store.put(Message(Topic(topic), payload, 1))
        if payload:
            model[topic] = payload
        else:
            model.pop(topic, None)
    found = {message.topic.name: message.payload for message in store.match(topic_filter)}
    assert found == {name: payload for name, payload in model.items() if filter_matches(topic_filter, name)}
    assert store.count == len(model)
    for topic in list(model):
        assert store.get(topic) is not None
        store.put(Message(Topic(topic), b"", 0))
    assert store.count == 0
    assert not store._root.children


@pytest.mark.parametrize("order", [("a/#", "a/b", "+/b"), ("+/b", "a/b", "a/#"), ("a/b", "+/b", "a/#")])
def test_overlapping_filters_bring_a_message_once_at_the_highest_qos(order: tuple[str, ...]) -> None:
    for best in order:
        tree = SubscriptionTree()
        for topic_filter in order:
            tree.add(topic_filter, session("x"), 2 if topic_filter == best else 0)
        assert names(tree.match("a/b")) == {"x": 2}


def test_a_change_of_subscriptions_is_seen_by_the_version() -> None:
    tree = SubscriptionTree()
    tree.add("a", session("s"), 0)
    before = tree.version
    tree.remove("a", session("other"))
    tree.remove("never/there", session("s"))
    assert tree.version == before
    tree.remove("a", session("s"))
    assert tree.version != before


def test_a_share_needs_a_group_and_a_filter() -> None:
    assert split_share("$share/g/a/+") == ("g", "a/+")
    assert split_share(share("g", "#")) == ("g", "#")
    for other in ("a/b", "$share", "$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$SYS/g/a"):
        assert split_share(other) is None
