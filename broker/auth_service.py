"""`fleetcell broker-auth`: answers other brokers, by HTTP (RabbitMQ, EMQX) or by pipe (ejabberd)."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import parse_qsl

import structlog

from broker.credentials import CredentialStore
from broker.other_brokers import Judge
from fleetcell.service import stop_event

if TYPE_CHECKING:
    from fleetcell.settings import BrokerAuthSettings

log: Final = structlog.get_logger()

REQUEST_S: Final = 5.0
MOST_BODY: Final = 65_536


def judge(settings: BrokerAuthSettings) -> Judge:
    """The judge over the settings' files."""
    return Judge(CredentialStore(settings.credentials_file, settings.credentials_key_file))


async def run(settings: BrokerAuthSettings) -> None:
    """Answer by HTTP until SIGTERM or SIGINT.

    Raises:
        OSError: the port is taken.
    """
    stop = stop_event()
    service = HttpAnswers(judge(settings))
    server = await asyncio.start_server(service.serve, settings.auth_host, settings.auth_port)
    async with server:
        log.info("broker-auth", address="{}:{}".format(*server.sockets[0].getsockname()[:2]))
        await stop.wait()


def answer_ejabberd(settings: BrokerAuthSettings, questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the pipe ends: two bytes of length, the question; two and two bytes, 1 or 0."""
    said = judge(settings)
    while len(head := questions.read(2)) == 2:
        good = said.ejabberd(questions.read(int.from_bytes(head, "big")))
        answers.write(b"\x00\x02\x00" + (b"\x01" if good else b"\x00"))
        answers.flush()


def run_ejabberd(settings: BrokerAuthSettings) -> None:
    """The program that ejabberd starts (`extauth_program`)."""
    answer_ejabberd(settings, sys.stdin.buffer, sys.stdout.buffer)


class HttpAnswers:
    """POST /rabbitmq/{user,vhost,resource,topic} and /emqx/{authn,authz}; one request a connection."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        try:
            async with asyncio.timeout(REQUEST_S):
                writer.write(await self._answer(reader))
                await writer.drain()
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            log.debug("request not understood", peer=writer.get_extra_info("peername"))
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        fields = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
        }
        size = int(fields.get("content-length", "0"))
        if method != "POST" or not 0 <= size <= MOST_BODY:
            return _response("405 Method Not Allowed", b"POST only", "text/plain")
        body = await reader.readexactly(size)
        match path.split("/"):
            case ["", "rabbitmq", question]:
                form = dict(parse_qsl(body.decode(), keep_blank_values=True))
                return _response("200 OK", self._judge.rabbitmq(question, form).encode(), "text/plain")
            case ["", "emqx", question]:
                return _response("200 OK", self._judge.emqx(question, body), "application/json")
            case _:
                return _response("404 Not Found", b"no such question", "text/plain")


def _response(status: str, body: bytes, kind: str) -> bytes:
    head = (
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body
