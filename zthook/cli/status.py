"""``zthook status``: who has which address, and whether it works."""

import time
from collections import Counter
from collections.abc import Callable, Iterator

import click
from msgspec.structs import replace

from zthook.cli import screen
from zthook.cli.agent_ask import agent_status, rows_of
from zthook.cli.check import Checked, check_option, critical, tell, unknown
from zthook.cli.commands import command, json_option
from zthook.cli.mapping_words import counted, way
from zthook.cli.output import duration, redial_lines, table_or, traffic, words_of
from zthook.cli.screen import RED, styled
from zthook.cli.status_check import check_guest, check_host
from zthook.cli.tables import Cell, labelled
from zthook.cli.watching import show, watch_option
from zthook.config.places import Places
from zthook.errors import DaemonUnreachable, NotEnrolled
from zthook.host.credential import JOIN_HINT
from zthook.host.health import Health
from zthook.host.status import AgentStatus, MappingView

COLUMNS = (
    *("GUEST", "STATE", "PUBLIC", "MAPPING", "SINCE", "PRIVATE", "IN", "OUT"),
    *("MODE", "WHY"),
)
NOBODY = "no guest here asks for an address; give one: zthook assign GUEST PUBLIC"


def row(view: MappingView, now: float) -> list[Cell]:
    """A mapping as a line; ``now`` is Unix time."""
    passed = view.traffic
    return [
        view.guest,
        view.guest_state,
        view.public or (view.asked and "auto"),
        view.state.value,
        duration(now - view.since) if view.since is not None else "",
        view.private,
        traffic(passed.bytes_in, passed.rate_in) if passed else "",
        traffic(passed.bytes_out, passed.rate_out) if passed else "",
        way(view),
        view.reason,
    ]


def headline(status: AgentStatus, now: float) -> Iterator[tuple[str, str]]:
    """This host, and how long each part has been up or down, as (label, text)."""
    if status.edge is None:
        yield "host", f"belongs to no edge, zthook {status.version}"
    else:
        yield "host", f"{status.host}, zthook {status.version}"
        lease = status.lease_age
        renewed = f"lease renewed {duration(lease)} ago" if lease is not None else ""
        yield "edge", _said(status.edge, _health(status.edge_health, now), renewed)
        path = words_of(status.overlay_path)
        reached = f"to the edge {path}" if path else ""
        yield "overlay", _said("", _health(status.overlay_health, now), reached)
        yield from redial_lines(status.redial)
        yield "libvirt", _health(status.libvirt_health, now)
        yield "mappings", counted(Counter(one.state.value for one in status.mappings))
    for fault in status.faults:
        yield "problem", styled(fault, RED)


def _said(name: str, *parts: str) -> str:
    return f"{name} {', '.join(part for part in parts if part)}".strip()


def _health(health: Health | None, now: float) -> str:
    if health is None or health.up is None:
        return "not asked yet"
    word = "up" if health.up else "down"
    said = styled("refuses this host", RED) if health.refusing else styled(word)
    return f"{said} {duration(now - health.since)}"


def picture(status: AgentStatus, empty: str, *, now: float, width: int | None) -> list[str]:
    """All of it, for a person; ``empty`` is what is said without any mapping."""
    lines = labelled(list(headline(status, now)), width=width)
    if status.edge is None:
        return lines
    rows = [row(view, now) for view in status.mappings]
    return [*lines, "", *table_or(empty, COLUMNS, rows, loose=("MODE", "WHY"), width=width)]


def known(places: Places) -> AgentStatus:
    """What the agent knows. Raises DaemonUnreachable, NotEnrolled (and no agent runs)."""
    try:
        return agent_status(places)
    except DaemonUnreachable as error:
        if not _belongs_nowhere(places):
            raise
        raise NotEnrolled(
            "this host belongs to no edge", hint=f"{JOIN_HINT}. On an edge: zthook edge status"
        ) from error


def _belongs_nowhere(places: Places) -> bool:
    """Whether there is no credential; somebody who may not look there can not say so."""
    try:
        places.credential.stat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def checked(look: Callable[[], AgentStatus], guest: str | None) -> Checked:
    """What monitoring is told. Raises what ``look`` does, but for an agent that is away."""
    try:
        found = look()
    except NotEnrolled as error:
        return unknown(error.message)
    except DaemonUnreachable as error:
        return critical(error.message)
    now = time.time()
    return check_guest(found, guest, now) if guest else check_host(found, now)


@command("status", example="zthook status web1 --watch")
@click.argument("guest", required=False)
@json_option
@watch_option
@check_option
@click.pass_context
def status(
    context: click.Context, guest: str | None, *, as_json: bool, watch: bool, check: bool
) -> None:
    """Show each guest's public address, whether it works, and if not, why.

    IN is toward the guest, since its mapping began, and a second since status was asked
    before. What the screen is too narrow for stands below a guest's line.

    With GUEST (name or UUID) only that one's; exits 1 where it has no active mapping.
    Without, exits 1 where something is wrong with the agent.

    --check is for monitoring: critical is what keeps clients from a guest now, or will
    without somebody's hand, a warning what heals by itself as a rule or nobody outside notices.
    """
    places = Places.from_environment()
    empty = f"guest {guest!r} asks for no address here: zthook assign {guest} PUBLIC"

    def look() -> AgentStatus:
        found = known(places)
        return replace(found, mappings=rows_of(found, guest)) if guest else found

    if check:
        alone = not as_json and not watch
        context.exit(tell("ZTHOOK", lambda: checked(look, guest), alone=alone))
    found = show(
        look,
        lambda found: picture(
            found, empty if guest else NOBODY, now=time.time(), width=screen.width()
        ),
        lambda found: found.mappings if guest else found,
        as_json=as_json,
        watch=watch,
    )
    well = any(one.state == "active" for one in found.mappings) if guest else not found.faults
    context.exit(0 if well else 1)
