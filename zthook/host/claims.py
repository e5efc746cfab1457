"""From what runs on this host to what it claims: pure, the same input gives the same claims."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from zthook.errors import Refused
from zthook.host.addresses import Found, Spot, forbidden_addresses, found_address
from zthook.host.answers import granted
from zthook.host.desired import Desired, View, held
from zthook.host.placement import Asked, Networks, Placement, place, resolved
from zthook.host.publishing import asked_for
from zthook.host.sharing import one_guest_each, one_way_out_each
from zthook.model.addresses import IPAddress
from zthook.model.guests import Domain, GuestState
from zthook.model.mappings import Claim, Rewriter
from zthook.model.publication import AddressRequest, Client, Mode, not_supported_yet
from zthook.wire.messages import MappingReply


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
    return one_way_out_each(one_guest_each(wanted, held(view.answers)))


def _of_domain(domain: Domain, state: GuestState | None, view: View) -> list[Desired]:
    if domain.problems:
        wrong = "; ".join(str(problem) for problem in domain.problems)
        return [Desired(domain, state, None, refusal=f"the annotation is wrong: {wrong}")]
    asked = [
        (request, Desired(domain, state, request, public))
        for request, public in asked_for(domain.publication)
    ]
    if state is GuestState.INCOMING:
        return [replace(one, waits="for the migration to this host to end") for _, one in asked]
    forbidden = _forbidden(domain, view)
    return [_of_request(request, plain, view, forbidden) for request, plain in asked]


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
    request: AddressRequest, plain: Desired, view: View, forbidden: Mapping[IPAddress, str]
) -> Desired:
    if reason := not_supported_yet(request):
        return replace(plain, refusal=reason)
    if (whose := forbidden.get(request.private)) if request.private else None:
        return replace(plain, refusal=f"private address {request.private} is {whose}")
    answer = view.answers.get(plain.key)
    public = granted(request.public, answer)
    if reason := _families(request, public):
        return replace(plain, refusal=reason)
    version = getattr(public or request.private, "version", None)
    try:
        placement = place(Asked(request, version, view.via), plain.domain, view.networks)
    except Refused as error:
        return replace(plain, refusal=error.message)
    if version is None or _is_told_first(request, answer):
        return replace(plain, claim=_claim(plain, placement, None), placement=placement)
    found = _address(request, version, placement, plain, view, forbidden)
    return replace(
        plain,
        claim=_claim(plain, placement, found),
        placement=placement,
        source=found.source if found else None,
        waits="" if found else _waits(placement, plain.state, version),
        note=_note(placement, version, view),
    )


def _families(request: AddressRequest, public: IPAddress | None) -> str:
    """Why what the edge chose does not go with what the annotation says beside it."""
    if public is None:
        return ""
    if request.private is not None and request.private.version != public.version:
        return (
            f"private address {request.private} is not of the family of {public}, which the edge "
            "chose: leave private out, or name another pool"
        )
    if request.allow and all(prefix.version != public.version for prefix in request.allow):
        return (
            f"every <allow> is of another family than {public}, so that nobody could reach it: "
            "add one that is of its family"
        )
    return ""


def _is_told_first(request: AddressRequest, answer: MappingReply | None) -> bool:
    """Whether the edge has to say something before anything may be forwarded.

    It chooses an ``auto``; and it says as what a routed mapping's packets arrive, for which
    the rules have to be there before they do.
    """
    if request.public is None:
        return answer is None or answer.public is None
    return answer is None and request.mode is Mode.ROUTED


def _address(
    request: AddressRequest,
    version: int,
    placement: Placement,
    plain: Desired,
    view: View,
    forbidden: Mapping[IPAddress, str],
) -> Found | None:
    if plain.state is None or not placement.known:
        return None  # a reservation: nothing may be forwarded before the guest is there
    interface = placement.interface
    spot = Spot(plain.domain.uuid, interface.mac, interface.bridge, placement.network)
    return found_address(spot, version, request.private, view.sightings, forbidden)


def _claim(one: Desired, placement: Placement, found: Found | None) -> Claim | None:
    if one.request is None or one.public is None:
        return None
    return Claim(
        guest=one.domain.uuid,
        name=one.domain.name,
        public=one.public,
        private=found.address if found else None,
        mode=one.request.mode,
        client=placement.client,
        rewriter=placement.rewriter,
        egress=one.request.egress,
        ports=one.request.ports,
        allow=one.request.allow,
    )


def _waits(placement: Placement, state: GuestState | None, version: int) -> str:
    if state is None:
        return "for the guest to start"
    if not placement.known:
        return f"for libvirt's network {placement.interface.network!r} to be active"
    if placement.interface.bridge is None:
        return "for the guest's address, which this host can not see: give it as private="
    if version == 6:
        return (
            "for the guest's IPv6 address: one that it makes of its MAC is found by itself, "
            "another once it speaks, or give it as private="
        )
    if placement.network is not None and placement.network.prefixes:
        return (
            "for the guest's address: no DHCP lease yet; one that the guest gives itself is seen "
            "once it speaks, or give it as private="
        )
    return (
        "for the guest's address: give it as private=, or install the guest agent "
        "(qemu-guest-agent) in the guest"
    )


def _note(placement: Placement, version: int, view: View) -> str:
    """What may keep it from working though nobody refuses it."""
    device = placement.interface.bridge or ""
    if view.via is not None:
        return view.lacking.get(device, f"by the LAN gateway {view.via}; the edge hides clients")
    if placement.client is Client.HIDE and placement.rewriter is Rewriter.HOST:
        near = view.sightings.on_link.get(device, ())
        if not any(one.version == version and not one.is_link_local for one in near):
            return (
                f"this host has no IPv{version} address on {device}, behind which it could hide "
                "clients: give it one"
            )
    return ""


def claims(wanted: Iterable[Desired]) -> list[Claim]:
    """What the edge is asked for."""
    return [one.claim for one in wanted if one.claim is not None]
