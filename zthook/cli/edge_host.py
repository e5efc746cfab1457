"""``zthook edge host``: who may speak to this edge."""

import time

import click

from zthook.cli.commands import LazyGroup, command, json_option
from zthook.cli.edge_ask import ask_edge, ask_edge_for
from zthook.cli.edge_words import HOST_COLUMNS, clock_time, host_row
from zthook.cli.faults import complain
from zthook.cli.output import duration, print_json, print_table
from zthook.edge.admin_views import Approved, HostAdded, HostRemoved, Knock
from zthook.edge.views import HostView
from zthook.errors import UsageError

host = LazyGroup(
    "host",
    {
        "add": ("zthook.cli.edge_host:add", "Invite a host, and print how it enrols."),
        "approve": ("zthook.cli.edge_host:approve", "Let a member into the overlay."),
        "list": ("zthook.cli.edge_host:list_hosts", "Every host, with its lease."),
        "rotate": ("zthook.cli.edge_host:rotate", "Replace a host's credential."),
        "remove": ("zthook.cli.edge_host:remove", "Shut a host out, withdraw its mappings."),
    },
    help="Who may speak to this edge: invite, approve, list, rotate and remove hosts.",
    example="zthook edge host add home1 --member 5d4548d482",
)


hours_option = click.option(
    "--hours",
    type=click.FloatRange(min=0, min_open=True),
    default=24.0,
    show_default=True,
    help="The token's life.",
)


@command("add", example="zthook edge host add home1 --member 5d4548d482 --private 192.168.122.0/24")
@click.argument("name")
@click.option("--member", metavar="NODEID", help="Its ZeroTier node id: let it into the overlay.")
@click.option(
    "--private",
    multiple=True,
    metavar="CIDR",
    help="Where its guests' private addresses lie (default: RFC 1918). Repeatable.",
)
@click.option(
    "--pool", "pools", multiple=True, metavar="NAME", help="Only this pool (default: all)."
)
@click.option(
    "--group",
    metavar="NAME",
    help="Hosts of one group move guests among them without waiting.",
)
@hours_option
@json_option
def add(
    *,
    name: str,
    member: str | None,
    private: tuple[str, ...],
    pools: tuple[str, ...],
    group: str | None,
    hours: float,
    as_json: bool,
) -> None:
    """Invite the host NAME and print the one command that enrols it.

    With a NAME that is there already: a new token for it; what is not given stays as it is.
    """
    added = ask_edge_for(
        HostAdded,
        "host_add",
        name=name,
        member=member,
        prefixes=list(private) or None,
        pools=list(pools) or None,
        group=group,
        expires_seconds=hours * 3600,
    )
    if as_json:
        print_json(added)
    else:
        _tell(added)


def _tell_token(added: HostAdded) -> None:
    left = duration(added.expires - time.time() + 1)
    click.echo(f"On {added.host}, as root, within {left} (until {clock_time(added.expires)}):\n")
    click.echo(f"    zthook join {added.token}\n")
    click.echo("The token works once.")
    if added.network:
        click.echo(f"It takes that machine into ZeroTier network {added.network} too.")


def _tell(added: HostAdded) -> None:
    _tell_token(added)
    click.echo("Where zthook is not installed yet, in its checkout: ./install.sh host TOKEN")
    if added.member and added.authorised:
        click.echo(f"Member {added.member} is let into the overlay.")
    elif added.member:
        complain(f"member {added.member} was not let into the overlay: {added.why}")
        click.get_current_context().exit(1)
    elif added.network:
        click.echo(
            "Its node has to be let in: where this machine is the network's controller, by"
            f" `zthook edge host approve NODEID --host {added.host}`."
        )


