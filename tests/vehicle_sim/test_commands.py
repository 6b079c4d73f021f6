"""What a unit does with a command, and that it does it at most once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fleetcell.contract.commands import KNOWN, ConfigResult, LocateResult, Measured, PingResult, Refusal
from fleetcell.contract.messages import Command, PresenceState, Response, ResponseState
from vehicle_sim import command_book
from vehicle_sim.command_book import CommandBook, Config
from vehicle_sim.commands import Commands
from vehicle_sim.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
BOOT, NEXT_BOOT = "b" * 32, "c" * 32
PLACE = LocateResult(60.17, 24.94, NOON)


@dataclass
class Car:
    """A vehicle that writes down what its commands do, in order, answers included."""

    book: CommandBook
    epoch: int = 5
    shown: PresenceState | None = PresenceState.ONLINE
    will_sleep: bool = False
    signals: dict[str, Measured] = field(default_factory=dict)
    place: LocateResult | None = PLACE
    rate_hz: float | None = 1.0
    done: list[Any] = field(default_factory=list)

    def measured(self) -> Mapping[str, Measured]:
        return self.signals

    def about(self) -> PingResult:
        return PingResult(BOOT, 7, 12.5)

    def position(self) -> LocateResult | None:
        return self.place

    def in_force(self, config: Config) -> ConfigResult | None:
        if self.rate_hz is None:
            return None
        return ConfigResult(config.rate_hz or self.rate_hz, config.update_interval_s or 60)

    def configure(self, config: Config) -> None:
        assert self.book.config == config, "noted before it is done"
        self.done.append(config)

    def answer(self, response: Response) -> None:
        self.done.append(response)

    def sleep(self, seconds: float) -> None:
        assert self.book.unfinished, "noted before it is done"
        self.done.append(f"sleep {seconds:g}")

    def stay_awake(self) -> None:
        self.done.append("stay awake")

    def reboot(self) -> None:
        assert self.book.unfinished, "noted before it is done"
        self.done.append("reboot")

    def take_done(self) -> list[Any]:
        """What was done since the last time."""
        done, self.done = self.done, []
        return done


class Desk:
    """The commands of one car on one file, which may lose its power."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.power_up()

    def power_up(self) -> None:
        """Read the notes as a new process does."""
        self.book = CommandBook(self.path)
        self.book.open()
        self.car = Car(self.book)
        self.commands = Commands(self.book, self.car)

    def take(self, name: str, id_: str = "c1", now: datetime = NOON, **more: Any) -> list[Any]:
        """What a command brings about; `args` and the other fields by name."""
        fields: dict[str, Any] = {"epoch": self.car.epoch, "not_after": NOON + timedelta(minutes=5)} | more
        self.commands.take(Command(id_, name, **fields), now)
        return self.car.take_done()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "commands.log")
    yield made
    made.book.close()


def ok(result: Any, id_: str = "c1") -> Response:
    return Response(id_, ResponseState.SUCCEEDED, result)


def accepted(id_: str = "c1") -> Response:
    return Response(id_, ResponseState.ACCEPTED)


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("ping", {}, [ok({"boot": BOOT, "next_seq": 7, "uptime_s": 12.5})]),
        ("locate", {}, [ok({"lat": 60.17, "lon": 24.94, "at": "2026-06-01T12:00:00Z"})]),
        ("set_interval", {"seconds": 300}, [Config(update_interval_s=300), ok({"seconds": 300})]),
        ("lock", {}, [Config(locked=True), ok({"locked": True})]),
        ("unlock", {}, [Config(locked=False), ok({"locked": False})]),
        (
            "update_config",
            {"rate_hz": 5},
            [Config(rate_hz=5), ok({"rate_hz": 5, "update_interval_s": 60})],
        ),
        ("wake", {}, [ok({"called_off": False}), "stay awake"]),
        ("sleep", {"seconds": 30}, [accepted(), "sleep 30"]),
        ("reboot", {}, [accepted(), "reboot"]),
    ],
)
def test_each_command_is_done_and_answered_and_its_result_is_of_the_contract(
    desk: Desk, name: str, args: dict[str, Any], expected: list[Any]
) -> None:
    done = desk.take(name, args=args)
    assert done == expected
    for answer in done:
        if isinstance(answer, Response) and answer.state is ResponseState.SUCCEEDED:
            msgspec.convert(answer.result, KNOWN[name].result)


