"""``zthook edge mappings`` and ``release``."""

import time

import click

from zthook.cli.commands import command, json_option
from zthook.cli.edge_ask import ask_edge_for
from zthook.cli.output import Cell, amount, duration, print_json, print_table
from zthook.cli.watching import repeat, watch_option
from zthook.edge.views import MappingView, Released

COLUMNS = (
    *("PUBLIC", "GUEST", "HOST", "PRIVATE", "PORTS", "STATE", "SINCE"),
    *("MODE", "CLIENT", "EGRESS", "IN", "OUT", "WHY"),
)


def mapping_row(one: MappingView, now: float) -> list[Cell]:
    """One mapping as its line of the table; ``now`` is Unix time."""
    why = one.reason or (f"held by {one.holder}" if one.holder else "")
    return [
        one.public or one.asked,
        one.guest,
        one.host,
        one.private,
        ", ".join(one.ports),
        one.state,
        duration(now - one.since),
        one.mode,
        one.client,
        one.egress,
        amount(one.traffic.bytes_in) if one.traffic else "",
        amount(one.traffic.bytes_out) if one.traffic else "",
        why,
    ]


@command("mappings", example="zthook edge mappings --watch")
@json_option
@watch_option
def mappings(*, as_json: bool, watch: bool) -> None:
    """Every claim of every host: its guest, its addresses, its state and why, its traffic.

    And every address that is reserved for a guest's auto which nobody claims now. Without
    PORTS it is the whole address. IN is toward the guest. Traffic counts since the mapping
    entered the kernel.
    """

    def show() -> None:
        found = ask_edge_for(list[MappingView], "mappings")
        if as_json:
            print_json(found)
            return
        rows = [mapping_row(one, time.time()) for one in found]
        print_table(COLUMNS, rows, wrap="WHY", empty="no host claims an address")

    if watch:
        repeat(show)
    show()


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
