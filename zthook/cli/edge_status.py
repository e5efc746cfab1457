"""``zthook edge status``: what an admin wants to know at one look."""

import time
from collections.abc import Iterator

import click

from zthook.cli import screen
from zthook.cli.check import Checked, check_option, critical, tell
from zthook.cli.commands import command, json_option
from zthook.cli.edge_ask import ask_edge_for
from zthook.cli.edge_check import check_edge
from zthook.cli.edge_words import HOST_COLUMNS, POOL_COLUMNS, host_row, pool_row
from zthook.cli.mapping_words import counted
from zthook.cli.output import duration, redial_lines, table_or
from zthook.cli.screen import RED, styled
from zthook.cli.tables import labelled
from zthook.cli.watching import show, watch_option
from zthook.edge.admin_views import EdgeReport
from zthook.errors import DaemonUnreachable


def headline(report: EdgeReport, now: float) -> Iterator[tuple[str, str]]:
    """The lines above the tables, as (label, text)."""
    status = report.status
    up = duration(now - status.started)
    yield "edge", f"{status.edge}, zthook {status.version}, up {up}"
    if status.overlay is None:
        yield "overlay", styled("down")
    else:
        addresses = ", ".join(status.overlay.addresses)
        yield "overlay", f"{status.overlay.device} {addresses}, MTU {status.overlay.mtu}"
    yield from redial_lines(report.redial)
    yield "API", f"https://{report.listening}" if report.listening else "not yet listening"
    yield "mappings", counted({str(state): number for state, number in status.mappings.items()})
    drift = status.drift
    if drift.last_at is None:
        yield "repairs", "none since the start"
    else:
        ago = duration(now - drift.last_at)
        yield "repairs", f"{drift.repaired} since the start, the last {ago} ago:"
        yield from (("", line) for line in drift.last)
    for problem in report.problems:
        yield "problem", styled(problem, RED)


def picture(report: EdgeReport, *, now: float, width: int | None) -> list[str]:
    """All of it, for a person."""
    hosts = [host_row(host, now) for host in report.status.hosts]
    pools = [pool_row(pool) for pool in report.pools]
    no_hosts, no_pools = "no hosts: zthook edge host add NAME", "no pools: zthook edge pool add"
    return [
        *labelled(list(headline(report, now)), width=width),
        "",
        *table_or(no_hosts, HOST_COLUMNS, hosts, loose=("NOTE",), width=width),
        "",
        *table_or(no_pools, POOL_COLUMNS, pools, loose=("ADDRESSES",), width=width),
    ]


def checked() -> Checked:
    """What monitoring is told. Raises what asking does, but for a daemon that is away."""
    try:
        report = ask_edge_for(EdgeReport, "status")
    except DaemonUnreachable as error:
        return critical(error.message)
    return check_edge(report, time.time())


@command("status", example="zthook edge status --watch")
@json_option
@watch_option
@check_option
@click.pass_context
def status(context: click.Context, *, as_json: bool, watch: bool, check: bool) -> None:
    """The overlay, the API, hosts and their leases, pools, mappings, repairs, problems.

    Exits 1 where there is a problem. --check is for monitoring: critical is what keeps this
    edge from its work, a warning a host that is silent, or what somebody should look at.
    """
    if check:
        context.exit(tell("ZTHOOK EDGE", checked, alone=not as_json and not watch))
    report = show(
        lambda: ask_edge_for(EdgeReport, "status"),
        lambda report: picture(report, now=time.time(), width=screen.width()),
        as_json=as_json,
        watch=watch,
    )
    context.exit(1 if report.problems else 0)
