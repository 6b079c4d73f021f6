"""`fleetcell broker-auth`: answers other brokers, by HTTP (RabbitMQ, EMQX) or by pipe (ejabberd)."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import parse_qsl

import structlog

from broker.credentials import CredentialStore
from broker.other_brokers import Judge
from fleetcell.pages import Page, serve_pages
from fleetcell.service import stop_event

if TYPE_CHECKING:
    import asyncio

    from fleetcell.settings import BrokerAuthSettings

log: Final = structlog.get_logger()

RABBITMQ: Final = ("user", "vhost", "resource", "topic")
EMQX: Final = ("authn", "authz")


def judge(settings: BrokerAuthSettings) -> Judge:
    """The judge over the settings' files."""
    return Judge(CredentialStore(settings.credentials_file, settings.credentials_key_file))


async def run(settings: BrokerAuthSettings) -> None:
    """Answer by HTTP until SIGTERM or SIGINT.

    Raises:
        OSError: the port is taken.
    """
    stop = stop_event()
    server = await serve(judge(settings), settings.auth_host, settings.auth_port)
    async with server:
        log.info("broker-auth", address="{}:{}".format(*server.sockets[0].getsockname()[:2]))
        await stop.wait()


async def serve(judge: Judge, host: str, port: int) -> asyncio.Server:
    """Answer POST /rabbitmq/{user,vhost,resource,topic} and /emqx/{authn,authz}; one request a connection.

    Raises:
        OSError: the port is taken.
    """

    def rabbitmq(question: str, body: bytes) -> Page:
        form = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        return Page(judge.rabbitmq(question, form).encode())

    def emqx(question: str, body: bytes) -> Page:
        return Page(judge.emqx(question, body), "application/json")

    answers = {f"/rabbitmq/{question}": functools.partial(rabbitmq, question) for question in RABBITMQ}
    answers |= {f"/emqx/{question}": functools.partial(emqx, question) for question in EMQX}
    return await serve_pages({}, host, port, answers)


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
