"""``zthook status``: who has which address, and whether it works."""

import time
from collections.abc import Sequence

import click

from zthook.cli.agent_ask import agent_status, rows_of
from zthook.cli.commands import command, json_option
from zthook.cli.faults import complain
from zthook.cli.output import Cell, amount, duration, print_json, print_table
from zthook.cli.watching import repeat, watch_option
from zthook.config.places import Places
from zthook.host.health import Health
from zthook.host.status import AgentStatus, MappingView

COLUMNS = (
    "GUEST",
    "STATE",
    "PUBLIC",
    "PRIVATE",
    "MODE",
    "MAPPING",
    "SINCE",
    "IN",
    "OUT",
    "WHY",
)
NOBODY = "no guest here asks for an address; give one: zthook assign GUEST PUBLIC"


SHOWN_PORTS = 2
"""Of a mapping's ports; ``--json`` has them all."""


def way(view: MappingView) -> str:
    """How it is mapped: ``nat keep``, ``routed keep egress=public tcp/80:8080 +3``."""
    more = len(view.ports) - SHOWN_PORTS
    words = [
        view.mode,
        view.client,
        "egress=public" if view.egress == "public" else None,
        *view.ports[:SHOWN_PORTS],
        f"+{more}" if more > 0 else None,
    ]
    return " ".join(word for word in words if word)


def row(view: MappingView, now: float) -> list[Cell]:
    """A mapping as a line; ``now`` is Unix time."""
    traffic = view.traffic
    return [
        view.guest,
        view.guest_state,
        view.public or (view.asked and "auto"),
        view.private,
        way(view),
        view.state.value,
        duration(now - view.since) if view.since is not None else "",
        amount(traffic.bytes_in) if traffic else "",
        amount(traffic.bytes_out) if traffic else "",
        view.reason,
    ]


def headline(status: AgentStatus, now: float) -> str:
    """This host, its edge, and how long each part has been up or down."""
    if status.edge is None:
        return "this host belongs to no edge"
    parts = [
        f"{name} {_health(health, now)}"
        for name, health in (
            (f"edge {status.edge}", status.edge_health),
            ("overlay", status.overlay_health),
            ("libvirt", status.libvirt_health),
        )
        if health is not None
    ]
    if status.lease_age is not None and status.lease_seconds is not None:
        parts.append(f"lease renewed {duration(status.lease_age)} ago")
    return f"host {status.host}: {', '.join(parts)}"


def _health(health: Health, now: float) -> str:
    down = "refuses this host" if health.refusing else "down"
    word = {True: "up", False: down, None: "not asked yet"}[health.up]
    return word if health.up is None else f"{word} {duration(now - health.since)}"


def show(status: AgentStatus, mappings: Sequence[MappingView], now: float, empty: str) -> None:
    """Print it for a person."""
    click.echo(headline(status, now))
    for fault in status.faults:
        complain(fault)
    if status.edge is None:
        return
    click.echo()
    print_table(COLUMNS, [row(view, now) for view in mappings], wrap="WHY", empty=empty)


@command("status", example="zthook status web1 --watch")
@click.argument("guest", required=False)
@json_option
@watch_option
@click.pass_context
def status(context: click.Context, guest: str | None, *, as_json: bool, watch: bool) -> None:
    """Show each guest's public address, whether it works, and if not, why.

    With GUEST (name or UUID) only that one's; exits 1 where it has no active mapping.
    Without, exits 1 where something is wrong with the agent.
    """
    places = Places.from_environment()

    def look() -> bool:
        found = agent_status(places)
        mappings = rows_of(found, guest) if guest else found.mappings
        if as_json:
            print_json(mappings if guest else found)
        else:
            empty = f"guest {guest!r} asks for no address here: zthook assign {guest} PUBLIC"
            show(found, mappings, time.time(), empty if guest else NOBODY)
        if guest:
            return any(view.state == "active" for view in mappings)
        return not found.faults

    if watch:
        repeat(look)
    context.exit(0 if look() else 1)