def test_every_command_of_the_contract_is_known_to_the_unit(desk: Desk) -> None:
    for name in KNOWN:
        args = {"sleep": {"seconds": 1}, "set_interval": {"seconds": 9}, "update_config": {"rate_hz": 1}}
        (answer, *_) = [
            done
            for done in desk.take(name, f"id-of-{name}", args=args.get(name, {}))
            if isinstance(done, Response)
        ]
        assert answer.state in (ResponseState.SUCCEEDED, ResponseState.ACCEPTED), answer


@pytest.mark.parametrize(
    ("name", "more", "state", "code", "said"),
    [
        ("ping", {"epoch": 4}, ResponseState.FAILED, Refusal.EPOCH, "epoch 4, this one is 5"),
        ("ping", {"epoch": 6}, ResponseState.FAILED, Refusal.EPOCH, "epoch 6, this one is 5"),
        (
            "ping",
            {"not_after": NOON - timedelta(seconds=2)},
            ResponseState.EXPIRED,
            Refusal.LATE,
            "2.0 s ago by the unit's clock",
        ),
        ("honk", {}, ResponseState.FAILED, Refusal.UNSUPPORTED, "no command 'honk'"),
        ("sleep", {}, ResponseState.FAILED, Refusal.ARGUMENTS, "seconds"),
        ("sleep", {"args": {"seconds": -1}}, ResponseState.FAILED, Refusal.ARGUMENTS, "seconds"),
        ("update_config", {"args": {}}, ResponseState.FAILED, Refusal.ARGUMENTS, "nothing to change"),
        (
            "update_config",
            {"args": {"rate_hz": 500}},
            ResponseState.FAILED,
            Refusal.ARGUMENTS,
            "500: at most 100",
        ),
        ("lock", {"require": {"speed": 0}}, ResponseState.FAILED, Refusal.REQUIRE, "speed is 31.5"),
        ("lock", {"require": {"gear": 0}}, ResponseState.FAILED, Refusal.REQUIRE, "gear is not known"),
        ("lock", {"require": {"soc": 50}}, ResponseState.FAILED, Refusal.REQUIRE, "40 s ago"),
        ("lock", {"require": {"state": "asleep"}}, ResponseState.FAILED, Refusal.REQUIRE, "state is online"),
    ],
)
def test_what_may_not_be_done_is_refused_with_the_reason(
    desk: Desk, name: str, more: dict[str, Any], state: ResponseState, code: Refusal, said: str
) -> None:
    desk.car.signals = {"speed": Measured(31.5, 0.4), "soc": Measured(50, 40.0)}
    (answer,) = desk.take(name, **more)
    assert (answer.state, answer.code) == (state, code)
    assert said in answer.error
    assert desk.book.config == Config()


def test_a_precondition_that_holds_is_no_obstacle(desk: Desk) -> None:
    desk.car.signals = {"speed": Measured(0.0, 0.4)}
    assert ok({"locked": True}) in desk.take("lock", require={"speed": {"max": 1}, "state": "online"})


def test_a_repeated_id_is_answered_with_the_outcome_that_was_kept(desk: Desk) -> None:
    first = desk.take("lock")
    desk.take("unlock", "c2")
    for _ in range(2):
        assert desk.take("lock") == [first[-1]], "answered, not done again"
    assert desk.take("lock", epoch=9, now=NOON + timedelta(hours=1)) == [first[-1]], "in whatever session"
    assert desk.book.config == Config(locked=False)
    desk.power_up()
    assert desk.take("lock") == [first[-1]]


def test_a_refused_id_stays_refused_when_it_could_be_done_later(desk: Desk) -> None:
    desk.car.signals = {"speed": Measured(31.5, 0.4)}
    refused = desk.take("lock", require={"speed": 0})
    desk.car.signals = {"speed": Measured(0.0, 0.4)}
    assert desk.take("lock", require={"speed": 0}) == refused
    late = desk.take("ping", "c2", now=NOON + timedelta(minutes=6))
    assert desk.take("ping", "c2", now=NOON) == late, "though the clock went back"


def test_an_id_that_came_for_another_session_may_come_again_for_this_one(desk: Desk) -> None:
    desk.take("lock", epoch=4)
    assert desk.take("lock", epoch=5)[-1] == ok({"locked": True})


def test_a_command_under_way_is_not_begun_again(desk: Desk) -> None:
    desk.take("sleep", args={"seconds": 30})
    assert desk.take("sleep", args={"seconds": 30}) == [accepted()]
    wake_at = NOON + timedelta(seconds=30)
    desk.commands.slept(wake_at, NOON)
    slept = ok({"wake_at": "2026-06-01T12:00:30Z"})
    assert desk.car.take_done() == [slept]
    assert desk.take("sleep", args={"seconds": 30}) == [slept]


