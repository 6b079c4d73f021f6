"""The brokers and the database of a `fleetcell up` on this machine, killed, stopped and let go on."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

import psutil

from fleetcell.contract.errors import ConfigError, FleetcellError
from fleetcell.layout import NotRunningError
from fleetcell.processes import service_process
from vehicle_sim.faults.schedule import DATABASE, OF_BROKERS, OF_THE_DATABASE

if TYPE_CHECKING:
    from pathlib import Path

    from fleetcell.layout import Layout
    from vehicle_sim.faults.schedule import Schedule


class Services:
    """The services that faults may hit.

    Args:
        layout: of the data directory.
        api_url: of the platform that the units speak to: not every one is that of the data directory.

    Attributes:
        brokers: the broker service of each region; none where the platform is not ours.
    """

    def __init__(self, layout: Layout, api_url: str) -> None:
        self._layout = layout
        self.brokers: dict[str, str] = {}
        self._is_local = False
        with contextlib.suppress(NotRunningError):
            up = layout.read_up_file()
            self._is_local = up.api_url.rstrip("/") == api_url.rstrip("/")
            if self._is_local:
                for region in up.regions or (up.region,):
                    self.brokers[region] = "broker" if region == up.region else f"broker-{region}"

    def check(self, schedule: Schedule, file: Path) -> None:
        """See that every service that the schedule hits runs here.

        Raises:
            ConfigError: one does not, with file and line.
        """
        for fault in schedule.faults:
            if fault.what not in OF_BROKERS | OF_THE_DATABASE:
                continue
            where = f"{file}:{fault.line}: {fault.what}"
            if not self._is_local:
                raise ConfigError(
                    f"{where} needs a `fleetcell up` on this machine, and none that the vehicles "
                    f"speak to runs on {self._layout.root}"
                )
            region = fault.who.region
            if fault.what in OF_BROKERS and region is not None and region not in self.brokers:
                raise ConfigError(f"{where}: no region {region!r}; there is {', '.join(self.brokers)}")
            for service in self._hit(fault.what in OF_BROKERS, region):
                if service_process(self._layout, service) is None:
                    raise ConfigError(
                        f"{where}: {service} is no process of the platform on {self._layout.root} "
                        f"(no {self._layout.pid_file(service)}); it may run elsewhere"
                    )

    def _hit(self, is_of_brokers: bool, region: str | None) -> list[str]:
        if not is_of_brokers:
            return [DATABASE]
        return list(self.brokers.values()) if region is None else [self.brokers[region]]

    def kill(self, service: str) -> None:
        """SIGKILL; its supervisor starts it again. Raises FleetcellError: it does not run, or is not ours."""
        self._send(self._process(service), signal.SIGKILL)

    def stop(self, service: str) -> list[psutil.Process]:
        """SIGSTOP to it and its children; gives them to `go_on`. Raises as `kill`."""
        process = self._process(service)
        self._send(process, signal.SIGSTOP)  # first, so that it makes no more children
        stopped = [process, *process.children(recursive=True)]
        for child in stopped[1:]:
            self._send(child, signal.SIGSTOP)
        return stopped

    def go_on(self, stopped: list[psutil.Process]) -> None:
        """SIGCONT to what `stop` has stopped, as far as it is there still."""
        for process in reversed(stopped):
            with contextlib.suppress(FleetcellError):
                self._send(process, signal.SIGCONT)

    def _process(self, service: str) -> psutil.Process:
        process = service_process(self._layout, service)
        if process is None:
            raise FleetcellError(f"{service} does not run at the moment")
        return process

    def _send(self, process: psutil.Process, number: signal.Signals) -> None:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            raise FleetcellError("it has just ended") from None
        except psutil.AccessDenied:
            raise FleetcellError(f"{number.name} is not allowed") from None
