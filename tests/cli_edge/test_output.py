"""Tables on narrow and wide screens, amounts and durations, log lines."""

import logging
import os
import pty
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zthook.cli.journal import OneLine, start_logging
from zthook.cli.output import amount, duration, print_table, traffic, words_of
from zthook.cli.screen import coloured, styled
from zthook.cli.tables import labelled, table_lines
from zthook.errors import UsageError
from zthook.model.paths import OverlayPath

COLUMNS = ("GUEST", "STATE", "PUBLIC", "MODE", "WHY")
IPV6 = "2001:db8:1234:5678:9abc:def0:1234:5678"
WHY = "waits for home2 to let go of it: both hosts are in no common migration group"
LONG = "a-guest-whose-name-is-longer-than-all"
ROWS = [
    ("web1", "active", "203.0.113.10", "nat keep", None),
    ("db", "conflict", IPV6, "nat keep egress=public allow=198.51.100.0/24", WHY),
    (LONG, "active", "203.0.113.12", "routed keep", None),
    ("games", "active", "203.0.113.13", "routed keep", None),
]


def lines(width: int | None, columns: Sequence[str] = COLUMNS) -> list[str]:
    return table_lines(columns, ROWS, loose=("MODE", "WHY"), width=width)


@given(st.integers(20, 300))
def test_no_width_cuts_an_address_or_loses_a_word(width: int) -> None:
    told = lines(width)
    words = " ".join(told).replace(",", " ").split()
    for row in ROWS:
        for cell in row:
            assert all(word in words for word in (cell or "").split())
    too_wide = [line for line in told if len(line) > width]
    assert all(len(line.split()) == 1 for line in too_wide), "one word, that can not be broken"


def test_with_room_a_row_is_one_line() -> None:
    told = lines(230)
    assert re.split(r"\s{2,}", told[1]) == ["web1", "active", "203.0.113.10", "nat keep"]
    assert re.split(r"\s{2,}", told[2]) == ["db", "conflict", IPV6, ROWS[1][3], WHY]


def test_what_has_no_room_goes_below_and_few_long_names_widen_nothing() -> None:
    assert lines(70) == [
        "GUEST  STATE     PUBLIC                                  MODE",
        "web1   active    203.0.113.10                            nat keep",
        f"db     conflict  {IPV6}",
        "    nat keep egress=public allow=198.51.100.0/24",
        "    waits for home2 to let go of it: both hosts are in no common",
        "    migration group",
        LONG,
        "       active    203.0.113.12                            routed keep",
        "games  active    203.0.113.13                            routed keep",
    ]


def test_a_column_without_room_goes_below_with_its_title() -> None:
    told = lines(40)
    assert told[:3] == [
        "GUEST  STATE",
        "web1   active",
        "    public 203.0.113.10, nat keep",
    ]


def test_without_a_terminal_each_row_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS, loose=("MODE", "WHY"))
    told = capsys.readouterr().out.splitlines()
    assert told[1].split() == ["web1", "active", "203.0.113.10", "nat", "keep", "-"]
    assert told[2].endswith(WHY)
    assert len(told) == 1 + len(ROWS)


def test_names_steer_no_terminal_and_wide_letters_take_their_columns() -> None:
    rows = [("\x1b[2Jweb1", "a"), ("東京", "b")]
    assert table_lines(("GUEST", "X"), rows, width=80) == [
        "GUEST     X",
        "?[2Jweb1  a",
        "東京      b",
    ]


def test_labelled_texts_stand_below_each_other() -> None:
    assert labelled([("edge", "192.168.193.222:9443 up 3 h"), ("problem", "x")], width=30) == [
        "edge     192.168.193.222:9443",
        "         up 3 h",
        "problem  x",
    ]


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as screen:
        yield screen
    os.close(ours)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it(
    terminal: TextIO,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    expected: bool,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", terminal)
        assert coloured() is expected
        assert (styled("active") != "active") is expected
    assert styled("active") == "active", "stdout is no terminal"


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (99_950, "100 kB"),
        (999_600, "1.0 MB"),
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


def test_traffic_has_a_rate_once_there_is_one() -> None:
    assert traffic(1_200_000, None) == "1.2 MB"
    assert traffic(1_200_000, 30_000.0) == "1.2 MB at 30.0 kB/s"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (None, ""),
        (OverlayPath(direct=True, latency=0.0124), "direct 12 ms"),
        (OverlayPath(direct=True, latency=0.0), "direct <1 ms"),
        (OverlayPath(direct=False), "relayed"),
    ],
)
def test_paths(path: OverlayPath | None, text: str) -> None:
    assert words_of(path) == text


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
