"""An ingest process that is killed between marking a command as sent and publishing it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fleetcell.contract.messages import ClaimKind, ResponseState
from fleetcell.contract.topics import Channel
from tests.ingest.commands import happens, queue, reaches, steps
from tests.ingest.platform import Platform
from tests.ingest.workers import Worker
from tests.relay import Relay

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.database import Connection

START_S = 60.0  # of a process on a busy machine
NO_RETRY_S = 3600.0  # so that what is sent again is sent by the next registrar


async def test_a_command_that_was_marked_and_not_published_is_delivered_once(
    plain_dsn: str, connection: Connection, tmp_path: Path
) -> None:
    """The network to the broker swallows the publish: the kill hits between the two for certain."""
    platform = Platform(plain_dsn, tmp_path, command_retry_s=NO_RETRY_S)
    await platform.start(service=False)
    port = urlsplit(platform.url).port
    assert port is not None
    network = Relay(("127.0.0.1", port))
    await network.start()
    settings = platform.settings().model_copy(
        update={"broker_url": f"mqtt://127.0.0.1:{network.port}", "broker_public_url": platform.url}
    )
    worker = Worker(settings, "first", tmp_path)
    try:
        worker.start()
        unit = await platform.unit("car")
        await worker.says("hearing", START_S)
        await unit.attach()
        network.swallow()
        made = await queue(connection, "car")
        await happens(connection, made, "sent")
        unit.forget()
        worker.kill()
        network.cut()  # what was swallowed is gone: the broker sees the process end, as it did
        network.mend()
        await unit.gateway(lambda status: not status.storing)
        assert await steps(connection, made) == ["queued", "sent"]
        assert unit.commands() == []
        unit.forget()
        worker.start()
        await unit.raw(Channel.PAGE)
        await unit.claim(ClaimKind.UPDATE)
        command = await unit.command()
        assert (command.id, command.epoch) == (str(made), unit.epoch)
        await unit.respond(command.id, ResponseState.SUCCEEDED)
        await reaches(connection, made, "succeeded")
        assert await steps(connection, made) == ["queued", "sent", "sent", "succeeded"]
        assert len(unit.commands()) == 1, "delivered once"
    finally:
        worker.kill()
        await platform.stop()
        await network.stop()
