"""Reads a TOML text table by table and collects everything that is wrong, with lines."""

import re
import tomllib
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Self, TypeVar

from zthook.config.lines import KeyPath, Span, key_spans
from zthook.config.values import array, table
from zthook.errors import ConfigError

T = TypeVar("T")
_NOTHING: list[object] = []

_KINDS = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "a table",
}


def kind_of(value: object) -> str:
    """What a TOML value is, for people."""
    return _KINDS.get(type(value), "a date or time")


class Document:
    """A TOML text and what was found wrong in it."""

    def __init__(self, text: str, path: Path) -> None:
        """Raises ConfigError where ``text`` is no TOML at all."""
        self._path = path
        self._faults: list[tuple[int, str]] = []
        self._values, self._spans = _parse(text, path)

    @property
    def root(self) -> "Table":
        return Table(self._values, (), self)

    @property
    def faulty(self) -> bool:
        """Whether anything was found wrong so far."""
        return bool(self._faults)

    def complain(self, path: KeyPath, what: str) -> None:
        """Note that the value at ``path`` is wrong; its own line, or that of its table."""
        while path not in self._spans:
            path = path[:-1]
        self._faults.append((self._spans[path].first, what))

    def finish(self) -> None:
        """Raise ConfigError with every fault, in the order of lines, if there is any."""
        if self._faults:
            lines = [f"{self._path}:{line}: {what}" for line, what in sorted(self._faults)]
            raise ConfigError("\n".join(lines), hint=f"edit {self._path}")


class Table:
    """One TOML table.

    Each key is taken once; ``close``, or the end of a ``with``, names those nobody took.
    A value of the wrong kind is noted in the document and the default stands in for it,
    so that one reading finds all that is wrong.
    """

    def __init__(self, values: dict[str, object], path: KeyPath, document: Document) -> None:
        self._values = values
        self._path = path
        self._document = document
        self._taken: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()

    def complain(self, key: str, what: str, *further: int) -> None:
        """Note that the value of ``key`` (or that element of it) is wrong."""
        self._document.complain((*self._path, key, *further), f"{self.name(key)} {what}")

    def name(self, key: str) -> str:
        """``key`` as people write it, as in ``api.port`` or ``pool[2].name`` (from 1)."""
        steps = [f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in self._path]
        return "".join([*steps, f".{key}"]).lstrip(".")

    @property
    def faulty(self) -> bool:
        """Whether anything in the whole document was found wrong so far."""
        return self._document.faulty

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str, read: Callable[[object], T], default: T) -> T:
        """The value of ``key`` as ``read`` makes it; ``read`` raises ValueError: what is right."""
        self._taken.append(key)
        if key not in self._values:
            return default
        value = self._values[key]
        try:
            return read(value)
        except ValueError as error:
            shown = "" if isinstance(value, dict | list) else f" {value!r},"
            self.complain(key, f"is{shown} {kind_of(value)}: it must be {error}")
            return default

    def require(self, key: str, read: Callable[[object], T], stand_in: T, why: str) -> T:
        """As ``take``, and a missing key is wrong."""
        if key not in self._values:
            self.complain(key, f"is missing: {why}")
        return self.take(key, read, stand_in)

    def elements(self, key: str, read: Callable[[object], T]) -> list[T]:
        """The elements of an array, each as ``read`` makes it; wrong ones are noted."""
        found = []
        for number, value in enumerate(self.take(key, array, _NOTHING)):
            try:
                found.append(read(value))
            except ValueError as error:
                self.complain(key, f"has {value!r}: it must be {error}", number)
        return found

    def table(self, key: str) -> "Table":
        """The table ``key``; an empty one where it is missing."""
        return Table(self.take(key, table, {}), (*self._path, key), self._document)

    def tables(self, key: str) -> list["Table"]:
        """The tables of an array of tables, none where it is missing."""
        elements = self.take(key, array, _NOTHING)
        for number, element in enumerate(elements):
            if not isinstance(element, dict):
                self.complain(key, f"has {element!r}: it must hold tables, [[{key}]]", number)
        return [
            Table(element, (*self._path, key, number), self._document)
            for number, element in enumerate(elements)
            if isinstance(element, dict)
        ]

    def close(self) -> None:
        """Note every key that was not taken, with the nearest one that exists."""
        for key in self._values.keys() - set(self._taken):
            near = get_close_matches(key, self._taken, n=1)
            right = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self._taken)}"
            self.complain(key, f"is no key of this file: {right}")


def _parse(text: str, path: Path) -> tuple[dict[str, object], dict[KeyPath, Span]]:
    try:
        return tomllib.loads(text), key_spans(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise ConfigError(f"{path}:{line}: not TOML: {error}", hint=f"edit {path}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}:1: nested too deeply", hint=f"edit {path}") from error
