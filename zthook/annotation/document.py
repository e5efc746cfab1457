"""XML that may come from anybody, parsed with nothing fetched and nothing expanded."""

from dataclasses import dataclass
from xml.parsers import expat

from lxml import etree
from lxml.etree import _Element as Element

from zthook.model.publication import Problem

MAX_BYTES = 1024 * 1024
"""A large guest's XML has 30 kB; beyond this nothing is parsed."""


class NotReadable(Exception):
    """The document can not be read at all, for the one ``problem``."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document and on which line each element begins."""

    root: Element
    lines: dict[Element, int]


def parse(xml: bytes) -> Document:
    """Parse ``xml``. Raises NotReadable: too large, not well-formed, or with a DTD."""
    if len(xml) > MAX_BYTES:
        what = f"{len(xml)} bytes of XML, where {MAX_BYTES} is the most"
        raise NotReadable(Problem(1, what, "remove what is not needed from the document"))
    # Expat looks first: it stops at a DTD before any of it counts, and unlike libxml2 it
    # knows where a tag begins (libxml2 has the line where the tag ends).
    lines = _start_lines(xml)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(xml, parser)
    except etree.XMLSyntaxError as error:
        raise _not_xml(error.lineno, error.msg) from error
    return Document(root, dict(zip(root.iter(), lines, strict=False)))


def _start_lines(xml: bytes) -> list[int]:
    lines: list[int] = []
    parser = expat.ParserCreate()

    def start(_name: str, _attributes: dict[str, str]) -> None:
        lines.append(parser.CurrentLineNumber)

    def doctype(*_: object) -> None:
        what = "a document type declaration (<!DOCTYPE …>)"
        right = "remove it: neither libvirt nor zthook needs one"
        raise NotReadable(Problem(parser.CurrentLineNumber, what, right))

    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(xml, True)  # noqa: FBT003 - positional in expat
    except expat.ExpatError as error:
        raise _not_xml(error.lineno, expat.ErrorString(error.code)) from error
    except (LookupError, ValueError) as error:
        raise _not_xml(1, str(error)) from error
    return lines


def _not_xml(line: int | None, why: str | None) -> NotReadable:
    return NotReadable(
        Problem(line or 1, f"not well-formed XML: {why}", "mend the XML; `xmllint` shows the place")
    )
