"""``zthook edge status``: what an admin wants to know at one look."""

import time
from collections.abc import Iterator

import click
from rich.table import Table
from rich.text import Text

from zthook.cli.commands import command, json_option
from zthook.cli.edge_ask import ask_edge_for
from zthook.cli.edge_words import HOST_COLUMNS, POOL_COLUMNS, host_row, pool_row
from zthook.cli.output import STYLES, duration, emit, print_json, print_table
from zthook.cli.watching import repeat, watch_option
from zthook.edge.admin_views import EdgeReport


def headline(report: EdgeReport, now: float) -> Iterator[tuple[str, Text]]:
    """The lines above the tables, as (label, text)."""
    status = report.status
    up = duration(now - status.started)
    yield "edge", Text(f"{status.edge}, zthook {status.version}, up {up}")
    if status.overlay is None:
        yield "overlay", Text("down", style=STYLES["down"])
    else:
        addresses = ", ".join(status.overlay.addresses)
        yield "overlay", Text(f"{status.overlay.device} {addresses}, MTU {status.overlay.mtu}")
    yield "API", Text(f"https://{report.listening}" if report.listening else "not yet listening")
    counts = [(state, number) for state, number in status.mappings.items() if number]
    yield (
        "mappings",
        Text(", ").join(
            Text(f"{number} {state}", style=STYLES.get(state, "")) for state, number in counts
        )
        or Text("none"),
    )
    yield "repairs", Text(_repairs(report, now))
    for problem in report.problems:
        yield "problem", Text(problem, style="bold red")


def _repairs(report: EdgeReport, now: float) -> str:
    drift = report.status.drift
    if drift.last_at is None:
        return "none since the start"
    ago = duration(now - drift.last_at)
    return "\n  ".join([f"{drift.repaired} since the start, the last {ago} ago:", *drift.last])


def show(report: EdgeReport, now: float) -> None:
    """Print it for a person."""
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(style="bold", no_wrap=True)
    lines.add_column(overflow="fold")
    for label, text in headline(report, now):
        lines.add_row(label, text)
    emit(lines)
    click.echo()
    hosts = [host_row(host, now) for host in report.status.hosts]
    print_table(HOST_COLUMNS, hosts, wrap="NOTE", empty="no hosts: zthook edge host add NAME")
    click.echo()
    pools = [pool_row(pool) for pool in report.pools]
    print_table(POOL_COLUMNS, pools, wrap="ADDRESSES", empty="no pools: zthook edge pool add")


@command("status", example="zthook edge status --watch")
@json_option
@watch_option
@click.pass_context
def status(context: click.Context, *, as_json: bool, watch: bool) -> None:
    """The overlay, the API, hosts and their leases, pools, mappings, repairs, problems.

    Exits 1 where there is a problem.
    """

    def look() -> EdgeReport:
        report = ask_edge_for(EdgeReport, "status")
        if as_json:
            print_json(report)
        else:
            show(report, time.time())
        return report

    if watch:
        repeat(look)
    context.exit(1 if look().problems else 0)
