"""From what runs on this host to what it claims: pure, the same input gives the same claims."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from zthook.errors import Refused
from zthook.host.addresses import (
    Found,
    Sightings,
    Source,
    Spot,
    forbidden_addresses,
    found_address,
)
from zthook.host.placement import Networks, Placement, place, resolved
from zthook.model.addresses import IPAddress
from zthook.model.guests import Domain, Guest, GuestState
from zthook.model.mappings import Claim
from zthook.model.publication import AddressRequest, not_supported_yet


@dataclass(frozen=True, slots=True)
class View:
    """What one pass saw.

    ``reserved`` are guests about to start, as their hooks' XML shows them; one that runs
    already counts as running, one that libvirt has not let run yet as about to start.
    ``held`` tells which private address each guest has at the edge: of two guests on this
    host with one address, the one that has it keeps it.
    """

    guests: Sequence[Guest]
    networks: Networks
    sightings: Sightings = field(default_factory=Sightings)
    reserved: Sequence[Domain] = ()
    held: Mapping[UUID, IPAddress] = field(default_factory=dict)
    via: bool = False


@dataclass(frozen=True, slots=True)
class Desired:
    """One address that one guest asks for, and what comes of it on this host.

    Without a ``claim`` the edge is not asked: ``refusal`` says why, or ``waits`` for what.
    With a claim ``waits`` says why its private address is not known. ``request`` is None
    where the annotation itself is wrong, ``state`` None where the guest is about to start.
    """

    domain: Domain
    state: GuestState | None
    request: AddressRequest | None
    claim: Claim | None = None
    placement: Placement | None = None
    source: Source | None = None
    refusal: str = ""
    waits: str = ""


def desire(view: View) -> list[Desired]:
    """What each annotated guest asks for, in a steady order."""
    running = {one.domain.uuid for one in view.guests if one.state is not GuestState.INCOMING}
    reserved = [domain for domain in view.reserved if domain.uuid not in running]
    starting = {domain.uuid for domain in reserved}
    domains: list[tuple[Domain, GuestState | None]] = [
        *((one.domain, one.state) for one in view.guests if one.domain.uuid not in starting),
        *((domain, None) for domain in reserved),
    ]
    wanted = [
        one
        for domain, state in sorted(domains, key=lambda pair: pair[0].uuid.int)
        for one in _of_domain(domain, state, view)
    ]
    return _one_guest_each(wanted, view.held)


def _of_domain(domain: Domain, state: GuestState | None, view: View) -> list[Desired]:
    if domain.problems:
        wrong = "; ".join(str(problem) for problem in domain.problems)
        return [Desired(domain, state, None, refusal=f"the annotation is wrong: {wrong}")]
    requests = domain.publication.requests if domain.publication else ()
    if state is GuestState.INCOMING:
        waits = "for the migration to this host to end"
        return [Desired(domain, state, request, waits=waits) for request in requests]
    forbidden = _forbidden(domain, view)
    return [_of_request(request, domain, state, view, forbidden) for request in requests]


def _forbidden(domain: Domain, view: View) -> dict[IPAddress, str]:
    others = [
        (guest.domain, spot)
        for guest in sorted(view.guests, key=lambda one: one.domain.uuid)
        if guest.domain.uuid != domain.uuid
        for spot in spots(guest.domain, view.networks)
    ]
    return forbidden_addresses(view.sightings, view.networks.values(), others)


def spots(domain: Domain, networks: Networks) -> list[Spot]:
    """Where each of the guest's interfaces is."""
    places = [resolved(interface, networks) for interface in domain.interfaces]
    return [Spot(domain.uuid, one.mac, one.bridge, network) for one, network in places]


def _of_request(
    request: AddressRequest,
    domain: Domain,
    state: GuestState | None,
    view: View,
    forbidden: Mapping[IPAddress, str],
) -> Desired:
    plain = Desired(domain, state, request)
    if reason := not_supported_yet(request):
        return replace(plain, refusal=reason)
    if (whose := forbidden.get(request.private)) if request.private else None:
        return replace(plain, refusal=f"private address {request.private} is {whose}")
    try:
        placement = place(request, domain, view.networks, via=view.via)
    except Refused as error:
        return replace(plain, refusal=error.message)
    found = _address(request, placement, plain, view, forbidden)
    return replace(
        plain,
        claim=_claim(request, domain, placement, found),
        placement=placement,
        source=found.source if found else None,
        waits="" if found else _waits(placement, state),
    )


def _address(
    request: AddressRequest,
    placement: Placement,
    plain: Desired,
    view: View,
    forbidden: Mapping[IPAddress, str],
) -> Found | None:
    if plain.state is None or not placement.known:
        return None  # a reservation: nothing may be forwarded before the guest is there
    interface = placement.interface
    spot = Spot(plain.domain.uuid, interface.mac, interface.bridge, placement.network)
    return found_address(spot, request.private, view.sightings, forbidden)


def _claim(
    request: AddressRequest, domain: Domain, placement: Placement, found: Found | None
) -> Claim | None:
    if request.public is None:
        return None
    return Claim(
        guest=domain.uuid,
        name=domain.name,
        public=request.public,
        private=found.address if found else None,
        mode=request.mode,
        client=placement.client,
        rewriter=placement.rewriter,
    )


def _waits(placement: Placement, state: GuestState | None) -> str:
    if state is None:
        return "for the guest to start"
    if not placement.known:
        return f"for libvirt's network {placement.interface.network!r} to be active"
    if placement.network is not None and placement.network.prefixes:
        return (
            "for the guest's address: no DHCP lease yet; one that the guest gives itself is seen "
            "once it speaks, or give it as private="
        )
    return (
        "for the guest's address: give it as private=, or install the guest agent "
        "(qemu-guest-agent) in the guest"
    )


def _one_guest_each(wanted: Sequence[Desired], held: Mapping[UUID, IPAddress]) -> list[Desired]:
    """Refuse a private address to all but one guest of this host."""
    owners: dict[IPAddress, Desired] = {}
    for one in sorted(wanted, key=lambda one: _precedence(one, held)):
        if one.claim is not None and one.claim.private is not None:
            owners.setdefault(one.claim.private, one)
    return [_unless_taken(one, owners) for one in wanted]


def _precedence(one: Desired, held: Mapping[UUID, IPAddress]) -> tuple[bool, int, int]:
    private = one.claim.private if one.claim else None
    rank = one.source.rank if one.source else len(Source)
    return held.get(one.domain.uuid) != private, rank, one.domain.uuid.int


def _unless_taken(one: Desired, owners: Mapping[IPAddress, Desired]) -> Desired:
    if one.claim is None or one.claim.private is None:
        return one
    owner = owners[one.claim.private].domain
    if owner.uuid == one.domain.uuid:
        return one
    return replace(
        one,
        claim=None,
        refusal=f"private address {one.claim.private} is that of guest {owner.name!r} on this host",
    )


def claims(wanted: Iterable[Desired]) -> list[Claim]:
    """What the edge is asked for."""
    return [one.claim for one in wanted if one.claim is not None]
