"""Tables on narrow and wide screens, amounts and durations, log lines."""

import io
import logging
import os
import pty
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from zthook.cli.journal import OneLine, start_logging
from zthook.cli.output import amount, console, duration, print_table, tables
from zthook.errors import UsageError

COLUMNS = ("GUEST", "STATE", "PUBLIC", "WHY")
WHY = "waits for home2 to let go of it: both hosts are in no common migration group"
ROWS = [
    ("web1", "active", "203.0.113.10", None),
    ("db", "conflict", "2001:db8:1234:5678:9abc:def0:1234:5678", WHY),
]


def rendered(width: int) -> str:
    out = Console(width=max(width, 100), file=io.StringIO(), color_system=None)
    for made in tables(COLUMNS, ROWS, wrap="WHY", width=width):
        out.print(made)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


@given(st.integers(20, 300))
def test_no_width_cuts_an_address_or_loses_a_word(width: int) -> None:
    told = rendered(width)
    for row in ROWS:
        for cell in row[:3]:
            assert cell in told.split()
    assert all(word in told for word in WHY.split() if len(word) < 10)


@pytest.mark.parametrize(("width", "headings"), [(70, 2), (200, 1)])
def test_a_reason_without_room_stands_below(width: int, headings: int) -> None:
    assert rendered(width).count("GUEST") == headings


def test_without_a_terminal_each_row_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS, wrap="WHY")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "web1   active    203.0.113.10                            -"
    assert lines[2].endswith(WHY)
    assert len(lines) == 3


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as screen:
        yield screen
    os.close(ours)


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_is_for_terminals_that_want_it(
    terminal: TextIO,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    coloured: bool,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", terminal)
        assert bool(console().color_system) is coloured


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (98_765_432, "98.8 MB"),
        (123_456_789, "123 MB"),
        (5 * 10**16, "50000 TB"),
    ],
)
def test_amounts(octets: int, text: str) -> None:
    assert amount(octets) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h"), (90_000, "1 d")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def a_record(level: int) -> logging.LogRecord:
    fault = ValueError("two\nlines")
    exc_info = (ValueError, fault, None)
    return logging.LogRecord("zthook.edge", level, "", 0, "went %s", ("wrong",), exc_info)


def test_a_traceback_is_one_line_with_its_priority_in_the_journal() -> None:
    line = OneLine(journal=True).format(a_record(logging.ERROR))
    assert line.startswith("<3>zthook.edge: went wrong | ValueError: two | lines")
    assert "\n" not in line
    assert OneLine(journal=True).format(a_record(logging.WARNING)).startswith("<4>")


def test_elsewhere_a_line_begins_with_time_and_level() -> None:
    assert " ERROR zthook.edge: went wrong" in OneLine(journal=False).format(
        a_record(logging.ERROR)
    )


def test_a_level_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZTHOOK_LOG", "loud")
    with pytest.raises(UsageError, match="'loud' is no level"):
        start_logging()
