"""The examples of docs/api.md work."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from tests.dashboard.conftest import Running

DOC = Path(__file__).parents[2] / "docs" / "api.md"


def curls() -> list[list[str]]:
    """The arguments of each curl command."""
    blocks = re.findall(r"```sh\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.startswith("curl ")]


async def test_the_examples_work(running: Running) -> None:
    await running.fleet.add("car-0001")
    await running.fleet.presence("car-0001")
    await running.fleet.read(
        "car-0001", [{"time": datetime.now(UTC), "lat": 60.17, "lon": 24.94, "speed": 3.0}]
    )
    commands = curls()
    assert len(commands) > 14
    for command in commands:
        assert command[command.index("-H") + 1] == "Authorization: Bearer $KEY"
        (address,) = [word for word in command if word.startswith("$URL")]
        path = address.removeprefix("$URL")
        if urlsplit(path).path.endswith("/sse"):
            async with running.api.stream("GET", path) as stream:
                assert stream.status_code == 200
            continue
        body = json.loads(command[command.index("-d") + 1]) if "-d" in command else None
        told = command[command.index("-X") + 1] if "-X" in command else None
        method = told or ("GET" if body is None else "POST")  # as curl does
        answer = await running.api.request(method, path, json=body)
        assert answer.is_success, (command, answer.text)


def test_frames_and_shapes_are_json() -> None:
    blocks = re.findall(r"```json\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    kinds = [json.loads(line)["type"] for block in blocks for line in block.splitlines()]
    assert kinds == ["snapshot", "presence", "positions", "time"]
