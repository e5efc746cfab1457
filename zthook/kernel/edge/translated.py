"""Mappings in mode nat in the sets and maps of the edge's table."""

from collections.abc import Collection, Iterable, Iterator

from zthook.kernel.edge.parts import clients_of, grouped, is_whole, known_as, port_elements
from zthook.kernel.edge.sets import family_of
from zthook.model.addresses import IPAddress
from zthook.model.mappings import Forwarding
from zthook.model.publication import Egress

Element = tuple[str, str]


def translated_elements(
    some: Iterable[Forwarding], arriving: Collection[IPAddress]
) -> Iterator[tuple[Forwarding, Element]]:
    """Set or map and element of each. ``arriving`` are the addresses of all, as they arrive.

    What a guest begins comes from the first of its addresses that want it so.
    """
    for private in grouped(some, lambda one: one.private).values():
        for one in private:
            for public in known_as(one, arriving):
                for element in _translated(one, public, str(public), str(one.private)):
                    yield one, element
        leaving = [one for one in private if one.egress is Egress.PUBLIC]
        if leaving:
            first = min(leaving, key=lambda one: one.arrives_as)
            for element in _begun(first, strict=not all(map(is_whole, private))):
                yield first, element


def _translated(
    one: Forwarding, address: IPAddress, public: str, private: str
) -> Iterator[Element]:
    """What clients begin, and its answers. ``public`` is the address's text, known once."""
    s = family_of(address).suffix
    yield f"answering{s}", f"{one.next_hop_mac.lower()} . {private} . {public}"
    if one.hide or one.host_hides:
        yield f"guarded{s}", public
        yield f"sheltered{s}", f"{public} . {private}"
    if one.hide:
        yield f"hiding{s}", f"{public} . {private}"
    if not one.ports:
        yield f"inward{s}", f"{public} : {private}"
    if is_whole(one):
        yield f"arriving{s}", f"{public} . {private}"
    else:
        yield from _part(one, address)


def _part(one: Forwarding, public: IPAddress) -> Iterator[Element]:
    s, way = family_of(one.private).suffix, f"{public} . {one.private}"
    yield f"arriving_parts{s}", way
    if one.ports:
        yield from port_elements(one, public)
    else:
        yield f"whole{s}", way
    clients = clients_of(one)
    if clients is None:
        yield f"everybody{s}", way
    for client in clients or ():
        yield f"allowed{s}", f"{way} . {client}"


def _begun(one: Forwarding, *, strict: bool) -> Iterator[Element]:
    """What a guest begins itself: it comes from the first of its addresses that want it so.

    ``strict``: no connection that ended may go on as one that the guest began.
    """
    s, member = family_of(one.private).suffix, one.next_hop_mac.lower()
    yield f"outward{s}", f"{one.private} : {one.arrives_as}"
    yield f"returning{s}", f"{one.arrives_as} . {one.private}"
    yield f"outgoing{'_parts' if strict else ''}{s}", f"{member} . {one.private}"
