"""Every behaviour on every broker: ours does all of it, and of the others docs/broker.md says what they do.

After an intended change: `python -m tests.conformance --write`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker_servers import STARTERS, Server
from tests.conformance.behaviours import BEHAVIOURS
from tests.conformance.brokers import OURS, address, embedded, title
from tests.conformance.measure import BEGIN, END, YES, documented, measure, table

# Without these fleetcell cannot work on a broker; in versions other than the documented ones only they count.
NEEDED = (
    "basic:",
    "retained: sent to a new subscriber by name",
    "unsubscribe:",
    "take-over: the older",
    "will: published",
)


async def test_ours_does_it_all(tmp_path: Path) -> None:
    with embedded(tmp_path) as broker:
        found = await measure(broker)
    assert {name: what for name, what in found.items() if what != YES} == {}
    assert documented()[OURS] == found


@pytest.mark.integration
@pytest.mark.timeout(600)  # where all is tried twice
@pytest.mark.parametrize("name", STARTERS)
async def test_the_others_do_what_the_table_says(name: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(f"{name}_server")
    broker = address(server)
    known = documented().get(title(broker))
    found = await measure(broker, known or {})
    for behaviour, what in found.items():
        if behaviour.startswith(NEEDED):
            assert what == YES, f"{behaviour}: {what}"
    if known is not None:
        assert found == known, "run `python -m tests.conformance --write` where the change is intended"


def test_the_table_is_read_as_it_was_written() -> None:
    columns = {"a": dict.fromkeys(BEHAVIOURS, YES), "b 1": dict.fromkeys(BEHAVIOURS, "`x`; no, it `y`")}
    text = f"before\n{BEGIN}{table(columns)}{END}after\n"
    assert documented(text) == columns
    assert set(documented()) >= {OURS}
