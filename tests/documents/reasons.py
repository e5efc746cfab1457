"""What a file of Python says: its texts, read from the source."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from tests.documents import ROOT

LEAST_BLANKS = 2
"""A text with fewer is a word or two, and no reason."""
GAP = "…"
FILLED_IN = r"(?:[A-Z]+|…)"
"""How a document writes what is filled in."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text with a ``…`` for each thing that is filled in."""

    shown: str

    def is_in(self, document: str) -> bool:
        """Whether a line of the document has it, whatever is filled in."""
        return re.search(self.pattern(".+?"), document) is not None

    def can_be(self, line: str, filling: str) -> bool:
        """Whether it can become this line; ``filling`` is the pattern of what is filled in."""
        return re.fullmatch(self.pattern(filling), line) is not None

    def pattern(self, filling: str) -> str:
        """What it can become, as a regular expression."""
        return filling.join(map(re.escape, self.shown.split(GAP)))


def filling(parts: Iterable[Text]) -> str:
    """The pattern of what documents fill in: a word in capitals, or one of ``parts``."""
    return f"(?:{'|'.join([FILLED_IN, *(one.pattern(FILLED_IN) for one in parts)])})"


def reasons(file: str) -> list[Text]:
    """The texts of a file that are more than a word or two."""
    return [one for one in texts(file) if one.shown.strip().count(" ") >= LEAST_BLANKS]


@cache
def texts(file: str) -> tuple[Text, ...]:
    """The texts of a file, by its path from the root.

    Left out are docstrings, what is logged (its arguments are ``%s``), and hints.
    """
    found = _texts(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    return tuple(Text(one) for one in found if re.search("[a-z]", one))


def _texts(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Expr(value=ast.Constant()) | ast.keyword(arg="hint"):
                continue
            case ast.Constant(value=str(text)) if "%s" not in text:
                yield text
            case ast.JoinedStr(values=parts):
                yield "".join(map(_piece, parts))
                filled = (part for part in parts if isinstance(part, ast.FormattedValue))
                for part in filled:
                    yield from _texts(part)
            case _:
                yield from _texts(child)


def _piece(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else GAP
