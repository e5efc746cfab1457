"""JSON, tables, and the few words that both sides print the same way."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import click
import msgspec

from zthook.cli import screen
from zthook.cli.tables import Cell, table_lines
from zthook.model.paths import OverlayPath
from zthook.model.redial import Redial

_UNITS = ("B", "kB", "MB", "GB", "TB")


def print_json(value: Any) -> None:
    """Print what msgspec can encode, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    loose: Collection[str] = (),
    empty: str = "nothing",
) -> None:
    """Print a table (``tables.table_lines``), or ``empty`` where there are no rows."""
    lines = table_or(empty, columns, list(rows), loose=loose, width=screen.width())
    click.echo("\n".join(lines))


def table_or(
    empty: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    loose: Collection[str] = (),
    width: int | None,
) -> list[str]:
    """The lines of a table, or ``empty`` where there are no rows."""
    return table_lines(columns, rows, loose=loose, width=width) if rows else [empty]


def duration(seconds: float) -> str:
    """``8 s``, ``3 min``, ``5 h``, ``12 d``: the largest unit that fits, rounded down."""
    left = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if left >= size:
            return f"{left // size} {unit}"
    return f"{left} s"


def amount(octets: float) -> str:
    """Bytes as ``831 B``, ``1.2 MB``: decimal units."""
    value, power = octets, 0
    while value >= 999.5 and power < len(_UNITS) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.{int(power > 0 and value < 99.95)}f} {_UNITS[power]}"


def traffic(octets: int, rate: float | None) -> str:
    """Bytes, and where it is known how many a second: ``1.2 MB at 30.0 kB/s``."""
    return amount(octets) if rate is None else f"{amount(octets)} at {amount(rate)}/s"


def redial_lines(redial: Redial | None) -> Iterator[tuple[str, str]]:
    """How soon the overlay is back after a redial, as (label, text); nothing where it is not
    ZeroTier's.
    """
    if redial is None:
        return
    if redial.fault:
        yield "redial", f"not known how it is set up: {redial.fault}"
    elif redial.restart:
        waits = "waits for a restart of zerotier-one: systemctl restart zerotier-one"
        yield "redial", f"{waits} (the overlay is away for two seconds)"
    elif not redial.wanted:
        yield "redial", "as zerotier-one does it (fast_redial = false)"
    elif redial.hosts is None:
        yield "redial", "set up: one UDP port, a ping a second"
    else:
        fast = sum(bond == "broadcast" for bond in redial.hosts.values())
        yield "redial", f"heals at once with {fast} of {len(redial.hosts)} hosts"
    yield from (("", note) for note in redial.notes)


def words_of(path: OverlayPath | None) -> str:
    """A way through the overlay: ``direct 12 ms``; empty where it is not known."""
    if path is None:
        return ""
    word = "direct" if path.direct else "relayed"
    if path.latency is None:
        return word
    return f"{word} {path.latency * 1000:.0f} ms" if path.latency >= 0.001 else f"{word} <1 ms"
