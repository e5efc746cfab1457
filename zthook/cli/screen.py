"""What stdout is, how wide and whether coloured; and text for it."""

import os
import sys
from typing import NamedTuple

import click
from rich.cells import cell_len


class Style(NamedTuple):
    """What click.style takes."""

    fg: str | None = None
    bold: bool | None = None
    dim: bool | None = None


BOLD = Style(bold=True)
DIM = Style(dim=True)
RED = Style(fg="red", bold=True)
STYLES = {
    "active": Style(fg="green"),
    "running": Style(fg="green"),
    "up": Style(fg="green"),
    "ok": Style(fg="green"),
    "pending": Style(fg="yellow"),
    "silent": Style(fg="yellow"),
    "warn": Style(fg="yellow"),
    "conflict": Style(fg="red"),
    "refused": Style(fg="red"),
    "down": RED,
    "fail": RED,
    "withdrawn": DIM,
    "skipped": DIM,
    "-": DIM,
}
"""How a state's word is coloured."""


def size() -> os.terminal_size:
    """Columns and lines of the terminal that stdout is; some lines do not know: 80 by 24 then."""
    found = os.get_terminal_size(sys.stdout.fileno())
    return os.terminal_size((found.columns or 80, found.lines or 24))


def width() -> int | None:
    """Columns of the terminal; None where stdout is none."""
    return size().columns if sys.stdout.isatty() else None


def coloured() -> bool:
    """Whether stdout is a terminal that knows colours, and nobody said NO_COLOR."""
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    return sys.stdout.isatty() and not dumb and not os.environ.get("NO_COLOR")


def styled(text: str, style: Style | None = None) -> str:
    """Text in ``style``, by default that of the state whose word it is."""
    found = style or STYLES.get(text)
    if found is None or not text or not coloured():
        return text
    return click.style(text, fg=found.fg, bold=found.bold, dim=found.dim)


def plain(word: str | int | None) -> str:
    """A word as it can be shown: names that others gave do not steer the terminal."""
    text = "" if word is None else str(word)
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def columns_of(text: str) -> int:
    """How many columns it takes, colours aside."""
    return cell_len(click.unstyle(text))


def wrapped(text: str, room: int) -> list[str]:
    """Lines of at most ``room`` columns, broken at blanks alone."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and columns_of(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