def test_a_sleep_that_was_called_off_has_failed_for_that_reason(desk: Desk) -> None:
    desk.take("sleep", args={"seconds": 30})
    desk.commands.not_done("sleep", "it was woken", NOON)
    (answer,) = desk.car.take_done()
    assert (answer.state, answer.error) == (ResponseState.FAILED, "it was woken")
    assert desk.take("sleep", args={"seconds": 30}) == [answer]


def test_a_reboot_has_succeeded_when_the_next_boot_begins(desk: Desk) -> None:
    desk.take("reboot")
    desk.power_up()
    assert desk.take("reboot") == [accepted()], "it did not begin yet, for all this one knows"
    desk.commands.powered_up(NEXT_BOOT, NOON)
    rebooted = ok({"boot": NEXT_BOOT, "previous": BOOT})
    assert desk.car.take_done() == [rebooted]
    assert desk.take("reboot") == [rebooted]
    desk.commands.powered_up("d" * 32, NOON)
    assert desk.car.take_done() == [], "told once"


def test_a_sleep_that_the_power_was_lost_in_is_not_known_to_have_been(desk: Desk) -> None:
    desk.take("sleep", args={"seconds": 30})
    desk.power_up()
    desk.commands.powered_up(NEXT_BOOT, NOON)
    (answer,) = desk.car.take_done()
    assert (answer.state, answer.code) == (ResponseState.FAILED, Refusal.INTERRUPTED)
    assert desk.take("sleep", args={"seconds": 30}) == [answer]


def test_what_was_configured_goes_on_after_a_restart_each_part_for_itself(desk: Desk) -> None:
    desk.take("set_interval", "c1", args={"seconds": 300})
    desk.take("update_config", "c2", args={"rate_hz": 5})
    desk.take("lock", "c3")
    desk.power_up()
    assert desk.book.config == Config(update_interval_s=300, rate_hz=5, locked=True)


def test_a_recording_has_no_rate_to_be_configured(desk: Desk) -> None:
    desk.car.rate_hz = None
    (answer,) = desk.take("update_config", args={"rate_hz": 5})
    assert (answer.state, answer.code) == (ResponseState.FAILED, Refusal.UNSUPPORTED)


def test_a_place_that_is_not_known_is_not_made_up(desk: Desk) -> None:
    desk.car.place = None
    (answer,) = desk.take("locate")
    assert answer.state is ResponseState.FAILED
    assert "no position" in answer.error


@pytest.mark.parametrize("name", ["lock", "reboot"])
def test_what_cannot_be_noted_is_not_done(desk: Desk, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.take("ping", "c0")
    with monkeypatch.context() as disk:
        disk.setattr(Journal, "_write", _no_space)
        (answer,) = desk.take(name)
    assert answer.state is ResponseState.FAILED
    assert "No space left" in answer.error
    assert len(desk.take(name)) == 2, "it was not done, so it may come again"


def _no_space(log: Journal, data: memoryview) -> None:
    raise OSError(28, "No space left on device")


def test_a_flood_of_commands_is_refused_before_one_is_forgotten(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_book, "KEPT", 4)
    monkeypatch.setattr(command_book, "MAX_NOTES", 8)
    states = [desk.take("ping", f"c{number}")[0].state for number in range(10)]
    assert states == [ResponseState.SUCCEEDED] * 8 + [ResponseState.FAILED] * 2
    later = NOON + timedelta(minutes=6)
    (answer,) = desk.take("ping", "c11", now=later, not_after=later)
    assert answer.state is ResponseState.SUCCEEDED


def test_a_unit_that_is_killed_at_any_byte_of_its_notes_does_a_command_at_most_once(desk: Desk) -> None:
    """What a unit did, it had noted whole before: of every prefix of the file, it repeats none of that."""
    path, done_at = desk.path, []
    names = ["lock", "reboot", "set_interval"]
    for number, name in enumerate(names):
        desk.take(name, f"c{number}", args={"seconds": 9} if name == "set_interval" else {})
        done_at.append(path.stat().st_size)
    content = path.read_bytes()
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        desk.book.close()
        desk.power_up()
        desk.commands.powered_up(NEXT_BOOT, NOON)
        desk.car.take_done()
        for number, (name, size) in enumerate(zip(names, done_at, strict=True)):
            again = desk.take(name, f"c{number}", args={"seconds": 9} if name == "set_interval" else {})
            acted = [done for done in again if not isinstance(done, Response)]
            assert bool(acted) == (cut < size), (cut, name)
