"""Schedules of faults as files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.errors import ConfigError
from vehicle_sim.faults.schedule import ClockJump, Fault, Schedule, What, When, Who
from vehicle_sim.faults.yaml_file import parse, read

EXAMPLE = Path(__file__).parents[3] / "docs" / "faults.example.yaml"


def wrong(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        parse(text.encode(), "faults.yaml")
    return str(raised.value)


def one(text: str) -> Fault:
    (fault,) = parse(f"faults:\n  - {{{text}}}\n".encode(), "faults.yaml").faults
    return fault


def test_all_that_can_be_said() -> None:
    content = b"""
seed: 7
faults:
  - what: power-loss
    who: {vehicles: [taxi-*, car-0002], share: 0.25, kind: taxi, region: helsinki}
    every: 2 min
    after: 90s
    until: 1.5 h
    jitter: 500 ms
    for: 10 s
  - {what: broker-kill, who: {region: espoo}, at: [1 min, 30 s]}
"""
    assert parse(content, "f") == Schedule(
        (
            Fault(
                What.POWER_LOSS,
                When((), 120.0, 90.0, 5400.0, 0.5),
                Who(("taxi-*", "car-0002"), 0.25, "taxi", "helsinki"),
                10.0,
            ),
            Fault(What.BROKER_KILL, When((60.0, 30.0)), Who(region="espoo")),
        ),
        7,
    )


def test_what_is_left_out() -> None:
    assert one("what: reset, at: 0 s").who == Who()
    assert one("what: reset, every: 20 s").when == When((), 20.0, 20.0)
    assert one("what: clock-jump, by: -2 h, for: 5 s, at: 1 s").clock == ClockJump(-7200.0)
    assert one("what: clock-jump, to: 1970, for: 5 s, at: 1 s").clock == ClockJump(0.0, "1970")
    assert parse(b"faults: []", "f") == Schedule()


def test_faults_know_their_lines() -> None:
    found = parse(b"faults:\n  - what: reset\n    at: 1 s\n\n  - {what: reset, at: 2 s}\n", "f").faults
    assert [fault.line for fault in found] == [2, 5]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "faults.yaml: it is empty"),
        ("faults:\n  - [", "faults.yaml:2: no YAML"),
        ("faults: \x00", "faults.yaml: no YAML"),
        ("- 1", "faults.yaml:1: the file has to be a mapping"),
        ("seed: 1", "faults.yaml:1: say `faults:`"),
        ("faults: 3", "faults.yaml:1: faults: a list"),
        ("faults: []\nseeds: 3", "faults.yaml:2: the file knows no 'seeds'; it knows seed, faults"),
        ("faults: []\nfaults: []", "faults.yaml:2: 'faults' stands twice"),
        ("faults: []\nseed: -1", "faults.yaml:2: seed: a whole number, not '-1'"),
        ("faults: []\nseed: " + "9" * 5000, "a whole number"),
        ("faults:\n  - 3", "faults.yaml:2: a fault has to be a mapping"),
        ("faults:\n  - {}", "faults.yaml:2: say `what`"),
        ("faults:\n  - {[a]: 1}", "faults.yaml:2: a key is a word, not a list"),
        ("faults: &a\n  - *a", "faults.yaml:1: a fault has to be a mapping"),
    ],
)
def test_a_bad_file_is_told_with_its_line(text: str, says: str) -> None:
    assert says in wrong(text)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("what: explode, at: 1 s", "what: no fault 'explode'; there is kill, power-loss"),
        ("what: [kill], at: 1 s", "what: a text, not a list"),
        ("what: kill, at: 1 s", "kill needs `for`"),
        ("what: kill, at: 1 s, for: 0 s", "for: more than 0, not '0 s'"),
        ("what: reset, at: 1 s, for: 3 s", "reset happens at once"),
        ("what: reset", "either `at` or `every`"),
        ("what: reset, at: 1 s, every: 2 s", "either `at` or `every`"),
        ("what: reset, at: 1 s, after: 2 s", "`after` and `until` go with `every`"),
        ("what: reset, at: 1", "at: the unit is missing in '1'; the units are ms, s, min, h"),
        ("what: reset, at: 1 fortnight", "at: no unit 'fortnight'"),
        ("what: reset, at: soon", "at: a time with its unit, as in 30 s, not 'soon'"),
        ("what: reset, at: []", "at: an empty list"),
        ("what: reset, at: -1 s", "at: not below 0"),
        ("what: reset, at: {a: 1}", "at: a text, not a mapping"),
        ("what: reset, every: 10 ms", "every: at least 1 s"),
        ("what: reset, every: 10 s, until: 5 s", "it never happens"),
        ("what: reset, every: 10 s, jitter: 1 kg", "jitter: no unit 'kg'"),
        ("what: reset, at: 1 s, who: car-1", "`who` of reset has to be a mapping"),
        ("what: reset, at: 1 s, who: {share: 1.5}", "share: a share above 0 and at most 1"),
        ("what: reset, at: 1 s, who: {share: 0}", "share: a share above 0"),
        ("what: reset, at: 1 s, who: {share: nan}", "share: a share above 0"),
        ("what: reset, at: 1 s, who: {kind: boat}", "kind: no kind 'boat'; there is car, taxi, van, truck"),
        ("what: reset, at: 1 s, who: {name: x}", "knows no 'name'; it knows region, vehicles, share, kind"),
        ("what: reset, at: 1 s, where: x", "a fault knows no 'where'"),
        ("what: broker-kill, at: 1 s, who: {share: 1}", "knows no 'share'; it knows region"),
        ("what: database-kill, at: 1 s, who: {region: x}", "there is one database"),
        ("what: clock-jump, at: 1 s, for: 3 s", "say either `by`"),
        ("what: clock-jump, at: 1 s, for: 3 s, by: 3", "by: the unit is missing"),
        ("what: clock-jump, at: 1 s, for: 3 s, by: -8766001 h", "by: at most a thousand years"),
        ("what: clock-jump, at: 1 s, for: 3 s, to: 1971", "to: no jump '1971'; there is 1970, rollover"),
        ("what: clock-jump, at: 1 s, for: 3 s, to: 1970, by: 1 s", "say either `by`"),
        ("what: reset, at: 1 s, by: 3 s", "`by` and `to` are of clock-jump"),
    ],
)
def test_a_bad_fault_is_told_with_its_line(fault: str, says: str) -> None:
    message = wrong(f"# a comment\nfaults:\n  - {{{fault}}}\n")
    assert message.startswith("faults.yaml:3: ")
    assert says in message


@given(st.binary(max_size=80) | st.text(alphabet="{}[]:,- \n&*!what ks1", max_size=60).map(str.encode))
def test_any_content_is_a_schedule_or_one_clear_error(content: bytes) -> None:
    problem = ""
    try:
        parse(content, "faults.yaml")
    except ConfigError as error:
        problem = str(error)
    assert not problem or re.fullmatch(r"faults\.yaml(:\d+)?: .+", problem)


def test_deep_nesting_is_an_error() -> None:
    assert "no YAML" in wrong("[" * 100_000)


def test_a_file_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read(tmp_path / "missing.yaml")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 2**20 + b"#")
    with pytest.raises(ConfigError, match="larger than"):
        read(large)


def test_the_example_of_the_documents_has_every_fault() -> None:
    assert {fault.what for fault in read(EXAMPLE).faults} == set(What)
