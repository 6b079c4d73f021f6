"""A real Mosquitto broker for tests: start, stop for a while, kill, start again on the same ports."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

HOW_TO_GET = "needs Mosquitto: apt-get install mosquitto"


class Mosquitto:
    """One broker process; its log (all types) is at `log_file`.

    Args:
        directory: for its configuration and log; created.
        mqtt_port, ws_port: on 127.0.0.1.
        tls: (certificate chain, key) PEM files; then both listeners speak TLS.
        password_file: then anonymous clients are refused.
        extra: more lines of mosquitto.conf.
    """

    def __init__(
        self,
        directory: Path,
        *,
        mqtt_port: int,
        ws_port: int,
        tls: tuple[Path, Path] | None = None,
        password_file: Path | None = None,
        extra: str = "",
    ) -> None:
        self.directory = directory
        self.mqtt_port = mqtt_port
        self.ws_port = ws_port
        self.log_file = directory / "mosquitto.log"
        self._tls = tls
        self._password_file = password_file
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def mqtt_url(self) -> str:
        return f"mqtt{'s' if self._tls else ''}://localhost:{self.mqtt_port}"

    @property
    def ws_url(self) -> str:
        return f"ws{'s' if self._tls else ''}://localhost:{self.ws_port}/mqtt"

    def start(self) -> None:
        """Returns when the broker listens; skips the test where Mosquitto is missing."""
        program = find_program("mosquitto")
        if program is None:
            pytest.skip(HOW_TO_GET)
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "mosquitto.conf"
        config.write_text(self._config())
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen([program, "-c", config], stdout=log, stderr=log)
        while not (_listens(self.mqtt_port) and _listens(self.ws_port)):
            if self._process.poll() is not None:
                raise RuntimeError(f"mosquitto did not start: {self.log_file.read_text(errors='replace')}")
            time.sleep(0.005)

    def kill(self) -> None:
        """SIGKILL: no DISCONNECT, no wills; retained messages are gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """The broker keeps its connections open and says nothing more."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            os.kill(self._process.pid, number)

    def _config(self) -> str:
        tls = "" if self._tls is None else f"certfile {self._tls[0]}\nkeyfile {self._tls[1]}\n"
        access = "allow_anonymous true\n"
        if self._password_file is not None:
            access = f"allow_anonymous false\npassword_file {self._password_file}\n"
        return (
            f"user {getpass.getuser()}\n"  # as root it would become another user, who cannot read the files
            "per_listener_settings false\nlog_type all\nmax_queued_messages 0\npersistence false\n"
            + access
            + self._extra
            + f"listener {self.mqtt_port} 127.0.0.1\n{tls}"
            + f"listener {self.ws_port} 127.0.0.1\nprotocol websockets\n{tls}"
        )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def find_program(name: str) -> str | None:
    """Its path; Debian keeps servers in sbin, which is not on everybody's PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
