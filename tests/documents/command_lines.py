"""Command lines as documents have them, read by click as it would when they are typed."""

import re
import shlex
from collections.abc import Iterator
from itertools import product

import click

from tests.documents.markdown import Page
from zthook.cli import root

Found = tuple[int, str]
"""A line's number and a command line in it."""

_BEFORE = re.compile(r"^(?:\S*[$#] )?(?:sudo )?(?:[A-Z_]+=\S+ )*")
_COMMENT = re.compile(r"\s(?:\s|#|→).*")
_ENDS = {"|", ">", "&&", "COMMAND", "…"}
_VALUES = {
    "PUBLIC": "203.0.113.10",
    "PUBLIC|auto": "auto",
    "CIDR": "198.51.100.0/24",
    "NAME=FIRST-LAST": "hk=203.0.113.10-203.0.113.14",
    "NAME=RANGE[,RANGE...]": "hk=203.0.113.10-203.0.113.14",
}
"""Stand-ins for words that click would check."""


def typed(page: Page, program: str) -> Iterator[Found]:
    """Each whole command line in a block of code that begins with ``program``."""
    for block in page.blocks:
        for number, line in enumerate(block.text.splitlines(), block.line):
            if (bare := _BEFORE.sub("", line)).split(" ")[0] == program:
                yield number, _COMMENT.sub("", bare)


def mentioned(page: Page, program: str) -> Iterator[Found]:
    """Each piece of inline code that begins with ``program``; arguments may be left out."""
    for number, text in page.spans:
        if (bare := _BEFORE.sub("", text)).split(" ")[0] == program:
            yield number, bare


def parse(line: str, *, whole: bool) -> None:
    """Have click read a command line without running it; with ``whole`` nothing may lack.

    Raises click.ClickException.
    """
    words = [_VALUES.get(word, word) for word in shlex.split(line)[1:]]
    for choice in product(*(_alternatives(word) for word in _until_end(words))):
        _read(list(choice), whole=whole)


def _until_end(words: list[str]) -> Iterator[str]:
    for word in words:
        if word in _ENDS:
            return
        if not word.startswith("["):
            yield word


def _alternatives(word: str) -> list[str]:
    """``add|remove`` is a short way to write two commands."""
    return word.split("|") if re.fullmatch(r"[a-z|]+", word) else [word]


def _read(words: list[str], *, whole: bool) -> None:
    command: click.Command = root()
    context: click.Context | None = None
    name: str | None = "zthook"
    try:
        while isinstance(command, click.Group) and words:
            context = command.make_context(name, list(words), parent=context)
            name, found, words = command.resolve_command(context, words)
            assert found is not None
            command = found
        command.make_context(name, list(words), parent=context)
    except click.exceptions.Exit:
        return  # --help and --version
    except (click.MissingParameter, click.exceptions.NoArgsIsHelpError):
        if whole:
            raise
