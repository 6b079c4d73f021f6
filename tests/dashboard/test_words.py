"""The page has words for everything that the register can say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dashboard
from fleetcell.contract.presence import Reason

WORDS = (Path(dashboard.__file__).parent / "web" / "src" / "ui" / "words.ts").read_text()


@pytest.mark.parametrize("table", ["SHORT", "LONG"])
def test_every_reason_has_words(table: str) -> None:
    found = re.search(rf"const {table}: .*?\{{(.*?)^\}};", WORDS, re.DOTALL | re.MULTILINE)
    assert found is not None
    keys = re.findall(r"""^  "?([a-z ]+)"?: \"""", found[1], re.MULTILINE)
    assert sorted(keys) == sorted(Reason)
