"""``zthook edge log``: the audit trail."""

import re
import time

import click

from zthook.cli.commands import command, json_option
from zthook.cli.edge_ask import ask_edge_for
from zthook.cli.output import print_json, print_table
from zthook.cli.tables import Cell
from zthook.edge.views import EventView

COLUMNS = ("TIME", "EVENT", "PUBLIC", "GUEST", "HOST", "PRIVATE", "PORTS", "BY", "WHY")
_AGO = re.compile(r"(\d{1,6}) ?(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_FORMS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")
MOST = 40_000
"""More do not fit into one answer of the daemon."""


def moment(text: str) -> float:
    """Unix time of ``2 h`` (ago) or a local ``2026-01-31 14:00``. Raises BadParameter."""
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    for form in _FORMS:
        try:
            return time.mktime(time.strptime(text, form))
        except (ValueError, OverflowError):
            continue
    raise click.BadParameter(f"{text!r}: write it as 2h, 3d or '2026-01-31 14:00'")


def event_row(one: EventView) -> list[Cell]:
    """One line of the audit trail as its line of the table."""
    why = f"{one.times} times, the last: {one.why}" if one.times > 1 else one.why
    return [
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.at)),
        one.event,
        one.public,
        one.guest,
        one.host,
        one.private,
        ", ".join(one.ports),
        one.source,
        why,
    ]


@command("log", example="zthook edge log --public 203.0.113.10 --since 7d")
@click.option("--public", default="", metavar="ADDRESS", help="Only of this public address.")
@click.option("--host", default="", metavar="NAME", help="Only of this host.")
@click.option("--guest", default="", metavar="NAME|UUID", help="Only of this guest.")
@click.option(
    "--since", type=moment, metavar="TIME", help="Not before: 2h, 3d, or '2026-01-31 14:00'."
)
@click.option(
    "--last",
    "most",
    type=click.IntRange(1, MOST),
    default=1000,
    show_default=True,
    help="At most so many lines, the last ones.",
)
@json_option
def log(
    *, public: str, host: str, guest: str, since: float | None, most: int, as_json: bool
) -> None:
    """Who got, had and lost which address when, and who let which host in: the audit trail.

    The oldest line is first. Times are this machine's. Of a guest its name is told as it was
    then, and its UUID with --json. The edge keeps the last 100,000 lines, of each host 10,000.
    """
    asked = {"public": public, "host": host, "guest": guest, "since": since or 0.0}
    found = ask_edge_for(list[EventView], "events", most=most, **asked)
    if as_json:
        print_json(found)
        return
    print_table(COLUMNS, map(event_row, found), loose=("WHY",), empty="nothing that fits was noted")
