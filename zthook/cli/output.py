"""Tables, JSON and the few words that both sides print the same way."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

STYLES = {
    "active": "green",
    "running": "green",
    "up": "green",
    "pending": "yellow",
    "silent": "yellow",
    "conflict": "red",
    "refused": "red",
    "down": "bold red",
    "withdrawn": "dim",
    "ok": "green",
    "warn": "yellow",
    "fail": "bold red",
    "skipped": "dim",
}
"""How a state's word is coloured."""

WRAP_AT = 30
"""Columns a reason gets at least; with fewer it is said below the table."""

Cell = str | int | None
_UNITS = ("B", "kB", "MB", "GB", "TB")


def console(width: int | None = None) -> Console:
    """Where a person reads: plain text where stdout is no terminal or NO_COLOR is set.

    ``width`` in columns is the terminal's where it is left out. Without a terminal lines
    are as long as they want to be: programs cut at blanks, not at eighty characters.
    """
    tty = sys.stdout.isatty()
    plain = not tty or bool(os.environ.get("NO_COLOR"))
    return Console(
        color_system=None if plain else "auto",
        highlight=False,
        width=width if tty else 10_000,
    )


def emit(made: RenderableType, width: int | None = None) -> None:
    """Print it on :func:`console`, without blanks at the ends of lines."""
    out = console(width)
    with out.capture() as told:
        out.print(made)
    for line in told.get().splitlines():
        click.echo(line.rstrip())


def print_json(value: Any) -> None:
    """Print what msgspec can encode, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def tables(
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell | Text]],
    *,
    wrap: str = "",
    width: int,
) -> list[Table]:
    """A table of at most ``width`` columns where that can be; no cell is ever cut.

    Only the column named ``wrap`` takes more lines; where it has no room for that, a second
    table below repeats the first two columns and says it there. An empty cell is a dash.
    """
    lines = [[_cell(cell) for cell in row] for row in rows]
    fixed = sum(_widest(lines, place, title) + 2 for place, title in enumerate(columns))
    if wrap not in columns:
        return [_table(columns, lines, {})]
    noted = list(columns).index(wrap)
    room = width - fixed + _widest(lines, noted, wrap) + 2
    if room >= min(_widest(lines, noted, wrap), WRAP_AT):
        return [_table(columns, lines, {noted: room})]
    first = [title for title in columns if title != wrap]
    others = [line[:noted] + line[noted + 1 :] for line in lines]
    notes = [
        [*other[:2], line[noted]]
        for line, other in zip(lines, others, strict=True)
        if line[noted].plain != "-"
    ]
    taken = sum(_widest(notes, place, first[place]) + 2 for place in (0, 1))
    return [
        _table(first, others, {}),
        _table([*first[:2], wrap], notes, {2: max(width - taken, WRAP_AT)}),
    ]


def _widest(lines: list[list[Text]], place: int, title: str) -> int:
    return max([len(title), *(line[place].cell_len for line in lines)])


def _table(columns: Sequence[str], lines: list[list[Text]], room: dict[int, int]) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for place, title in enumerate(columns):
        widest = _widest(lines, place, title)
        made.add_column(
            title,
            no_wrap=place not in room,
            width=min(widest, max(room.get(place, widest), 1)),
            overflow="fold",
        )
    for line in lines:
        made.add_row(*line)
    return made


def _cell(cell: Cell | Text) -> Text:
    if isinstance(cell, Text):
        return cell
    word = "" if cell is None else str(cell)
    return Text(word or "-", style=STYLES.get(word, "" if word else "dim"))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell | Text]],
    *,
    wrap: str = "",
    empty: str = "nothing",
) -> None:
    """Print :func:`tables`, or ``empty`` where there are no rows."""
    lines = list(rows)
    if not lines:
        click.echo(empty)
        return
    out = console()
    for place, made in enumerate(tables(columns, lines, wrap=wrap, width=out.width)):
        if place and made.row_count:
            out.print()
        if made.row_count or not place:
            # Wider than the screen where a row needs it: an address cut short is of no use.
            needed = Measurement.get(out, out.options.update(width=10_000), made).maximum
            emit(made, max(out.width, needed))


def duration(seconds: float) -> str:
    """``8 s``, ``3 min``, ``5 h``, ``12 d``: the largest unit that fits, rounded down."""
    left = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if left >= size:
            return f"{left // size} {unit}"
    return f"{left} s"


def amount(octets: float) -> str:
    """Bytes as ``831 B``, ``1.2 MB``: decimal units."""
    power = min(len(_UNITS) - 1, max(0, len(str(int(octets))) - 1) // 3)
    value = octets / 1000**power
    return (
        f"{value:.1f} {_UNITS[power]}" if power and value < 100 else f"{value:.0f} {_UNITS[power]}"
    )
