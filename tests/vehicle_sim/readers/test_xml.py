"""XML without entities, and errors with their lines."""

from pathlib import Path

import pytest

from vehicle_sim.readers.files import TraceFile
from vehicle_sim.readers.trace import TraceError
from vehicle_sim.readers.xml import XmlHandler, parse_xml


def parse(path: Path, text: str) -> None:
    path.write_text(text)
    file = TraceFile(path)
    parse_xml(file, XmlHandler(file))


def test_even_a_bare_dtd_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=":2: a DTD or entity declaration"):
        parse(tmp_path / "a.xml", "<?xml version='1.0'?>\n<!DOCTYPE a>\n<a/>")


def test_whole_xml_is_taken(tmp_path: Path) -> None:
    parse(tmp_path / "a.xml", "<?xml version='1.0'?>\n<a><b/></a>\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<a>\n<b>\n", r":3: not well-formed XML: the XML ends too early"),
        ("<a>\n<b attr='x", r":2: not well-formed XML: the XML ends too early"),
        ("", r"not well-formed XML: the XML ends too early"),
        ("<a>\n</b>\n", r":2: not well-formed XML: mismatched tag"),
        ("<a>\n&nothing;</a>", r":2: not well-formed XML: undefined entity"),
    ],
)
def test_malformed_xml_is_refused_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(TraceError, match=reason):
        parse(tmp_path / "a.xml", text)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE a [<!ENTITY x "expanded">]>',
        '<!DOCTYPE a SYSTEM "file.dtd">',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file.txt">]>',
    ],
)
def test_entities_and_dtds_are_refused(tmp_path: Path, declaration: str) -> None:
    with pytest.raises(TraceError, match="DTD or entity declaration"):
        parse(tmp_path / "a.xml", f"{declaration}<a>&x;</a>")
