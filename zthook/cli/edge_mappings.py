"""``zthook edge mappings`` and ``release``."""

import time
from collections.abc import Sequence

import click

from zthook.cli import screen
from zthook.cli.commands import command, json_option
from zthook.cli.edge_ask import ask_edge_for
from zthook.cli.mapping_words import way
from zthook.cli.output import duration, print_json, table_or, traffic
from zthook.cli.tables import Cell
from zthook.cli.watching import show, watch_option
from zthook.edge.views import MappingView, Released

COLUMNS = (
    *("PUBLIC", "GUEST", "HOST", "STATE", "SINCE", "PRIVATE", "IN", "OUT"),
    *("MODE", "WHY"),
)


def mapping_row(one: MappingView, now: float) -> list[Cell]:
    """One mapping as its line of the table; ``now`` is Unix time."""
    why = one.reason or (f"held by {one.holder}" if one.holder else "")
    passed = one.traffic
    return [
        one.public or one.asked,
        one.guest,
        one.host,
        one.state,
        duration(now - one.since),
        one.private,
        traffic(passed.bytes_in, passed.rate_in) if passed else "",
        traffic(passed.bytes_out, passed.rate_out) if passed else "",
        way(one),
        why,
    ]


@command("mappings", example="zthook edge mappings --watch")
@json_option
@watch_option
def mappings(*, as_json: bool, watch: bool) -> None:
    """Every claim of every host: its guest, its addresses, its state and why, its traffic.

    And every address that is reserved for a guest's auto which nobody claims now. IN is
    toward the guest, since the mapping entered the kernel, and a second since this was asked
    before. What the screen is too narrow for stands below a mapping's line.
    """
    show(
        lambda: ask_edge_for(list[MappingView], "mappings"),
        lambda found: picture(found, now=time.time(), width=screen.width()),
        as_json=as_json,
        watch=watch,
    )


def picture(found: Sequence[MappingView], *, now: float, width: int | None) -> list[str]:
    """All of them, for a person."""
    rows = [mapping_row(one, now) for one in found]
    loose = ("MODE", "WHY")
    return table_or("no host claims an address", COLUMNS, rows, loose=loose, width=width)


@command("release", example="zthook edge release 203.0.113.10")
@click.argument("public")
@json_option
def release(public: str, *, as_json: bool) -> None:
    """End the reservation of PUBLIC: it can be another guest's from now on.

    It is reserved for a guest that had it by auto, or whose host is gone and its grace not
    over. A holder that is there keeps it: stop its guest, or `zthook edge host remove` its host.
    """
    ended = ask_edge_for(Released, "release", public=public)
    if as_json:
        print_json(ended)
    else:
        click.echo(f"{ended.public} is free: it was reserved for {ended.guest} on {ended.host}")
