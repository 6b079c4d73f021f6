"""XML trace files through a streaming parser without entities, external references or DTDs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

if TYPE_CHECKING:
    from xml.sax.xmlreader import Locator

    from vehicle_sim.readers.files import TraceFile
    from vehicle_sim.readers.trace import TraceError


class XmlHandler(ContentHandler):
    """A content handler that knows its file and line."""

    def __init__(self, file: TraceFile) -> None:
        super().__init__()
        self.file = file
        self._locator: Locator | None = None

    def setDocumentLocator(self, locator: Locator) -> None:  # noqa: N802 - SAX's name
        self._locator = locator

    def error(self, reason: str) -> TraceError:
        """The error at the element being read."""
        return self.file.error(reason, self._locator.getLineNumber() if self._locator else None)


def parse_xml(file: TraceFile, handler: XmlHandler) -> None:
    """Feed the whole file to the handler.

    Raises:
        TraceError: the XML is cut off, malformed, or uses a DTD or entities.
    """
    parser = DefusedExpatParser(forbid_dtd=True)
    parser.setContentHandler(handler)
    handler.setDocumentLocator(parser)  # the parser does so itself only when it opens the file
    try:
        parser.feed(b"")  # begins, so that even an empty file has an end to complain of
        for chunk in file.chunks():
            parser.feed(chunk)
        parser.close()
    except SAXParseException as error:
        reason = error.getMessage()
        if "no element found" in reason or "unclosed token" in reason:
            reason = f"the XML ends too early: the file is cut off or empty ({reason})"
        raise file.error(f"not well-formed XML: {reason}", error.getLineNumber()) from error
    except DefusedXmlException as error:
        raise handler.error(
            "a DTD or entity declaration, which trace files do not need, is refused"
        ) from error
