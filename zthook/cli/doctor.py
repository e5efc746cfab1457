"""``zthook doctor``: follows the packet's way, and says what is amiss and what to do next."""

from collections.abc import Iterator

import click

from zthook.cli import screen
from zthook.cli.commands import command, json_option
from zthook.cli.output import print_json
from zthook.cli.screen import DIM, Style, styled, wrapped
from zthook.config.places import Places
from zthook.doctor.finding import Diagnosis, Outcome, Told
from zthook.errors import NotEnrolled, UsageError

HEAD = 26
"""Columns of the outcome and the check's name."""
STEP = Style(fg="cyan")


def lines(told: Told, width: int | None) -> Iterator[str]:
    """A finding for a person, with the next step below it where there is one."""
    word = told.outcome.value
    head = f"{styled(word)}{'':{9 - len(word)}}{told.check:15}  "
    room = width - HEAD if width else len(told.seen + told.next) + HEAD
    for line in wrapped(told.seen, room):
        yield head + styled(line, DIM if told.outcome is Outcome.SKIPPED else None)
        head = " " * HEAD
    if told.next and told.outcome is not Outcome.OK:
        yield from (head + styled(line, STEP) for line in wrapped(f"→ {told.next}", room))


def told_of(places: Places, guest: str, *, as_edge: bool) -> Iterator[Told]:
    """What the checks of this machine come to, one by one.

    Raises NotEnrolled where it is neither host nor edge, UsageError for a guest on an edge.
    """
    from zthook.doctor.walk import walk

    is_host = places.host_config.exists() or places.credential.exists()
    if not is_host and not places.edge_config.exists():
        raise NotEnrolled(
            f"this machine is neither host nor edge: there is nothing in {places.config}",
            hint="on a host: zthook join TOKEN; on an edge: zthook edge init",
        )
    if is_host and not as_edge:
        from zthook.doctor.host.case import HostCase
        from zthook.doctor.host_walk import host_checks

        return walk(host_checks(guest), HostCase(places, guest))
    if guest:
        raise UsageError(
            "an edge has no guests: GUEST is one of a host's",
            hint="run it on the host, or without GUEST here",
        )
    from zthook.doctor.edge.case import EdgeCase
    from zthook.doctor.edge_walk import EDGE

    return walk(EDGE, EdgeCase(places))


@command("doctor", example="zthook doctor web1")
@click.argument("guest", required=False, default="")
@click.option("--edge", "as_edge", is_flag=True, help="The edge's, where it is both.")
@json_option
@click.pass_context
def doctor(context: click.Context, guest: str, *, as_edge: bool, as_json: bool) -> None:
    """Follow the packet's way and the control way, and say where either ends.

    On a host: hook, libvirt, agent, overlay, edge, and what the kernel has for mapped guests;
    with GUEST (name or UUID) also that guest, with a verdict in one sentence. On an edge: its
    daemon, store, kernel, uplinks and pools. Each check says what it saw: ok, warn, fail, or
    skipped, and what to do next. Nothing is changed.

    Exits 0 where no check failed, 1 where one did.
    """
    from zthook.doctor.verdict import verdict
    from zthook.doctor.walk import is_well

    found: list[Told] = []
    for told in told_of(Places.from_environment(), guest, as_edge=as_edge):
        found.append(told)
        if not as_json:
            click.echo("\n".join(lines(told, screen.width())))
    said = verdict(guest, found) if guest else ""
    if as_json:
        print_json(Diagnosis(found, is_well(found), said))
    elif said:
        click.echo(f"\n{said}")
    context.exit(0 if is_well(found) else 1)
