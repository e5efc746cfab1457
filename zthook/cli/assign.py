"""``zthook assign``, ``unassign`` and ``apply``: a guest's annotation, persistent and live."""

from collections.abc import Set as AbstractSet
from typing import Any

import click

from zthook.cli.address_options import read_public, reading, request_of, with_options
from zthook.cli.agent_ask import START_HINT, hint_agent, rows_of, wait_for
from zthook.cli.commands import command
from zthook.cli.guests import Definitions
from zthook.errors import NotFound, Refused, UsageError
from zthook.host.publishing import asked_for, with_request, without
from zthook.host.status import AgentStatus, MappingView
from zthook.model.addresses import IPAddress
from zthook.model.publication import AddressRequest, Publication

LOOK_SECONDS = 3.0
"""For the agent to see the change: what it says before is of the time before."""
WAIT_SECONDS = 5.0
"""For the edge's answer; a guest without address may take longer and is told as pending."""


@command("assign", example="zthook assign web1 203.0.113.10")
@click.argument("guest")
@click.argument("public", callback=reading(read_public), metavar="PUBLIC|auto")
@with_options
def assign(guest: str, public: tuple[IPAddress | None], **options: Any) -> int:
    """Give a guest a public address, beside those it has.

    It is written into the guest's XML, so that it has the address at each start; where it
    runs it has it at once, without a restart. The same address again changes how it is
    mapped. Exits 1 where the edge (or this version) refuses it.
    """
    request = request_of(public[0], options)
    if request.pool is not None and request.public is not None:
        raise UsageError("--pool goes with `auto`", hint=f"zthook assign {guest} auto --pool NAME")
    definitions = Definitions.of(guest)
    definitions.refuse_wrong()
    if why := definitions.change(lambda before: with_request(before, request)):
        click.echo(f"only for as long as it runs: {why}")
    return _tell_assigned(definitions, request)


def _tell_assigned(definitions: Definitions, request: AddressRequest) -> int:
    name, what = definitions.persistent.name, request.public or "an address of its own"
    if definitions.live is None:
        click.echo(
            f"{name} does not run: it asks for {what} from its next start on; once it runs,"
            f" zthook status {name} says whether it got it"
        )
        return 0
    written = asked_for(with_request(definitions.live.publication, request))
    return _tell_state(definitions, {str(asked) for one, asked in written if one == request})


def _tell_state(definitions: Definitions, asked: AbstractSet[str]) -> int:
    """Wait a moment for what becomes of what is asked for, and say it."""
    name, uuid = definitions.persistent.name, str(definitions.persistent.uuid)
    hint_agent(definitions.places, seconds=LOOK_SECONDS)

    def rows(found: AgentStatus) -> list[MappingView]:
        return [row for row in rows_of(found, uuid) if row.asked in asked]

    status = wait_for(
        definitions.places,
        lambda found: {row.asked for row in rows(found) if row.state != "pending"} == asked,
        seconds=WAIT_SECONDS,
    )
    what = " and ".join("auto" if "/" in one else one for one in sorted(asked))
    if status is None:
        click.echo(f"{name} asks for {what}; no agent runs here to see to it. {START_HINT}")
        return 0
    found = rows(status)
    for row in found:
        _tell_row(row)
    if not found:
        click.echo(f"{name} asks for {what}; the agent has not seen it yet: zthook status {name}")
    return 1 if any(row.state in {"refused", "conflict"} for row in found) else 0


def _tell_row(row: MappingView) -> None:
    to = f" → {row.private}" if row.private else ""
    why = f": {row.reason}" if row.reason else ""
    click.echo(f"{row.guest}: {row.public or 'auto'}{to} is {row.state.value}{why}")


@command("unassign", example="zthook unassign web1 203.0.113.10")
@click.argument("guest")
@click.argument("public", callback=reading(read_public), required=False, metavar="[PUBLIC|auto]")
def unassign(guest: str, public: tuple[IPAddress | None] | None) -> int:
    """Take a public address from a guest, or all it has where none is named.

    It counts at once, and its connections through that address end. Exits 1 where the edge
    can not be told now; it is, as soon as it can.
    """
    definitions = Definitions.of(guest)
    if public is None:
        _refuse_nothing(definitions)
        definitions.change(lambda _: None)
    else:
        definitions.refuse_wrong()
        asked = public[0]
        if not any(_asks(one.publication, asked) for one in definitions.both):
            without(definitions.persistent.publication, asked)
        definitions.change(lambda one: without(one, asked) if _asks(one, asked) else one)
    name = definitions.persistent.name
    click.echo(f"{name} gives back {(public[0] or 'auto') if public else 'all it asked for'}")
    if definitions.live is None or not hint_agent(definitions.places, seconds=LOOK_SECONDS):
        return 0
    return _tell_left(definitions, public)


def _refuse_nothing(definitions: Definitions) -> None:
    if not any(one.annotated for one in definitions.both):
        name = definitions.persistent.name
        raise NotFound(f"{name} asks for no address", hint=f"zthook assign {name} PUBLIC")


def _asks(publication: Publication | None, public: IPAddress | None) -> bool:
    return publication is not None and any(one.public == public for one in publication.requests)


def _tell_left(definitions: Definitions, public: tuple[IPAddress | None] | None) -> int:
    """Wait a moment until the edge let go, and say where it did not."""
    uuid = str(definitions.persistent.uuid)

    def left(found: AgentStatus) -> list[MappingView]:
        return [row for row in rows_of(found, uuid) if public is None or _is_for(row, public[0])]

    status = wait_for(definitions.places, lambda found: not left(found), seconds=WAIT_SECONDS)
    rows = left(status) if status is not None else []
    for row in rows:
        _tell_row(row)
    return 1 if rows else 0


def _is_for(row: MappingView, public: IPAddress | None) -> bool:
    """Whether it is of a request for this address, or of one for ``auto`` (None)."""
    asked = row.asked or ""
    return asked.startswith("auto/") if public is None else asked == str(public)


@command("apply", example="zthook apply web1")
@click.argument("guest")
def apply(guest: str) -> int:
    """Make a guest's edited annotation count now.

    What `virsh edit` changes counts from the guest's next start; this copies the annotation
    from there into the guest that runs.
    """
    definitions = Definitions.of(guest)
    persistent = definitions.persistent
    if persistent.problems:
        definitions.refuse_wrong()
    if definitions.live is None:
        raise Refused(
            f"{persistent.name} does not run", hint="its annotation counts from its next start on"
        )
    if definitions.live.annotated or persistent.annotated:
        definitions.write(persistent.publication, live=True, persistent=False)
    asked = {str(asked) for _, asked in asked_for(persistent.publication)}
    if not asked:
        click.echo(f"{persistent.name} asks for no address now")
        hint_agent(definitions.places)
        return 0
    return _tell_state(definitions, asked)
