"""From what runs on this host to what it claims: pure, the same input gives the same claims."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from zthook.errors import Refused
from zthook.host.addresses import Found, Spot, forbidden_addresses
from zthook.host.answers import granted
from zthook.host.desired import Desired, View, held
from zthook.host.finding import find, waits
from zthook.host.placement import Asked, Networks, Placement, place, resolved
from zthook.host.publishing import asked_for
from zthook.host.sharing import one_guest_each, one_way_out_each
from zthook.model.addresses import IPAddress
from zthook.model.guests import Domain, GuestState
from zthook.model.mappings import Claim, Rewriter
from zthook.model.publication import AddressRequest, Client, Mode
from zthook.wire.messages import MappingReply


def desire(view: View) -> list[Desired]:
    """What each annotated guest asks for, in a steady order."""
    here = {one.domain.uuid for one in view.guests}
    running = {one.domain.uuid for one in view.guests if one.state.begun}
    reserved = [domain for domain in view.reserved if domain.uuid not in running]
    starting = {domain.uuid for domain in reserved}
    domains: list[tuple[Domain, GuestState | None]] = [
        *((one.domain, one.state) for one in view.guests if one.domain.uuid not in starting),
        *((domain, None) for domain in reserved),
        *((one, GuestState.LEFT) for one in view.departed if one.uuid not in here | starting),
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
    if state is GuestState.STARTING:
        return [replace(one, waits="for the guest to start") for _, one in asked]
    forbidden = _forbidden(domain, view) if state is not GuestState.LEFT else {}
    return [_in_state(_of_request(*one, view, forbidden)) for one in asked]


def _in_state(one: Desired) -> Desired:
    """A guest that is not here yet claims nothing, one that left what it had, to hand it on."""
    if one.claim is None:
        return one
    if one.state is GuestState.INCOMING:
        waits = "for the migration to this host to end"
        return replace(one, claim=None, prospect=one.claim, source=None, waits=waits)
    if one.state is GuestState.LEFT:
        waits = "for the host that the guest migrated to"
        return replace(one, claim=replace(one.claim, leaving=True), waits=waits)
    return one


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
    if (whose := forbidden.get(request.private)) if request.private else None:
        right = "write the guest's own, or leave private out"
        return replace(plain, refusal=f"private address {request.private} is {whose}: {right}")
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
    where = (request, version, plain, placement, view, forbidden)
    found = find(*where)
    return replace(
        plain,
        claim=_claim(plain, placement, found),
        placement=placement,
        source=found.source if found else None,
        waits="" if found else waits(*where),
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
