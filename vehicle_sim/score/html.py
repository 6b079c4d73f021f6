"""The score as one HTML page with plots in it, that needs nothing else. Needs the extra `report`."""

from __future__ import annotations

import html
import importlib.util
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from fleetcell.contract.errors import ConfigError
from vehicle_sim.score.presence import State
from vehicle_sim.score.rows import rows
from vehicle_sim.truth.records import Change, Reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vehicle_sim.score.report import Claims, Report
    from vehicle_sim.truth.records import Happened, Run

_BLUE, _ORANGE, _GREEN, _RED = "#2563a8", "#d97706", "#3d8b40", "#b3261e"
_SIZE: Final = (7.2, 2.8)  # inches
_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1c1c1c }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } td { padding: .15rem 1rem .15rem 0; vertical-align: top }
td:first-child { white-space: pre } td:last-child { font-variant-numeric: tabular-nums }
figure { margin: 1.5rem 0 } figure svg { max-width: 100%; height: auto } figcaption { color: #555 }
.good { color: #2c6e2f } .bad { color: #b3261e }
"""

Plot = tuple[str, "Callable[[Any], None]"]  # what is said below it, and what draws it on axes


def check() -> None:
    """Raises ConfigError, saying what to install, where the extra is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("--html needs matplotlib: pip install 'fleetcell[report]'")


def page(report: Report, run: Run, happened: Sequence[Happened], claims: Claims) -> str:
    """The page.

    Raises:
        ConfigError: the extra is missing.
    """
    check()
    began = datetime.fromtimestamp(run.began_at, UTC)
    verdict = (
        '<p class="good">Every reading is stored once, or it is explained why not.</p>'
        if report.faultless
        else '<p class="bad">Readings are lost, stored twice, altered or unexplained.</p>'
    )
    table = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in rows(report)
    )
    figures = "".join(
        f"<figure>{_svg(draw)}<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, draw in _plots(report, run, happened, claims)
    )
    title = f"{report.vehicles:,} vehicles on {report.link}, {began:%Y-%m-%d %H:%M} UTC"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{html.escape(title)}</h1><p>{report.duration_s:,.0f} s, seed {report.seed}, "
        f"against {html.escape(run.api_url)}</p>{verdict}<table>{table}</table>{figures}</body></html>\n"
    )


def _plots(report: Report, run: Run, happened: Sequence[Happened], claims: Claims) -> Iterable[Plot]:
    if claims.shown and any(isinstance(one, Change) for one in happened):
        yield (
            "Vehicles that could be reached, and that were shown online.",
            lambda axes: _reach(axes, run, happened, claims),
        )
    if report.position.over_time:
        yield "How far the live view shows vehicles from where they are.", lambda axes: _errors(axes, report)
    if report.position.by_age:
        yield "The same, by the age of the position that is shown.", lambda axes: _by_age(axes, report)
    if report.presence.delays:
        yield "How long until it is shown what happened to a vehicle.", lambda axes: _delays(axes, report)
    if report.up.total or report.down.total:
        yield "Bytes by layer, for each reading that is stored.", lambda axes: _layers(axes, report)


def _svg(draw: Callable[[Any], None]) -> str:
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra; without pyplot, which keeps figures

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()[out.getvalue().index("<svg") :]


def _reach(axes: Any, run: Run, happened: Sequence[Happened], claims: Claims) -> None:
    true = [
        (one.at, one.vehicle, one.reach is Reach.REACHABLE) for one in happened if isinstance(one, Change)
    ]
    seen = [
        (change.at, vehicle, change.state is State.ONLINE)
        for vehicle, changes in claims.shown.items()
        for change in changes
    ]
    for steps, label, colour in ((true, "reachable", _GREEN), (seen, "shown online", _BLUE)):
        at, counts = _count(steps, run.began_at, run.ended_at or claims.asked_at)
        axes.step(at, counts, where="post", label=label, color=colour, linewidth=1.3)
    axes.set_xlabel("time, s")
    axes.set_ylabel("vehicles")
    axes.set_ylim(bottom=0)
    axes.legend()


def _count(
    steps: Iterable[tuple[float, str, bool]], began: float, ended: float
) -> tuple[list[float], list[int]]:
    """How many vehicles are so, from the beginning to the end of the run, seconds."""
    now: set[str] = set()
    at, counts = [0.0], [0]
    for when, vehicle, is_so in sorted(steps):
        (now.add if is_so else now.discard)(vehicle)
        if when <= began:
            counts[0] = len(now)
        elif when <= ended:
            at.append(when - began)
            counts.append(len(now))
    return [*at, ended - began], [*counts, counts[-1]]


def _errors(axes: Any, report: Report) -> None:
    at, p50, p95, _ = zip(*report.position.over_time, strict=True)
    axes.plot(at, p95, label="95th percentile", color=_ORANGE)
    axes.plot(at, p50, label="median", color=_BLUE)
    axes.set_xlabel("time, s")
    axes.set_ylabel("m")
    axes.set_ylim(bottom=0)
    axes.legend()


def _by_age(axes: Any, report: Report) -> None:
    ages = report.position.by_age
    places = range(len(ages))
    axes.bar([place - 0.2 for place in places], [found.p50_m for found in ages.values()], 0.4, color=_BLUE,
             label="median")  # fmt: skip
    axes.bar([place + 0.2 for place in places], [found.p95_m for found in ages.values()], 0.4, color=_ORANGE,
             label="95th percentile")  # fmt: skip
    axes.set_xticks(list(places), list(ages))
    axes.set_ylabel("m")
    axes.legend()


def _delays(axes: Any, report: Report) -> None:
    found = [(kind, one.delay_s) for kind, one in report.presence.delays.items() if one.delay_s is not None]
    for place, (_, delay) in enumerate(found):
        axes.plot([delay.p50, delay.max], [place, place], color=_BLUE, alpha=0.4)
        axes.plot(delay.p50, place, "o", color=_BLUE, label="median" if not place else None)
        axes.plot(delay.p95, place, "|", color=_ORANGE, markersize=12,
                  label="95th percentile" if not place else None)  # fmt: skip
        axes.plot(delay.max, place, "x", color=_RED, label="longest" if not place else None)
    axes.set_yticks(range(len(found)), [kind for kind, _ in found])
    axes.set_xlabel("s")
    if found:
        axes.legend()


def _layers(axes: Any, report: Report) -> None:
    stored = max(1, report.readings.stored)
    left = [0.0, 0.0]
    layers = ("payload", "mqtt", "websocket", "tcp_ip")
    for layer, colour in zip(layers, (_BLUE, _GREEN, _ORANGE, _RED), strict=True):
        each = [getattr(way, layer) / stored for way in (report.up, report.down)]
        axes.barh(["up", "down"], each, left=left, label=layer.replace("tcp_ip", "TCP/IP"), color=colour)
        left = [a + b for a, b in zip(left, each, strict=True)]
    axes.set_xlabel("bytes a reading")
    axes.legend()