@command("rotate", example="zthook edge host rotate home1 --now")
@click.argument("name")
@click.option("--now", is_flag=True, help="End the credential it has at once.")
@hours_option
@json_option
def rotate(*, name: str, now: bool, hours: float, as_json: bool) -> None:
    """Replace the credential of the host NAME: print the one command that gives it another.

    Its mappings stay. The credential it has ends when the new token is used, or with --now at
    once: the host then has the rest of its lease and the grace (about ten minutes) to take
    the new one, before its addresses can be another's.
    """
    asked = {"name": name, "now": now, "expires_seconds": hours * 3600}
    added = ask_edge_for(HostAdded, "host_rotate", **asked)
    if as_json:
        print_json(added)
        return
    _tell_token(added)
    ended = "has ended" if now else "ends when the token is used"
    click.echo(f"The present credential of {name} {ended}.")


@command("list", example="zthook edge host list")
@json_option
def list_hosts(*, as_json: bool) -> None:
    """Every host that is enrolled or invited, and its lease."""
    found = ask_edge_for(list[HostView], "hosts")
    if as_json:
        print_json(found)
        return
    rows = [host_row(one, time.time()) for one in found]
    print_table(HOST_COLUMNS, rows, loose=("NOTE",), empty="no hosts: zthook edge host add NAME")


@command("approve", example="zthook edge host approve 5d4548d482 --host home1")
@click.argument("member", metavar="[NODEID]", required=False)
@click.option("--host", metavar="NAME", help="Whose node it is: it goes when that host does.")
@click.option("--undo", is_flag=True, help="Let NODEID in no more.")
@json_option
def approve(member: str | None, *, host: str | None, undo: bool, as_json: bool) -> None:
    """Let a member into the overlay; without NODEID, list who knocks.

    This machine's ZeroTier must be the network's controller. Nobody is let in but the node that
    is named here: compare it with what `zthook join` shows on the host.
    """
    if member is None and (undo or host):
        raise UsageError("whom? zthook edge host approve shows who knocks; give the NODEID")
    if member is not None and as_json:
        raise UsageError("--json goes without NODEID: it is for the list of who knocks")
    if undo and host:
        raise UsageError("--host has no meaning with --undo: it is NODEID that is shut out")
    if member is None:
        _tell_knocks(ask_edge_for(list[Knock], "knocking"), as_json=as_json)
    elif undo:
        ask_edge("shut_out", member=member)
        click.echo(f"{member} is let into the overlay no more")
    else:
        _tell_approved(ask_edge_for(Approved, "approve", member=member, host=host))


def _tell_approved(approved: Approved) -> None:
    click.echo(f"{approved.member} is let into the overlay")
    if approved.others:
        click.echo(f"knocking still: {', '.join(approved.others)}")
    if approved.others and not approved.knocked:
        undo = f"zthook edge host approve {approved.member} --undo"
        click.echo(f"{approved.member} itself did not knock; if you meant another: {undo}")


def _tell_knocks(knocks: list[Knock], *, as_json: bool) -> None:
    if as_json:
        print_json(knocks)
        return
    rows = [(one.member, *_times(one), _shut_out(one)) for one in knocks]
    columns = ("MEMBER", "SINCE", "ADDRESS", "NOTE")
    print_table(columns, rows, loose=("NOTE",), empty="nobody knocks")
    if knocks:
        click.echo("\nlet one in, and nobody else: zthook edge host approve MEMBER --host NAME")


def _times(knock: Knock) -> tuple[str, str]:
    since = "" if knock.since is None else f"{duration(time.time() - knock.since)} ago"
    return since, knock.address or ""


def _shut_out(knock: Knock) -> str:
    return f"shut out {clock_time(knock.shut_out)}" if knock.shut_out else ""


@command("remove", example="zthook edge host remove home1")
@click.argument("name")
def remove(name: str) -> None:
    """Shut the host NAME out: its mappings are withdrawn at once, its credential ends.

    Where this machine's ZeroTier is the network's controller, its node is let into the overlay
    no more.
    """
    removed = ask_edge_for(HostRemoved, "host_remove", name=name)
    click.echo(f"{name} is removed and its mappings are withdrawn")
    if removed.shut_out:
        click.echo(f"its node {removed.member} is let into the overlay no more")
    elif removed.member:
        click.echo(f"its node {removed.member} is in the overlay still: {removed.why}")
    elif removed.why:
        click.echo(f"{removed.why} zthook edge host approve NODEID --undo shuts it out")
