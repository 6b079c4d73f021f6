"""The composition root of the simulator: what `sim run` and `sim replay` start."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fleetcell.contract.topics import check_name
from fleetcell.layout import Layout
from fleetcell.mqtt import TlsOptions
from fleetcell.service import stop_event
from vehicle_sim.delivery import DeliveryPolicy
from vehicle_sim.faults import Schedule, read
from vehicle_sim.faults.clocks import Clocks
from vehicle_sim.faults.runner import FaultRunner
from vehicle_sim.faults.services import Services
from vehicle_sim.fleet import Fleet
from vehicle_sim.gateway_link import LinkOptions
from vehicle_sim.links import PERFECT, check_profile, load
from vehicle_sim.provisioning import Accounts, Platform, find_platform
from vehicle_sim.replay import ReplayOptions, replay
from vehicle_sim.run import RunOptions, run, sleepers, vehicle_names
from vehicle_sim.score.scoring import Scored, ScoreError, judge
from vehicle_sim.tasks import StoppedError, unless
from vehicle_sim.truth.recorder import Recorder
from vehicle_sim.unit import PresencePolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from vehicle_sim.faults import Happened
    from vehicle_sim.links import Links
    from vehicle_sim.roads import Road
    from vehicle_sim.tally import Score

__all__ = ["ReplayOptions", "RunOptions", "run_replay", "run_simulation"]

_SEED_BITS: Final = 32
_STARTLED_EVERY_S: Final = 1800.0  # of driving: harsh braking for a reason
_REPLAY_PRESENCE: Final = PresencePolicy(stop_wait_s=20)  # a broker that is restarting hears the detach too
_REPLAY_DELIVERY: Final = DeliveryPolicy(batch_samples=200, retry_first_s=10)  # much at once takes longer


async def run_simulation(options: RunOptions) -> Score:
    """`sim run`: ends after the duration, or cleanly on SIGTERM and SIGINT.

    Raises:
        FleetcellError: no platform, a refused flag, a broken road network; the message says what to do.
    """
    from vehicle_sim import roads  # noqa: PLC0415 - the road network is not needed for a replay
    from vehicle_sim.mobility import (  # noqa: PLC0415 - likewise
        ALWAYS_OUT,
        ERRANDS,
        FAULTY_CLOCKS,
        Drive,
        GnssErrors,
        Traffic,
        kind_of,
    )
    from vehicle_sim.v2x.run import speaking  # noqa: PLC0415 - likewise

    options.check()
    platform = _platform(options)
    stopped = stop_event()
    seed = options.seed if options.seed is not None else secrets.randbits(_SEED_BITS)
    network = await asyncio.to_thread(roads.load, options.roads)
    schedule = Schedule() if options.faults is None else read(options.faults)
    services = Services(Layout(options.data_dir.expanduser().absolute()), platform.api_url)
    if options.faults is not None:
        services.check(schedule, options.faults)
    cellular = await _cellular(options.link, seed, network.roads, needed=schedule.needs_links)
    presence, truth = PresencePolicy(), None
    if options.score:
        truth = _recorder(options, platform, presence, "run", seed, options.rate_hz)
    fleet = _fleet(
        options, platform, presence, DeliveryPolicy(), seed, options.rate_hz, cellular=cellular, truth=truth
    )
    try:
        fleet.claim_free(vehicle_names(), options.vehicles)
        await unless(stopped, fleet.provision())
        parking = sleepers(fleet.units, options.sleepers)
        usual = ALWAYS_OUT if options.start_hour is None else None  # with a time of day, that of the kind
        traffic = await asyncio.to_thread(
            Traffic, network, seed, options.start_hour, startled_every_s=_STARTLED_EVERY_S
        )
        drives = {
            vehicle: Drive(
                network,
                f"{seed}:{vehicle}",
                habit=ERRANDS if vehicle in parking else usual,
                kind=kind_of(vehicle),
                traffic=traffic,
                gnss=GnssErrors() if options.gnss_errors else None,
                clock=FAULTY_CLOCKS if options.clock_errors else None,
                # The whole fleet is online first: who begins in a tunnel may stay there for minutes.
                may_begin=None if cellular is None else cellular.covers,
            )
            for vehicle in fleet.units
        }
        clocks = Clocks()
        faults = FaultRunner(schedule, seed, fleet, clocks, services, on_fault=_noting(fleet))
        async with _recording(fleet), speaking(fleet, drives, options.v2x, seed) as said:
            result = await run(fleet, drives, options, stopped, seed, clocks, faults)
        if said is not None:
            result = replace(result, v2x=said.to_dict())
        return await _scored(result, fleet, platform, stopped, progress=options.progress)
    finally:
        fleet.release()


async def run_replay(options: ReplayOptions) -> Score:
    """`sim replay`: ends when every reading is acknowledged, or cleanly on SIGTERM and SIGINT.

    Raises:
        TraceError: a file is cut off or malformed; nothing of any file was sent.
        FleetcellError: no platform, a refused flag, a vehicle that another simulator drives.
    """
    from vehicle_sim.readers import open_traces  # noqa: PLC0415 - the readers are not needed for a run

    options.check()
    check_profile(options.link)
    stopped = stop_event()
    traces = await unless(stopped, asyncio.to_thread(open_traces, options.files))
    platform = _platform(options)
    seed = options.seed if options.seed is not None else secrets.randbits(_SEED_BITS)
    cellular = await _cellular(options.link, seed)
    truth = _recorder(options, platform, _REPLAY_PRESENCE, "replay", seed) if options.score else None
    fleet = _fleet(
        options, platform, _REPLAY_PRESENCE, _REPLAY_DELIVERY, seed, cellular=cellular, truth=truth
    )
    try:
        fleet.claim_all([trace.vehicle for trace in traces])
        await unless(stopped, fleet.provision())
        async with _recording(fleet):
            result = await replay(fleet, traces, options, stopped)
        return await _scored(result, fleet, platform, stopped, progress=options.progress)
    finally:
        fleet.release()


async def run_scoring(folder: Path, api_url: str, api_key: str, *, progress: bool = False) -> Scored:
    """`sim score`: the record of a run against what a platform says now.

    Raises:
        TruthError: no such record, or a damaged one.
        ScoreError: the platform could not be asked.
        StoppedError: stopped before it had said all.
    """
    return await unless(stop_event(), judge(folder, api_url, api_key, progress=progress))


@contextlib.asynccontextmanager
async def _recording(fleet: Fleet) -> AsyncIterator[None]:
    """Record what really happens while the block runs, where that is wanted."""
    if fleet.truth is None:
        yield
    else:
        async with fleet.truth.recording(fleet.units):
            yield


async def _scored(
    result: Score, fleet: Fleet, platform: Platform, stopped: asyncio.Event, *, progress: bool
) -> Score:
    """Compare what was recorded with what the platform says; the record is kept where that fails."""
    if fleet.truth is None:
        return result
    folder = fleet.truth.folder
    stopped.clear()  # who stopped the run wants its score; stopping again is to do without
    judging = judge(folder, platform.api_url, platform.api_key, progress=progress)
    try:
        found = await unless(stopped, judging)
    except (ScoreError, StoppedError) as error:
        why = f"{str(error) or 'stopped'}; the record is kept: fleetcell sim score {folder}"
        return replace(result, truth=str(folder), problem="; ".join(filter(None, (result.problem, why))))
    return replace(result, truth=str(folder), scored=found)


def _noting(fleet: Fleet) -> Callable[[Happened], None]:
    """Tells the record of faults, and has it look at once what they did to a unit."""

    def note(happened: Happened) -> None:
        if fleet.truth is not None and not happened.over:
            fleet.truth.fault(happened.subject, happened.what)
        if happened.subject in fleet.units:
            fleet.units[happened.subject].look()

    return note


def _recorder(
    options: RunOptions | ReplayOptions,
    platform: Platform,
    presence: PresencePolicy,
    kind: str,
    seed: int,
    rate_hz: float | None = None,
) -> Recorder:
    folder = options.data_dir.expanduser().absolute() / "sim" / "truth"
    return Recorder(folder, platform, presence, kind=kind, link=options.link, seed=seed, rate_hz=rate_hz)


def _platform(options: RunOptions | ReplayOptions) -> Platform:
    check_profile(options.link)
    if options.region is not None:
        check_name(options.region, "--region")
    return find_platform(
        options.data_dir,
        api_url=options.api_url,
        api_key=options.api_key,
        broker_url=options.broker_url,
        region=options.region,
    )


def _fleet(
    options: RunOptions | ReplayOptions,
    platform: Platform,
    presence: PresencePolicy,
    delivery: DeliveryPolicy,
    seed: int,
    rate_hz: float | None = None,
    *,
    cellular: Links | None = None,
    truth: Recorder | None = None,
) -> Fleet:
    directory = options.data_dir.expanduser().absolute() / "sim"
    link = LinkOptions(
        broker_url=platform.broker_url,
        region=platform.region,
        directory=platform.directory,
        roams=not platform.named,
        tls=TlsOptions(ca_file=options.broker_ca_file),
        presence=presence,
        delivery=delivery,
    )
    accounts = Accounts(directory / "units.json", platform)
    return Fleet(directory / "units", accounts, link, seed, rate_hz, cellular, truth)


async def _cellular(
    profile: str, seed: int, roads: Iterable[Road] = (), *, needed: bool = False
) -> Links | None:
    """The links of a profile; none for the perfect one, whose units need nothing between but for faults."""
    if profile == PERFECT and not needed:
        return None
    return await asyncio.to_thread(load, profile, seed, roads)
