"""What only one can have on this host: a private address, and the way out of one. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from zthook.host.addresses import Source
from zthook.host.answers import ClaimKey
from zthook.host.desired import Desired
from zthook.model.addresses import IPAddress
from zthook.model.publication import Egress


def one_guest_each(wanted: Sequence[Desired], held: Mapping[ClaimKey, str]) -> list[Desired]:
    """Refuse a private address to all but one guest of this host.

    ``held`` tells which one the edge has for each claim: who has it there keeps it.
    """
    owners: dict[IPAddress, Desired] = {}
    for one in sorted(wanted, key=lambda one: _precedence(one, held)):
        if one.claim is not None and one.claim.private is not None:
            owners.setdefault(one.claim.private, one)
    return [_unless_taken(one, owners) for one in wanted]


def _precedence(one: Desired, held: Mapping[ClaimKey, str]) -> tuple[bool, int, int]:
    private = str(one.claim.private) if one.claim else None
    rank = one.source.rank if one.source else len(Source)
    return held.get(one.key) != private, rank, one.domain.uuid.int


def _unless_taken(one: Desired, owners: Mapping[IPAddress, Desired]) -> Desired:
    if one.prospect is not None and one.prospect.private in owners:
        return replace(one, prospect=replace(one.prospect, private=None))
    if one.claim is None or one.claim.private is None:
        return one
    owner = owners[one.claim.private].domain
    if owner.uuid == one.domain.uuid:
        return one
    return replace(
        one,
        claim=None,
        refusal=f"private address {one.claim.private} is that of guest {owner.name!r} on this "
        "host: give one of the two another",
    )


def one_way_out_each(wanted: Sequence[Desired]) -> list[Desired]:
    """Refuse ``egress="public"`` but to the first address that asks for it, of each private one."""
    first: dict[IPAddress, Desired] = {}
    for one in wanted:
        if (private := _leaves_by(one)) is not None:
            first.setdefault(private, one)
    return [_unless_second(one, first) for one in wanted]


def _leaves_by(one: Desired) -> IPAddress | None:
    """The private address whose own connections are to leave from the public one."""
    if one.claim is None or one.claim.egress is Egress.HOME:
        return None
    return one.claim.private


def _unless_second(one: Desired, first: Mapping[IPAddress, Desired]) -> Desired:
    private = _leaves_by(one)
    if private is None or first[private] is one:
        return one
    why = (
        f"{private}'s own connections leave from {first[private].public} already: leave "
        'egress="public" out of one of the two'
    )
    return replace(one, claim=None, refusal=why)
