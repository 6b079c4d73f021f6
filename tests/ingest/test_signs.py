"""Signs of life from worker to worker, by NOTIFY of a real PostgreSQL."""

from __future__ import annotations

import asyncio

from ingest.notifications import Notifications
from ingest.pools import Database
from ingest.signs import CHANNEL, Signs

VEHICLES = {f"vehicle-{number:03}": number for number in range(200)}  # more than one notification takes


async def test_signs_reach_the_worker_of_the_same_region(plain_dsn: str) -> None:
    database = Database(plain_dsn, application="test")
    heard: asyncio.Queue[tuple[str, tuple[int, int | None]]] = asyncio.Queue()
    elsewhere: list[str] = []
    here = Signs("helsinki", database, lambda name, *told: heard.put_nowait((name, told)))
    north = Signs("north", database, lambda vehicle, *_: elsewhere.append(vehicle))
    listening = asyncio.Event()

    def receive(payload: str) -> None:
        if not payload:
            listening.set()
            return
        for worker in (here, north):
            worker.receive(payload)

    for vehicle, epoch in VEHICLES.items():
        here.put(vehicle, epoch, 1000 * epoch)
        here.put(vehicle, epoch + 1)  # too soon after the other
    tasks = [asyncio.create_task(Notifications(database, {CHANNEL: receive}).run())]
    try:
        async with asyncio.timeout(60):
            await listening.wait()
            tasks.append(asyncio.create_task(here.run()))
            found = dict([await heard.get() for _ in VEHICLES])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await database.close()
    assert found == {vehicle: (epoch, 1000 * epoch) for vehicle, epoch in VEHICLES.items()}
    assert heard.empty()
    assert elsewhere == []


def test_a_notification_of_others_is_passed_over(plain_dsn: str) -> None:
    heard: list[str] = []
    signs = Signs("helsinki", Database(plain_dsn, application="test"), lambda name, *_: heard.append(name))
    for payload in ("nonsense", "{}", '["helsinki",[["car"]]]', '["helsinki",[["car","x"]]]'):
        signs.receive(payload)
    assert heard == []
    signs.receive('["helsinki",[["car",3]]]')
    assert heard == ["car"]
