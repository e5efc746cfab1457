"""What a command shows: once, or with ``--watch`` in place again and again, until Ctrl-C."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import click

from zthook.cli import screen
from zthook.cli.faults import told
from zthook.cli.output import print_json
from zthook.errors import Temporary

T = TypeVar("T")

watch_option = click.option("--watch", is_flag=True, help="Show it again every two seconds.")
"""Gives the function a keyword ``watch``."""

SECONDS = 2.0
ENDED = 128 + signal.SIGTERM
HEARD = {signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP}
"""What happens to the terminal: another size, Ctrl-Z, and what follows it."""

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
HOME, CLEAR = "\x1b[H", "\x1b[H\x1b[2J"
REST_OF_LINE, REST_OF_SCREEN = "\x1b[K", "\x1b[J"


def show(
    ask: Callable[[], T],
    picture: Callable[[T], list[str]],
    as_told: Callable[[T], object] = lambda found: found,
    *,
    as_json: bool,
    watch: bool,
) -> T:
    """Print what ``ask`` returns: as the lines of ``picture``, or as the JSON of ``as_told``.

    With ``watch`` for ever; what is temporary is told and tried again then.
    """

    def once() -> T:
        found = ask()
        print_json(as_told(found)) if as_json else click.echo("\n".join(picture(found)))
        return found

    if watch and (as_json or not sys.stdout.isatty()):
        _repeat(once)
    elif watch:
        _repeat_in_place(lambda: picture(ask()))
    return once()


def _repeat(once: Callable[[], object]) -> NoReturn:
    while True:
        try:
            once()
        except Temporary as error:
            click.echo("\n".join(told(error.message, error.hint)), err=True)
        sys.stdout.flush()
        time.sleep(SECONDS)


def _repeat_in_place(look: Callable[[], list[str]]) -> NoReturn:
    """One write a picture, over the one before: nothing flickers."""
    with _painting():
        disturbed = True
        while True:
            try:
                lines = look()
            except Temporary as error:
                lines = told(error.message, error.hint)
            _write((CLEAR if disturbed else HOME) + frame(lines, screen.size()))
            disturbed = _wait()


def _wait() -> bool:
    """Until the next picture is due; whether the terminal wants it anew, and sooner."""
    heard = signal.sigtimedwait(HEARD, SECONDS)
    if heard is not None and heard.si_signo == signal.SIGTSTP:
        _write(f"{SHOW}\n")
        os.kill(os.getpid(), signal.SIGSTOP)  # here it stands, until somebody has it go on
        _write(HIDE)
    return heard is not None


def frame(lines: list[str], size: os.terminal_size) -> str:
    """The lines as far as the screen goes, and how many are left."""
    shown: list[str] = []
    room = size.lines
    for number, line in enumerate(lines):
        room -= max(1, -(-screen.columns_of(line) // size.columns))
        last = number == len(lines) - 1
        if room < (0 if last else 1):
            shown.append(f"… {len(lines) - number} more lines: make the window taller")
            break
        shown.append(line)
    return f"{REST_OF_LINE}\n".join(shown) + REST_OF_LINE + REST_OF_SCREEN


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def _painting() -> Iterator[None]:
    """Without a cursor while inside, and with what the terminal signals kept for ``_wait``."""

    def end(*_: object) -> NoReturn:
        raise SystemExit(ENDED)

    before = signal.signal(signal.SIGTERM, end)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    _write(HIDE)
    try:
        yield
    finally:
        _write(f"{SHOW}\n")
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGTERM, before)
