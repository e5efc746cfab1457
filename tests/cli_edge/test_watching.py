"""``--watch`` on a terminal, as the terminal sees it."""

import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from select import select
from time import monotonic
from typing import Any

import pytest

from tests.cli_edge.conftest import Answer, Canned, Places
from tests.cli_edge.test_screens import a_mapping
from zthook.cli.watching import CLEAR, HIDE, HOME, REST_OF_SCREEN, SHOW, frame
from zthook.errors import KernelError

Serve = Callable[[dict[str, Answer]], Canned]


class Terminal:
    """A command's terminal; ``seen`` is all that was written to it."""

    def __init__(self, end: int, process: int) -> None:
        self.end = end
        self.process = process
        self.seen = ""

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, key: str) -> None:
        os.write(self.end, key.encode())

    def until(self, done: Callable[[str], bool]) -> None:
        deadline = monotonic() + 30
        while not done(self.seen):
            assert monotonic() < deadline, self.seen[-2000:]
            if select([self.end], [], [], 1)[0]:
                try:
                    self.seen += os.read(self.end, 65536).decode()
                except OSError:  # the other end is closed
                    assert done(self.seen), self.seen[-2000:]

    def left(self) -> int:
        """The exit code, once it ended."""
        _, status = os.waitpid(self.process, 0)
        self.process = 0
        return os.waitstatus_to_exitcode(status)


@contextmanager
def on_terminal(*arguments: str, columns: int, lines: int) -> Iterator[Terminal]:
    process, end = pty.fork()
    if not process:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        run = "from zthook.cli import main; main()"
        os.environ["TERM"] = "xterm"
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what runs in the background has it ignored
        os.execv(sys.executable, [sys.executable, "-c", run, *arguments])  # noqa: S606 - no shell
    made = Terminal(end, process)
    try:
        yield made
    finally:
        if made.process:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        os.close(end)


@pytest.fixture
def canned(serve_canned: Serve, places: Places) -> Canned:
    return serve_canned({"mappings": lambda _: [a_mapping()]})


def test_it_is_painted_in_place_and_gives_the_cursor_back_at_ctrl_c(canned: Canned) -> None:
    with on_terminal("edge", "mappings", "--watch", columns=200, lines=24) as screen:
        screen.until(lambda seen: seen.count(REST_OF_SCREEN) == 2)
        assert screen.seen.startswith(HIDE + CLEAR)
        assert screen.seen.count(CLEAR) == 1, "only the first picture clears the screen"
        assert screen.seen.count(HOME) == 2
        assert SHOW not in screen.seen
        screen.type("\x03")
        screen.until(lambda seen: SHOW in seen)
        assert screen.left() == 130


def test_it_gives_the_cursor_back_at_sigterm(canned: Canned) -> None:
    with on_terminal("edge", "mappings", "--watch", columns=200, lines=24) as screen:
        screen.until(lambda seen: REST_OF_SCREEN in seen)
        os.kill(screen.process, signal.SIGTERM)
        screen.until(lambda seen: SHOW in seen)
        assert screen.left() == 143


def test_it_follows_the_terminals_size(canned: Canned) -> None:
    with on_terminal("edge", "mappings", "--watch", columns=200, lines=24) as screen:
        screen.until(lambda seen: REST_OF_SCREEN in seen)
        assert "\n    " not in screen.seen, "all of a row beside each other"
        screen.resize(60, 24)
        screen.until(lambda seen: seen.count(CLEAR) == 2 and seen.endswith(REST_OF_SCREEN))
        assert "\n    \x1b[2min 1.2 MB" in screen.seen, "what has no room any more goes below"


def test_a_daemon_that_goes_away_is_told_in_the_picture_until_it_is_back(canned: Canned) -> None:
    whole = canned.answers["mappings"]

    def away(_: dict[str, Any]) -> Any:
        raise KernelError("the kernel is busy", hint="wait")

    with on_terminal("edge", "mappings", "--watch", columns=200, lines=24) as screen:
        screen.until(lambda seen: "web1" in seen)
        canned.answers["mappings"] = away
        screen.resize(190, 24)  # then it asks at once
        screen.until(lambda seen: "the kernel is busy" in seen)
        canned.answers["mappings"] = whole
        before = len(screen.seen)
        screen.resize(200, 24)
        screen.until(lambda seen: "web1" in seen[before:])


def test_a_picture_ends_where_the_screen_does() -> None:
    ten = [str(number) for number in range(10)]
    size = os.terminal_size((20, 5))
    assert frame(ten[:5], size).count("\n") == 4
    assert frame(ten, size).split("\n")[-1].startswith("… 6 more lines")
    wraps = frame(["x" * 50, *ten], size).split("\n")
    assert len(wraps) == 3, "a line of 50 letters takes three of 20"
