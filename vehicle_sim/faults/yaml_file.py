"""Reads a schedule of faults. Whatever is wrong is one error with file and line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

import yaml

from fleetcell.contract.errors import ConfigError
from vehicle_sim.faults.schedule import (
    AT_ONCE,
    OF_BROKERS,
    OF_THE_DATABASE,
    ClockJump,
    Fault,
    Schedule,
    What,
    When,
    Who,
)
from vehicle_sim.mobility.device_clock import Jump
from vehicle_sim.mobility.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MOST_BYTES: Final = 1024 * 1024
_SHORTEST_EVERY_S: Final = 1.0
_LONGEST_JUMP_S: Final = 1000 * 8766 * 3600.0  # a thousand years: what a clock shows then still is a date
_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(?P<sign>[+-]?)(?P<number>[0-9]{1,12}(\.[0-9]{1,9})?)\s*(?P<unit>[a-zA-Z]*)")
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")

T = TypeVar("T")


def read(path: Path) -> Schedule:
    """The schedule in a file.

    Raises:
        ConfigError: the file cannot be read, is no YAML, or says something that makes no sense.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"--faults {path}: {error.strerror}") from None
    if len(content) > _MOST_BYTES:
        raise ConfigError(f"--faults {path}: larger than {_MOST_BYTES:,} bytes")
    return parse(content, str(path))


def parse(content: bytes, name: str) -> Schedule:
    """The schedule in a file's content; `name` is the file's, for errors. Raises as `read`."""
    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"{name}{line}: no YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{name}: no YAML: {str(error).splitlines()[0]}") from None
    if root is None:
        raise ConfigError(f"{name}: it is empty; see docs/faults.md for an example")
    fields = _Fields(name, root, "the file")
    seed = fields.take("seed", _whole)
    faults = fields.take("faults", _Reader(name).faults)
    fields.done()
    if faults is None:
        raise fields.error("say `faults:`, a list")
    return Schedule(faults, seed)


class _BadValueError(Exception):
    """A value that makes no sense, with the reason; the line is that of `node`."""

    def __init__(self, node: yaml.Node, reason: str) -> None:
        super().__init__(reason)
        self.node = node


class _Fields:
    """The keys of one mapping, taken one by one; a key that is left over is an error."""

    def __init__(self, name: str, node: yaml.Node, what: str) -> None:
        self._name = name
        self._node = node
        self._what = what
        self._left: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        self._known: list[str] = []
        if not isinstance(node, yaml.MappingNode):
            raise self.error(f"{what} has to be a mapping (key: value), not {_shown(node)}")
        for key, value in node.value:
            word = key.value if isinstance(key, yaml.ScalarNode) else ""
            if not word:
                raise self.error(f"a key is a word, not {_shown(key)}", key)
            if word in self._left:
                raise self.error(f"{word!r} stands twice", key)
            self._left[word] = (key, value)

    def take(self, key: str, parse: Callable[[yaml.Node], T]) -> T | None:
        """The value of a key, None where it is missing."""
        self._known.append(key)
        found = self._left.pop(key, None)
        if found is None:
            return None
        try:
            return parse(found[1])
        except _BadValueError as bad:
            raise self.error(f"{key}: {bad}", bad.node) from None

    def done(self) -> None:
        """All that is known was taken."""
        for word, (key, _) in self._left.items():
            raise self.error(f"{self._what} knows no {word!r}; it knows {', '.join(self._known)}", key)

    def error(self, reason: str, node: yaml.Node | None = None) -> ConfigError:
        """With file and line: of the node, or of this mapping."""
        line = (node or self._node).start_mark.line + 1
        return ConfigError(f"{self._name}:{line}: {reason}")


