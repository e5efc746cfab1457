"""On which lines of a TOML text each key stands: what tomllib does not tell.

The text is known to be valid TOML, so the scanner only follows its structure.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""The way to a value, as in ``("pool", 0, "addresses", 2)``; ``()`` is the document."""

_TOKEN = re.compile(
    r"""
    (?P<comment> \#[^\n]* )
  | (?P<text> \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5}
            | "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
  | (?P<newline> \n )
  | (?P<mark> [\[\]{}=,.] )
  | (?P<bare> [^\s\#\[\]{}=,."']+ )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Span:
    """First and last line of a key with its value, or of a table with its header; from 1."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int

    @property
    def last_line(self) -> int:
        return self.line + (self.text.count("\n") if self.kind == "text" else 0)


def key_spans(text: str) -> dict[KeyPath, Span]:
    """Every key and array element of a valid TOML ``text`` with its lines."""
    return _Scanner(text).spans


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind != "comment":
            yield _Token(kind, match.group(), line)
        line += match.group().count("\n")
    yield _Token("newline", "\n", line)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.spans: dict[KeyPath, Span] = {(): Span(1, max(1, text.count("\n")))}
        self._tokens = list(_tokens(text))
        self._at = 0
        self._elements: dict[KeyPath, int] = {}
        table: KeyPath = ()
        while self._skip("\n"):
            if self._peek().text == "[":
                table = self._header()
            else:
                self._assignment(table)

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _skip(self, *texts: str) -> bool:
        """Pass over tokens of these texts; whether any other is left."""
        while self._at < len(self._tokens) and self._peek().text in texts:
            self._at += 1
        return self._at < len(self._tokens)

    def _header(self) -> KeyPath:
        line = self._next().line
        repeated = self._peek().text == "["
        if repeated:
            self._next()
        keys = self._keys("]")
        if repeated:
            self._next()
        path = self._resolve(keys[:-1], (), line)
        path = self._element(path, keys[-1]) if repeated else self._resolve(keys[-1:], path, line)
        self._mark(path, line, line)
        return path

    def _element(self, path: KeyPath, key: str) -> KeyPath:
        array = (*path, key)
        number = self._elements.get(array, 0)
        self._elements[array] = number + 1
        return (*array, number)

    def _resolve(self, keys: list[str], path: KeyPath, line: int) -> KeyPath:
        """Follow ``keys`` from ``path``, through the latest element of arrays of tables."""
        for key in keys:
            path = (*path, key)
            if path in self._elements:
                path = (*path, self._elements[path] - 1)
            self._mark(path, line, line)
        return path

    def _keys(self, end: str) -> list[str]:
        keys = []
        while (token := self._next()).text != end:
            if token.kind == "text":
                keys.append(str(tomllib.loads(f"key = {token.text}")["key"]))
            elif token.kind == "bare":
                keys.append(token.text)
        return keys

    def _assignment(self, table: KeyPath) -> None:
        line = self._peek().line
        path = self._resolve(self._keys("="), table, line)
        self._mark(path, line, self._value(path))

    def _value(self, path: KeyPath) -> int:
        """Pass over a value; its last line."""
        opening = self._peek().text
        if opening == "[":
            return self._array(path)
        if opening == "{":
            return self._inline_table(path)
        line = self._peek().line
        while self._peek().text not in {"\n", ",", "]", "}"}:
            line = self._next().last_line
        return line

    def _array(self, path: KeyPath) -> int:
        self._next()
        number = 0
        while self._skip("\n", ",") and self._peek().text != "]":
            line = self._peek().line
            self._mark((*path, number), line, self._value((*path, number)))
            number += 1
        return self._next().line

    def _inline_table(self, path: KeyPath) -> int:
        self._next()
        while self._skip("\n", ",") and self._peek().text != "}":
            self._assignment(path)
        return self._next().line

    def _mark(self, path: KeyPath, first: int, last: int) -> None:
        """Note lines of ``path``, which every table around it spans too."""
        for depth in range(len(path), 0, -1):
            around = path[:depth]
            known = self.spans.get(around, Span(first, last))
            self.spans[around] = Span(known.first, max(known.last, last))
