"""Routed mappings in the sets of the edge's table: nothing is translated, and little tracked."""

from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from zthook.kernel.edge.parts import clients_of, grouped, is_whole, known_as
from zthook.kernel.edge.sets import family_of
from zthook.model.addresses import IPAddress
from zthook.model.mappings import Forwarding
from zthook.model.publication import Egress, PortRange

EVERYBODY = {4: "0.0.0.0/0", 6: "::/0"}


def is_tracked(one: Forwarding) -> bool:
    """Whether answers to what the guest begins could not be told without tracking."""
    return one.egress is Egress.PUBLIC and not is_whole(one)


def routed_elements(
    some: Iterable[Forwarding], arriving: Collection[IPAddress]
) -> Iterator[tuple[Forwarding, tuple[str, str]]]:
    """Set and element of each. ``arriving`` are the addresses of all mappings, as they arrive.

    Guests that share an address are tracked if one of them has to be.
    """
    for public, guests in grouped(some, lambda one: one.arrives_as).items():
        s = family_of(public).suffix
        yield guests[0], (f"routed{s}", str(public))
        if not any(map(is_tracked, guests)):
            yield guests[0], (f"untracked{s}", str(public))
        for known in known_as(guests[0], arriving) - {public}:
            yield guests[0], (f"inward{s}", f"{known} : {public}")
        for one in guests:
            outward = _begun_too(one) if is_tracked(one) else _outward(one)
            for element in chain(_inward(one), outward):
                yield one, element


def _inward(one: Forwarding) -> Iterator[tuple[str, str]]:
    s, public, clients = family_of(one.arrives_as).suffix, one.arrives_as, clients_of(one)
    if is_whole(one):
        yield f"routed_whole{s}", str(public)
    elif not one.ports:
        for client in clients or ():
            yield f"routed_clients{s}", f"{public} . {client}"
    for ports in one.ports:
        ported = f"{public} . {ports.protocol} . {_span(ports)}"
        if clients is None and ports.first == ports.last:
            yield f"routed_ports{s}", ported
            continue
        for client in clients if clients is not None else (EVERYBODY[public.version],):
            yield f"routed_ranges{s}", f"{ported} . {client}"


def _outward(one: Forwarding) -> Iterator[tuple[str, str]]:
    s, member = family_of(one.arrives_as).suffix, f"{one.next_hop_mac.lower()} . {one.arrives_as}"
    if not one.ports:
        yield f"routed_out{s}", member
        return
    yield f"routed_errors{s}", member
    for ports in one.ports:
        kind = "ports" if ports.first == ports.last else "ranges"
        yield f"routed_out_{kind}{s}", f"{member} . {ports.protocol} . {_span(ports)}"


def _begun_too(one: Forwarding) -> Iterator[tuple[str, str]]:
    """As if the address were translated to itself."""
    s, member, public = family_of(one.arrives_as).suffix, one.next_hop_mac.lower(), one.arrives_as
    yield f"answering{s}", f"{member} . {public} . {public}"
    yield f"outgoing_parts{s}", f"{member} . {public}"
    yield f"returning{s}", f"{public} . {public}"


def _span(ports: PortRange) -> str:
    return str(ports.first) if ports.first == ports.last else f"{ports.first}-{ports.last}"
