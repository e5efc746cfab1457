"""Which of the kernel's connections end with a change of mappings, and which are mended.

All of these are for both families, ask the kernel anew, and tell how many connections they
ended or mended. They raise KernelError.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

from zthook.kernel import connection_table, connection_ways
from zthook.kernel.connection_table import (
    EVERY_FAMILY,
    FAMILIES,
    Connection,
    Listing,
    answered_to,
    begun_to,
    marked,
)
from zthook.kernel.connection_ways import Belongs, Through
from zthook.model.addresses import AddressRange, IPAddress, IPNetwork

__all__ = ["Through"]

# From this many on, one listing of everything is cheaper than one filtered listing for each.
MANY = 8
ABOUT = "ending connections"
FORGIVING = "letting connections go on"


def end_connections(gone: Collection[Through], kept: Collection[Through] = ()) -> int:
    """End what clients have through ``gone`` and not through ``kept``."""
    return _end(_to(gone), connection_ways.through(gone, kept))


def end_strangers(mappings: Collection[Through]) -> int:
    """End every connection to these public addresses and ports that goes through no mapping.

    Those begun before the mapping was granted: to the edge's own services, to another
    guest, or endless UDP that nobody answered. They would keep their old way for as long
    as the client goes on.
    """
    return _end(_to(mappings), connection_ways.strange(mappings))


def end_leftovers(
    publics: Collection[AddressRange],
    mappings: Collection[Through],
    begun: Collection[Through] = (),
) -> int:
    """End every translated connection of these public addresses that no mapping explains.

    Those that a mapping left which is no more. ``begun`` are the mappings by which guests
    begin connections themselves. What was never translated is the edge's own.
    """
    listings = [Listing(_family(one.first for one in publics))] if publics else []
    return _end(listings, connection_ways.left_over(publics, mappings, begun))


def end_begun(gone: Collection[Through]) -> int:
    """End every connection that guests began themselves, and that left as ``arrives_as``."""
    listings = _listings({one.arrives_as for one in gone}, answered_to)
    return _end(listings, connection_ways.begun(gone))


def end_refused(allowed: Mapping[Through, Collection[IPNetwork]]) -> int:
    """End every connection through these from clients outside their prefixes; none: everybody.

    A guest of another mapping is known by its public address, where its connections have it.
    """
    checked = [one for one, prefixes in allowed.items() if prefixes]
    return _end(_to(checked), connection_ways.refused(allowed))


def end_marked(value: int, mask: int, keep: Callable[[Connection], bool]) -> int:
    """End every connection whose mark has the value in these bits, but those to ``keep``."""
    return _end([marked(value, mask)], lambda one: not keep(one))


def forgive(mappings: Collection[Through], begun: Collection[Through] = ()) -> int:
    """Let TCP through these, and what guests began by ``begun``, go on whatever went unseen."""
    brought, own = connection_ways.through(mappings), connection_ways.begun(begun)
    listings = _to(mappings) | _listings({one.arrives_as for one in begun}, answered_to)
    return connection_table.forgive(listings, lambda one: brought(one) or own(one), FORGIVING)


def forgive_marked(value: int, mask: int) -> int:
    """As ``forgive``, the connections whose mark has the value in these bits."""
    return connection_table.forgive([marked(value, mask)], lambda _: True, FORGIVING)


def _to(mappings: Collection[Through]) -> set[Listing]:
    return _listings({one.arrives_as for one in mappings}, begun_to)


def _listings(
    addresses: Collection[IPAddress], listing: Callable[[bytes], Listing]
) -> set[Listing]:
    if len(addresses) <= MANY:
        return {listing(one.packed) for one in addresses}
    return {Listing(_family(addresses))}


def _family(addresses: Iterable[IPAddress]) -> int:
    families = {FAMILIES[len(one.packed)] for one in addresses}
    return families.pop() if len(families) == 1 else EVERY_FAMILY


def _end(listings: Collection[Listing], belongs: Belongs) -> int:
    return connection_table.forget(listings, belongs, ABOUT)
