"""The guest's own address for one public address, or what it is that keeps it unknown: pure."""

from collections.abc import Mapping
from ipaddress import ip_address

from zthook.host.addresses import Found, Source, Spot, answers_at, brought, found_address
from zthook.host.desired import Desired, View
from zthook.host.placement import Placement
from zthook.model.addresses import IPAddress
from zthook.model.guests import GuestState
from zthook.model.publication import AddressRequest
from zthook.wire.messages import MappingReply


def find(
    request: AddressRequest,
    version: int,
    one: Desired,
    placement: Placement,
    view: View,
    forbidden: Mapping[IPAddress, str],
) -> Found | None:
    """The private address of IP ``version`` for ``one``, None while there is none."""
    if one.state is None or not placement.known:
        return None  # a reservation: nothing may be forwarded before the guest is there
    if one.state is GuestState.LEFT:
        return _as_held(view.answers.get(one.key))
    spot = _spot(one, placement)
    was = _brought(request, one, placement, view, forbidden)
    seen = was is not None and answers_at(spot, was, view.sightings)
    if was is not None and (seen or one.state is GuestState.INCOMING):
        return Found(was, Source.MOVED)
    found = found_address(spot, version, request.private, view.sightings, forbidden)
    if was is None or one.key in view.proven:
        return found  # it has been seen to have that one, and has another now
    return found if found is not None and found.address == was else None


def _spot(one: Desired, placement: Placement) -> Spot:
    interface = placement.interface
    return Spot(one.domain.uuid, interface.mac, interface.bridge, placement.network)


def _as_held(answer: MappingReply | None) -> Found | None:
    """What the edge has for a guest that left: it goes on to the guest's new host."""
    if answer is None or answer.private is None:
        return None
    return Found(ip_address(answer.private), Source.LAST)


def _brought(
    request: AddressRequest,
    one: Desired,
    placement: Placement,
    view: View,
    forbidden: Mapping[IPAddress, str],
) -> IPAddress | None:
    """The address that the guest came here with, as long as nothing speaks against it."""
    was = view.moved.get(one.key)
    if was is None or request.private is not None:
        return None
    return brought(_spot(one, placement), was, view.sightings, forbidden)


def waits(
    request: AddressRequest,
    version: int,
    one: Desired,
    placement: Placement,
    view: View,
    forbidden: Mapping[IPAddress, str],
) -> str:
    """What ``find`` waits for where it found nothing."""
    if one.state is None:
        return "for the guest to start"
    if not placement.known:
        return f"for libvirt's network {placement.interface.network!r} to be active"
    if placement.interface.bridge is None:
        return "for the guest's address, which this host can not see: give it as private="
    if was := _brought(request, one, placement, view, forbidden):
        return f"for the guest to answer at {was}, which it had on its last host"
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
