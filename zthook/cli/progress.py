"""Waiting that can be seen: for what, for how long already, and what would end it."""

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import click

from zthook.cli import screen
from zthook.cli.output import duration

LOOK_SECONDS = 0.25
AGAIN_SECONDS = 30.0
"""How often it is said again where nothing can be shown in place: in a log, in a pipe."""
START_OF_LINE, REST_OF_LINE = "\r", "\x1b[K"


class Awaited(NamedTuple):
    """What something waits for, and what would bring it about."""

    what: str
    hint: str = ""


Look = Callable[[], Awaited | None]
"""What is still waited for; None: nothing more."""


def wait_visibly(look: Look, *, seconds: float) -> Awaited | None:
    """Wait until ``look`` says None, ``seconds`` at most; what it said last.

    On a terminal the time that has passed runs in place, elsewhere a line tells it now and then.
    """
    shown = _Shown(seconds)
    try:
        while (awaited := look()) is not None and not shown.over:
            shown.show(awaited)
            time.sleep(LOOK_SECONDS)
    finally:
        shown.clear()
    return awaited


class _Shown:
    """What stands on the screen of it."""

    def __init__(self, seconds: float) -> None:
        self._began = self._told = time.monotonic()
        self._bound = seconds
        self._awaited: Awaited | None = None
        self._in_place = sys.stdout.isatty()

    @property
    def over(self) -> bool:
        return time.monotonic() - self._began >= self._bound

    def show(self, awaited: Awaited) -> None:
        if awaited != self._awaited:
            self.clear()
            self._tell(awaited)
            self._awaited = awaited
        passed = time.monotonic() - self._began
        if self._in_place:
            line = f"        {duration(passed)} of {duration(self._bound)} at most; Ctrl-C ends it"
            self._write(START_OF_LINE + line[: (screen.width() or 80) - 1] + REST_OF_LINE)
        elif time.monotonic() - self._told >= AGAIN_SECONDS:
            self._told = time.monotonic()
            click.echo(f"waits   for {duration(passed)}: {awaited.what}")

    def _tell(self, awaited: Awaited) -> None:
        click.echo(f"waits   {awaited.what}")
        if awaited.hint:
            click.echo(f"        {awaited.hint}")
        sys.stdout.flush()

    def clear(self) -> None:
        if self._in_place and self._awaited:
            self._write(START_OF_LINE + REST_OF_LINE)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
