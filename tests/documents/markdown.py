"""As much of Markdown as our documents use: headings, code, links and tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.documents import DOCS, README

_FENCE = re.compile(r"```(\w*)$")
_HEADING = re.compile(r"#{1,6} (.+)")
_SPAN = re.compile(r"(`+)(.+?)\1")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CELL = re.compile(r"(?<!\\)\|")
INDENT = " " * 4


@dataclass(frozen=True, slots=True)
class Line:
    """A line of prose, with its number (from 1) and the heading it stands under."""

    number: int
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code: fenced with its ``language``, or indented; ``line`` is its first."""

    line: int
    heading: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """A document; ``prose`` is all of it but blank lines and code blocks."""

    path: Path
    prose: tuple[Line, ...]
    blocks: tuple[Block, ...]

    @property
    def anchors(self) -> frozenset[str]:
        """What a link may name after its ``#``, as GitHub makes it of headings."""
        titles = (found[1] for one in self.prose if (found := _HEADING.fullmatch(one.text)))
        return frozenset(
            re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles
        )

    @property
    def links(self) -> Iterator[tuple[int, str]]:
        """The line and target of each link."""
        for one in self.prose:
            for found in _LINK.finditer(_SPAN.sub("", one.text)):
                yield one.number, found[1]

    @property
    def spans(self) -> Iterator[tuple[int, str]]:
        """The line and text of each piece of inline code."""
        for one in self.prose:
            for found in _SPAN.finditer(one.text):
                yield one.number, found[2].strip().replace("\\|", "|")

    def rows(self, heading: str) -> list[tuple[str, ...]]:
        """The cells of the tables under a heading, without their first two lines."""
        lines = [one.text for one in self.prose if one.heading == heading and one.text[:1] == "|"]
        rows = [tuple(map(_plain, _CELL.split(line)[1:-1])) for line in lines]
        rules = [at for at, row in enumerate(rows) if set(row[0]) <= set("-: ")]
        titles = {at - 1 for at in rules} | set(rules)
        return [row for at, row in enumerate(rows) if at not in titles]


def _plain(cell: str) -> str:
    return cell.replace("\\|", "|").strip()


def code(cell: str) -> str:
    """The inline code that a cell begins with, "" where it does not begin with any."""
    found = _SPAN.match(cell)
    return found[2].strip() if found else ""


@cache
def read(path: Path) -> Page:
    """Parse a document."""
    prose: list[Line] = []
    blocks: list[Block] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    heading, number = "", 0
    while number < len(lines):
        text = lines[number]
        if fence := _FENCE.fullmatch(text):
            end = lines.index("```", number + 1)
            inside = "\n".join(lines[number + 1 : end])
            blocks.append(Block(number + 2, heading, fence[1], inside))
            number = end
        elif text.startswith(INDENT):
            end = _end_of_indented(lines, number)
            inside = "\n".join(line[len(INDENT) :] for line in lines[number:end]).rstrip()
            blocks.append(Block(number + 1, heading, "", inside))
            number = end - 1
        elif text:
            if found := _HEADING.fullmatch(text):
                heading = found[1]
            prose.append(Line(number + 1, heading, text))
        number += 1
    return Page(path, tuple(prose), tuple(blocks))


def _end_of_indented(lines: list[str], number: int) -> int:
    while number < len(lines) and (lines[number].startswith(INDENT) or not lines[number]):
        number += 1
    return number


def documents() -> list[Path]:
    """README and everything in docs, in a steady order."""
    return [README, *sorted(DOCS.rglob("*.md"))]
