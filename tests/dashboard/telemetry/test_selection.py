"""Which columns and parameters a question becomes: text of statements comes from the catalogue alone."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from dashboard.telemetry.selection import (
    AGGREGATES,
    EVERYTHING,
    aggregate_columns,
    aggregates,
    raw_columns,
    select,
    unlisted,
)


@given(st.lists(st.text(max_size=40), max_size=5))
def test_no_text_of_a_client_gets_into_a_statement(names: list[str]) -> None:
    selection = select([*names, "speed"])
    assert re.fullmatch(r'(?:"[a-z]+", )*', raw_columns(selection))
    text = aggregate_columns(aggregates(selection, AGGREGATES, 7))
    for name in selection.extras:
        if len(name) > 4 and not name.isalnum():
            assert name not in text
    assert len(set(re.findall(r"\$\d+", text))) == len(selection.extras)


def test_paths_and_keys_are_the_same_signal() -> None:
    assert select(["Vehicle.Speed", "speed", "odd", "dtc"]).keys == ("speed", "odd", "dtc")
    assert unlisted(select(["odd", "dtc"])) == ["odd"]
    assert select(None) is EVERYTHING


def test_texts_have_only_a_last_value() -> None:
    assert [found.name for found in aggregates(select(["rat"]), AGGREGATES, 7)] == ["last"]
    assert [found.name for found in aggregates(select(["ignition"]), AGGREGATES, 7)] == ["avg", "last"]