class _Reader:
    """Reads the faults of one file."""

    def __init__(self, name: str) -> None:
        self._name = name

    def faults(self, node: yaml.Node) -> tuple[Fault, ...]:
        """The list."""
        if not isinstance(node, yaml.SequenceNode):
            raise _BadValueError(node, f"a list (- what: ...), not {_shown(node)}")
        return tuple(self._fault(item) for item in node.value)

    def _fault(self, node: yaml.Node) -> Fault:
        fields = _Fields(self._name, node, "a fault")
        what = fields.take("what", _what)
        if what is None:
            raise fields.error(f"say `what`: one of {', '.join(What)}")
        who = fields.take("who", lambda value: self._who(value, what)) or Who()
        when = self._when(fields)
        lasts_s = fields.take("for", _positive)
        if (lasts_s is None) is not (what in AT_ONCE):
            at_once = "happens at once: leave out `for`"
            raise fields.error(f"{what} {at_once if lasts_s else 'needs `for`, as in `for: 30 s`'}")
        clock = self._clock(fields, what)
        fields.done()
        return Fault(what, when, who, lasts_s or 0.0, clock, node.start_mark.line + 1)

    def _who(self, node: yaml.Node, what: What) -> Who:
        if what in OF_THE_DATABASE:
            raise _BadValueError(node, f"there is one database: leave this out of {what}")
        fields = _Fields(self._name, node, f"`who` of {what}")
        region = fields.take("region", _text)
        if what in OF_BROKERS:
            fields.done()
            return Who(region=region)
        vehicles = fields.take("vehicles", _texts)
        share = fields.take("share", _share)
        kind = fields.take("kind", _kind)
        fields.done()
        return Who(vehicles or ("*",), 1.0 if share is None else share, kind, region)

    def _when(self, fields: _Fields) -> When:
        at_s = fields.take("at", _moments)
        every_s = fields.take("every", _period)
        after_s, until_s = fields.take("after", _duration), fields.take("until", _duration)
        jitter_s = fields.take("jitter", _duration) or 0.0
        if (at_s is None) is (every_s is None):
            raise fields.error("say when: either `at` or `every`, as in `at: 60 s`")
        if at_s is not None:
            if after_s is not None or until_s is not None:
                raise fields.error("`after` and `until` go with `every`, not with `at`")
            return When(at_s, jitter_s=jitter_s)
        after_s = every_s if after_s is None else after_s
        assert after_s is not None
        if until_s is not None and until_s <= after_s:
            raise fields.error(f"it never happens: `until` {until_s:g} s is not after {after_s:g} s")
        return When((), every_s, after_s, until_s, jitter_s)

    def _clock(self, fields: _Fields, what: What) -> ClockJump | None:
        by_s, to = fields.take("by", _jump_by), fields.take("to", _jump)
        if what is not What.CLOCK_JUMP:
            if by_s is not None or to is not None:
                raise fields.error(f"`by` and `to` are of clock-jump, not of {what}")
            return None
        if (by_s is None) is (to is None):
            raise fields.error(f"clock-jump: say either `by`, as in `by: +2 h`, or `to`: {', '.join(Jump)}")
        return ClockJump(by_s or 0.0, to)


# -- values ----------------------------------------------------------------------------------------


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value[:60])
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def _text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise _BadValueError(node, f"a text, not {_shown(node)}")
    return str(node.value)


def _texts(node: yaml.Node) -> tuple[str, ...]:
    return tuple(map(_text, _several(node)))


def _several(node: yaml.Node) -> list[yaml.Node]:
    """The items of a list; what is no list counts as one item."""
    if isinstance(node, yaml.SequenceNode):
        if not node.value:
            raise _BadValueError(node, "an empty list")
        return list(node.value)
    return [node]


def _what(node: yaml.Node) -> What:
    word = _text(node)
    if word not in tuple(What):
        raise _BadValueError(node, f"no fault {word!r}; there is {', '.join(What)}")
    return What(word)


def _kind(node: yaml.Node) -> str:
    word = _text(node)
    if word not in KINDS:
        raise _BadValueError(node, f"no kind {word!r}; there is {', '.join(KINDS)}")
    return word


def _jump(node: yaml.Node) -> str:
    word = _text(node)
    if word not in tuple(Jump):
        raise _BadValueError(node, f"no jump {word!r}; there is {', '.join(Jump)}")
    return word


def _share(node: yaml.Node) -> float:
    word = _text(node)
    if not _NUMBER.fullmatch(word) or not 0 < float(word) <= 1:
        raise _BadValueError(node, f"a share above 0 and at most 1, as in 0.25, not {_shown(node)}")
    return float(word)


def _whole(node: yaml.Node) -> int:
    word = _text(node)
    if not re.fullmatch(r"[0-9]{1,18}", word):
        raise _BadValueError(node, f"a whole number, not {_shown(node)}")
    return int(word)


def _signed(node: yaml.Node) -> float:
    """Seconds."""
    found = _DURATION.fullmatch(_text(node).strip())
    units = f"the units are {', '.join(_UNITS_S)}"
    if found is None:
        raise _BadValueError(node, f"a time with its unit, as in 30 s, not {_shown(node)}; {units}")
    if found["unit"] not in _UNITS_S:
        problem = f"no unit {found['unit']!r}" if found["unit"] else "the unit is missing"
        raise _BadValueError(node, f"{problem} in {_shown(node)}; {units}")
    seconds = float(found["number"]) * _UNITS_S[found["unit"]]
    return -seconds if found["sign"] == "-" else seconds


def _jump_by(node: yaml.Node) -> float:
    seconds = _signed(node)
    if abs(seconds) > _LONGEST_JUMP_S:
        raise _BadValueError(node, f"at most a thousand years (8766000 h), not {_shown(node)}")
    return seconds


def _duration(node: yaml.Node) -> float:
    seconds = _signed(node)
    if seconds < 0:
        raise _BadValueError(node, f"not below 0, as {_shown(node)} is")
    return seconds


def _positive(node: yaml.Node) -> float:
    seconds = _duration(node)
    if not seconds:
        raise _BadValueError(node, f"more than 0, not {_shown(node)}")
    return seconds


def _period(node: yaml.Node) -> float:
    seconds = _duration(node)
    if seconds < _SHORTEST_EVERY_S:
        raise _BadValueError(node, f"at least {_SHORTEST_EVERY_S:g} s, not {_shown(node)}")
    return seconds


def _moments(node: yaml.Node) -> tuple[float, ...]:
    return tuple(map(_duration, _several(node)))
