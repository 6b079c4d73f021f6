"""The behaviours of a broker that are compared, most important first; section numbers are MQTT 3.1.1's.

Each tries one thing on real sockets. It returns when the broker does what MQTT 3.1.1 says (or where that
leaves a choice, what fleetcell's broker does), and raises `DifferenceError` with what it does instead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from tests.broker.raw_client import (
    CONNACK,
    PUBCOMP,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    Message,
    Will,
    acknowledgement_packet,
    connect_packet,
    publish_packet,
    subscribe_packet,
    unsubscribe_packet,
)
from tests.conformance.bench import (
    Bench,
    DifferenceError,
    acknowledge,
    at_least,
    closed,
    drain,
    expect,
    publish,
    within,
)

Behaviour = Callable[[Bench], Awaitable[None]]
BEHAVIOURS: Final[dict[str, Behaviour]] = {}


def behaviour(name: str) -> Callable[[Behaviour], Behaviour]:
    """Registers a behaviour under its name in the table."""

    def register(run: Behaviour) -> Behaviour:
        BEHAVIOURS[name] = run
        return run

    return register


def payloads(messages: list[Message]) -> list[bytes]:
    return [message.payload for message in messages]


@behaviour("basic: connect, subscribe, publish at QoS 0 and 1, disconnect (TCP and WebSocket)")
async def basic(b: Bench) -> None:
    for ws in (False, True):
        subscriber = await b.login(f"s{ws}", (b.topic("+"), 2), ws=ws)
        publisher = await b.login(f"p{ws}", ws=ws)
        for number in (b"1", b"2"):
            for qos in (0, 1):
                await publish(publisher, b.topic("a"), number, qos)
        found = await b.heard(publisher, subscriber, at_least(4))
        # Order is promised among messages of one QoS (4.6); RabbitMQ sends those of each on a way of its own.
        for qos in (0, 1):
            of_it = [message.payload for message in found if message.qos == qos]
            expect(of_it, [b"1", b"2"], "messages are missing, or not in order")
        await within(publisher.disconnect())


@behaviour("QoS 2: both ways, once")
async def qos_2(b: Bench) -> None:
    subscriber, publisher = await b.login("s", (b.topic("a"), 2)), await b.login("p")
    publisher.send(publish_packet(b.topic("a"), b"x", 2, packet_id=9))
    answer = await within(publisher.read())
    expect(answer is not None and answer.kind, PUBREC, "answered with PUBACK, delivered at QoS 1")
    publisher.send(publish_packet(b.topic("a"), b"x", 2, packet_id=9, dup=True))  # as if PUBREC were lost
    await within(publisher.expect(PUBREC))
    publisher.send(acknowledgement_packet(PUBREL, 9))
    await within(publisher.expect(PUBCOMP))
    found = await b.heard(publisher, subscriber, at_least(1))
    expect([(m.payload, m.qos) for m in found], [(b"x", 2)], f"{len(found)} times")


@behaviour("messages of one publisher keep their order at QoS 1")
async def order(b: Bench) -> None:
    subscriber, publisher = await b.login("s", (b.topic("a"), 1)), await b.login("p")
    for n in range(100):
        await publish(publisher, b.topic("a"), b"%d" % n, 1)
        if n % 5 == 4:
            for m in range(n - 4, n + 1):
                message = await within(subscriber.message())
                acknowledge(subscriber, message)
                expect(message.payload, b"%d" % m, "the order changes")


@behaviour("delivered QoS is the lower of published and granted (3.8.4)")
async def downgrade(b: Bench) -> None:
    publisher = await b.login("p")
    wrong = []
    for granted in (0, 1, 2):
        subscriber = await b.login(f"s{granted}", (b.topic("a"), granted))
        for qos in (0, 1, 2):
            await publish(publisher, b.topic("a"), b"%d" % qos, qos)
        for message in await b.heard(publisher, subscriber, at_least(3)):
            wanted = min(granted, int(message.payload))
            if message.qos != wanted:
                wrong.append(f"{int(message.payload)} to {granted} at {message.qos}")
    expect(wrong, [], f"published to granted: {', '.join(wrong)}")


@behaviour("retained: sent to a new subscriber by name, replaced, cleared (3.3.1.3)")
async def retained(b: Bench) -> None:
    publisher = await b.login("p")
    there = await b.login("there", (b.topic("a"), 1))
    for payload in (b"first", b"second"):
        await publish(publisher, b.topic("a"), payload, 1, retain=True)
    expect(
        [m.retain for m in await b.heard(publisher, there, at_least(2))], [False, False],
        "those already there see the retain flag",
    )  # fmt: skip
    late = await b.login("late", (b.topic("a"), 1))
    found = await b.heard(publisher, late, at_least(1))
    expect([(m.payload, m.retain) for m in found], [(b"second", True)], "no retained message")
    await publish(publisher, b.topic("a"), b"", 1, retain=True)
    later = await b.login("later", (b.topic("a"), 1))
    expect(await b.heard(publisher, later), [], "an empty message does not clear")


@behaviour("retained: sent to a new subscriber by wildcard")
async def retained_wildcard(b: Bench) -> None:
    publisher = await b.login("p")
    for name in ("a", "b", "c/d"):
        await publish(publisher, b.topic(name), b"x", 1, retain=True)
    plus = await b.login("plus", (b.topic("+"), 1))
    hash_ = await b.login("hash", (b.topic("#"), 1))
    expect(len(await b.heard(publisher, plus, at_least(2))), 2, "nothing retained comes by wildcard")
    expect(len(await b.heard(publisher, hash_, at_least(3))), 3, "nothing retained comes by wildcard")


@behaviour("subscribing again sends the retained message again, at the new QoS (3.8.4)")
async def resubscribe(b: Bench) -> None:
    publisher = await b.login("p")
    await publish(publisher, b.topic("a"), b"x", 1, retain=True)
    subscriber = await b.login("s", (b.topic("a"), 0))
    expect([m.qos for m in await b.heard(publisher, subscriber, at_least(1))], [0], "not at QoS 0")
    await within(subscriber.subscribe((b.topic("a"), 1)))
    expect([m.qos for m in await b.heard(publisher, subscriber, at_least(1))], [1], "not sent again")


@behaviour("offline queueing: a kept session gets what it missed at QoS 1")
async def offline(b: Bench) -> None:
    publisher = await b.login("p")
    away = await b.login("s", (b.topic("+"), 1), clean=False)
    await within(away.disconnect())
    for payload in (b"1", b"2"):
        await publish(publisher, b.topic("a"), payload, 1)
    back = await b.login("s", clean=False)
    found = await b.heard(publisher, back, at_least(2))
    expect(payloads(found), [b"1", b"2"], f"{len(found)} of 2 messages")
    expect([m.retain for m in found], [False, False], "with the retain flag")


@behaviour("redelivery: what was not acknowledged comes again with DUP on reconnect (4.4)")
async def redelivery(b: Bench) -> None:
    publisher = await b.login("p")
    subscriber = await b.login("s", (b.topic("a"), 1), clean=False)
    await publish(publisher, b.topic("a"), b"x", 1)
    first = await within(subscriber.message())
    subscriber.abort()
    await asyncio.sleep(0.2)  # the broker need not have seen the end; a take-over is another behaviour
    back = await b.login("s", clean=False)
    again = await within(back.message())
    expect(again.payload, first.payload, "another message")
    expect(again.dup, True, "without DUP")


@behaviour("redelivery of QoS 2 goes on with PUBREL after PUBREC (4.3.3)")
async def redelivery_2(b: Bench) -> None:
    publisher = await b.login("p")
    subscriber = await b.login("s", (b.topic("a"), 2), clean=False)
    await publish(publisher, b.topic("a"), b"x", 2)
    message = await within(subscriber.message())
    expect(message.qos, 2, f"delivered at QoS {message.qos}")
    acknowledge(subscriber, message)
    await within(subscriber.expect(PUBREL))
    subscriber.abort()
    await asyncio.sleep(0.2)
    back = await b.login("s", clean=False)
    packet = await within(back.read())
    expect(packet is not None and packet.kind, PUBREL, "the message comes a second time")


@behaviour("will: published when the connection breaks (TCP and WebSocket)")
async def will(b: Bench) -> None:
    watcher = await b.login("w", (b.topic("+"), 1))
    for ws in (False, True):
        lost = await b.login(f"lost{ws}", ws=ws, will=Will(b.topic("will"), b"lost", 1))
        lost.abort()
        message = await within(watcher.message())
        acknowledge(watcher, message)
        expect((message.payload, message.qos), (b"lost", 1), "another will")


@behaviour("will: none after DISCONNECT (TCP and WebSocket)")
async def no_will(b: Bench) -> None:
    watcher, other = await b.login("w", (b.topic("+"), 1)), await b.login("p")
    for ws in (False, True):
        gone = await b.login(f"gone{ws}", ws=ws, will=Will(b.topic("will"), b"gone", 1))
        await within(gone.disconnect())
        found = [*await b.heard(other, watcher), *await drain(watcher, b.waiting.for_none_s)]
        expect(found, [], f"a will all the same over {'WebSocket' if ws else 'TCP'}")


@behaviour("will: may be retained, and may be empty")
async def retained_will(b: Bench) -> None:
    watcher = await b.login("w", (b.topic("+"), 1))
    lost = await b.login("lost", will=Will(b.topic("will"), b"lost", 1, retain=True))
    empty = await b.login("empty", will=Will(b.topic("empty"), b"", 1))
    lost.abort()
    empty.abort()
    found = {message.topic for message in await b.comes(watcher, at_least(2))}
    expect(b.topic("will") in found, True, "no will")
    empty_came = b.topic("empty") in found
    late, publisher = await b.login("late", (b.topic("will"), 1)), await b.login("p")
    expect(
        [m.retain for m in await b.heard(publisher, late, at_least(1))], [True], "the will is not retained"
    )
    expect(empty_came, True, "an empty will is not published")


@behaviour("overlapping subscriptions: once, at the highest QoS (3.3.5 leaves the choice)")
async def overlapping(b: Bench) -> None:
    subscriber, publisher = await b.login("s", (b.topic("#"), 0), (b.topic("a"), 1)), await b.login("p")
    await publish(publisher, b.topic("a"), b"x", 1)
    found = sorted(m.qos for m in await b.heard(publisher, subscriber, at_least(1)))
    if len(found) > 1:
        raise DifferenceError(f"a copy for each, at QoS {' and '.join(map(str, found))}")
    expect(found, [1], f"once, at QoS {found[0] if found else '-'}")


@behaviour("keep-alive: a silent client is closed after 1.5 intervals (3.1.2.10), and its will comes")
async def keep_alive(b: Bench) -> None:
    watcher = await b.login("w", (b.topic("will"), 1))
    wrong = ""
    for interval in b.waiting.keep_alives:
        asked = time.monotonic()
        silent = await b.login(f"s{interval}", keep_alive=interval, will=Will(b.topic("will")))
        answered = time.monotonic()
        if not await closed(silent):
            raise DifferenceError("never closed")
        ended = time.monotonic()
        acknowledge(watcher, await within(watcher.message()))
        if ended - answered >= 2 * interval:
            wrong = "closed later than after 2 intervals"
        elif ended - asked <= 1.4 * interval:
            wrong = "closed earlier"
        else:
            return
    raise DifferenceError(wrong)


@behaviour("keep-alive: a client that pings stays")
async def pings(b: Bench) -> None:
    wrong = ""
    for interval in b.waiting.keep_alives:
        client = await b.login(f"s{interval}", keep_alive=interval)  # closed after one and a half
        try:
            for _ in range(4):
                await asyncio.sleep(interval / 2)  # the keep-alive is about time itself
                await within(client.ping())
        except DifferenceError as difference:
            wrong = str(difference)
        else:
            return
    raise DifferenceError(wrong)


@behaviour("zero-length client id: a clean session gets one, another is refused with code 2 (3.1.3.1)")
async def zero_length(b: Bench) -> None:
    await b.login(None)
    client = await b.open()
    client.send(connect_packet("", b.broker.user, b.broker.password, clean=False))
    try:
        answer = await within(client.expect(CONNACK))
    except DifferenceError:
        raise DifferenceError("another is closed without an answer") from None
    expect(answer.body[1], 2, f"another gets code {answer.body[1]}")


@behaviour("unsubscribe: by the very filter, of several, and of none that is there")
async def unsubscribe(b: Bench) -> None:
    subscriber, publisher = await b.login("s", (b.topic("+"), 1), (b.topic("x"), 1)), await b.login("p")
    subscriber.send(unsubscribe_packet([b.topic("+"), b.topic("never")], 9))
    await within(subscriber.expect(UNSUBACK))
    await publish(publisher, b.topic("a"), b"no", 1)
    await publish(publisher, b.topic("x"), b"yes", 1)
    expect(payloads(await b.heard(publisher, subscriber, at_least(1))), [b"yes"], "messages still come")


@behaviour("subscribe failure: 0x80 for what is not allowed (3.9.3), the connection stays")
async def subscribe_failure(b: Bench) -> None:
    client = await b.login("s", user=b.broker.refused_user)
    client.send(subscribe_packet([(b.topic("a"), 1)], 5))
    try:
        codes = (await within(client.expect(SUBACK))).body[2:]
    except DifferenceError:
        raise DifferenceError("the connection is closed") from None
    if codes != b"\x80":
        publisher = await b.login("p")
        await publish(publisher, b.topic("a"), b"secret", 1)
        code = "" if codes[0] < 3 else f" (with code {codes[0]:#x})"
        raise DifferenceError(
            f"granted{code}, {'' if await b.comes(client, at_least(1)) else 'nothing '}delivered"
        )
    await within(client.ping())


@behaviour("take-over: the older connection of a client id is closed (3.1.4)")
async def take_over(b: Bench) -> None:
    publisher = await b.login("p")
    old = await b.login("s", (b.topic("a"), 1))
    new = await b.login("s", (b.topic("a"), 1))
    expect(await closed(old), True, "both stay")
    await publish(publisher, b.topic("a"), b"x", 1)
    expect(payloads(await b.heard(publisher, new, at_least(1))), [b"x"], "the new one gets nothing")


@behaviour("take-over of a clean session: the will of the old connection is published (TCP and WebSocket)")
async def take_over_will(b: Bench) -> None:
    await _will_of_taken_over(b, clean=True)


@behaviour("take-over of a kept session: the will of the old connection is published (TCP and WebSocket)")
async def take_over_kept_will(b: Bench) -> None:
    await _will_of_taken_over(b, clean=False)


async def _will_of_taken_over(b: Bench, *, clean: bool) -> None:
    watcher, publisher = await b.login("w", (b.topic("+"), 1)), await b.login("p")
    without = []
    for ws, kind in ((False, "TCP"), (True, "WebSocket")):
        old = await b.login(kind, clean=clean, ws=ws, will=Will(b.topic(kind), b"old"))
        await b.login(kind, clean=clean, ws=ws, will=Will(b.topic(kind), b"new"))
        await closed(old, b.waiting.for_some_s)
        found = payloads(await b.heard(publisher, watcher, at_least(1)))
        if b"new" in found:
            raise DifferenceError(f"the will of the new one is published over {kind}")
        if not found:
            without.append(kind)
    expect(without, [], "no will" if len(without) == 2 else f"no will over {', '.join(without)}")


@behaviour("wildcards: levels that are empty, `a/#` matches `a`, `+` is one level (4.7)")
async def wildcards(b: Bench) -> None:
    publisher, u = await b.login("p"), b.prefix
    topics = [u, f"/{u}", f"{u}/", f"{u}/b", f"{u}/b/c", f"{u}//c"]
    wanted = {
        f"{u}/#": [u, f"{u}/", f"{u}/b", f"{u}/b/c", f"{u}//c"],
        f"{u}/+": [f"{u}/", f"{u}/b"],
        f"{u}/+/c": [f"{u}/b/c", f"{u}//c"],
        f"{u}/": [f"{u}/"],
        "/+": [f"/{u}"],
        "+": [u],
        "+/": [f"{u}/"],
        "#": topics,
        "+/+": [f"/{u}", f"{u}/", f"{u}/b"],
    }
    subscribers = {name: await b.login(f"s{n}", (name, 1)) for n, name in enumerate(wanted)}
    mark = f"{u}-all"
    for topic in topics:
        await publish(publisher, topic, mark.encode(), 1)
    wrong = []
    for name, subscriber in subscribers.items():
        all_of_them = at_least(len(wanted[name]), mark.encode())
        came = await b.heard(publisher, subscriber, all_of_them)
        found = [m.topic for m in came if m.payload == mark.encode()]
        if sorted(found) != sorted(wanted[name]):
            shown = name.replace(u, "a")
            extra = {t.replace(u, "a") for t in set(found) - set(wanted[name])}
            less = {t.replace(u, "a") for t in set(wanted[name]) - set(found)}
            wrong += [f"`{shown}` matches `{t}`" for t in sorted(extra)]
            wrong += [f"`{shown}` misses `{t}`" for t in sorted(less)]
    expect(wrong, [], "; ".join(wrong))


@behaviour("wildcards: a publish to one, and a filter that is none, end the connection (3.3.2.1, 4.7.1)")
async def wrong_wildcards(b: Bench) -> None:
    wrong = []
    publisher = await b.login("p")
    publisher.publish(b.topic("+"), b"x", 1)
    if not await closed(publisher, b.waiting.for_some_s):
        wrong.append("a publish to `+` stays")
    for n, name in enumerate((b.topic("#/a"), b.topic("a+"))):
        subscriber = await b.login(f"s{n}")
        subscriber.send(subscribe_packet([(name, 1)], 5))
        if not await closed(subscriber, b.waiting.for_some_s):
            wrong.append(f"the filter `{name.replace(b.prefix, 'x')}` stays")
    expect(wrong, [], "; ".join(wrong))


@behaviour("`$` topics: not matched by a wildcard in the first level (4.7.2)")
async def dollar(b: Bench) -> None:
    subscriber = await b.login("s", ("#", 1), (f"+/{b.prefix}", 1))
    publisher = await b.login("p")
    publisher.publish(f"${b.prefix}/{b.prefix}", b"x", 0)
    await asyncio.sleep(b.waiting.for_none_s)
    other = await b.login("o")
    found = [m for m in await b.heard(other, subscriber) if m.topic.startswith(f"${b.prefix}")]
    expect(found, [], "matched")


@behaviour("`$` topics: a client's publish is dropped, and the connection stays (the standard leaves it)")
async def dollar_publish(b: Bench) -> None:
    topic = f"${b.prefix}/a"
    subscriber = await b.login("s", (topic, 1))
    publisher = await b.login("p")
    publisher.publish(topic, b"x", 1)
    try:
        await publish(publisher, b.topic("a"), b"x", 1)
    except DifferenceError:
        raise DifferenceError("the connection is closed") from None
    found = await b.heard(publisher, subscriber)
    expect([m.topic for m in found if m.topic == topic], [], "delivered to those who subscribed by name")


@behaviour("`$share/{group}/{filter}` (MQTT 5, for 3.1.1 clients too): each message to one of the group")
async def shared(b: Bench) -> None:
    publisher = await b.login("p")
    topic = b.topic("a")
    workers = []
    for n in range(3):
        client = await b.login(f"s{n}")
        client.send(subscribe_packet([(f"$share/{b.prefix}/{topic}", 1)], 5))
        try:
            code = (await within(client.expect(SUBACK))).body[2]
        except DifferenceError:
            raise DifferenceError("refused: the connection is closed") from None
        expect(code, 1, f"refused with {code:#x}")
        workers.append(client)
    for n in range(9):
        await publish(publisher, topic, b"%d" % n, 1)
    found = [payloads(await b.heard(publisher, worker)) for worker in workers]
    every = sorted(payload for part in found for payload in part)
    if not every:
        raise DifferenceError("granted, nothing delivered")
    expect(every, [b"%d" % n for n in range(9)], f"{len(every)} messages of 9")
    expect(all(found), True, "all to one of them")


@behaviour("MQTT 5 CONNECT: return code 1 (3.1.2.2), as far as version 5 is not spoken")
async def version_5(b: Bench) -> None:
    client = await b.open()
    client.send(connect_packet(f"{b.prefix}-5", b.broker.user, b.broker.password, level=5))
    try:
        code = (await within(client.expect(CONNACK))).body[1]
    except DifferenceError:
        raise DifferenceError("closed without an answer") from None
    if code == 0:
        raise DifferenceError("spoken")
    expect(code in (1, 0x84), True, f"return code {code}")
    expect(await closed(client), True, "the connection stays")


@behaviour("a payload of 200 KB passes")
async def large(b: Bench) -> None:
    subscriber, publisher = await b.login("s", (b.topic("a"), 1)), await b.login("p", ws=True)
    payload = bytes(200_000)
    await publish(publisher, b.topic("a"), payload, 1)
    found = await b.heard(publisher, subscriber, at_least(1))
    expect(payloads(found), [payload], "not delivered")
