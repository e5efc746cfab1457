"""Which of the kernel's connections end with a change of mappings, and which are mended.

All of these are for both families, ask the kernel anew, and tell how many connections they
ended or mended. They raise KernelError.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from zthook.kernel import connection_table
from zthook.kernel.connection_table import (
    EVERY_FAMILY,
    FAMILIES,
    Connection,
    Listing,
    answered_to,
    begun_to,
    marked,
)
from zthook.model.addresses import AddressRange, IPAddress, IPNetwork
from zthook.model.publication import PortRange, Ports, Protocol

# From this many on, one listing of everything is cheaper than one filtered listing for each.
MANY = 8
ABOUT = "ending connections"
FORGIVING = "letting connections go on"
NUMBERS = {Protocol.TCP: 6, Protocol.UDP: 17}


@dataclass(frozen=True, slots=True)
class Through:
    """The connections of one mapping: to ``arrives_as``, answered by ``private``.

    With ``ports`` only those to its public ports, answered from where these lead. Where
    nothing is translated ``private`` is ``arrives_as``, and the answering port the same.
    """

    arrives_as: IPAddress
    private: IPAddress
    ports: Ports = ()


def end_connections(gone: Collection[Through], kept: Collection[Through] = ()) -> int:
    """End what clients have through ``gone`` and not through ``kept``."""
    ends, stay = _Ways(gone), _Ways(kept)
    return _end(_to(gone), lambda one: ends.take(one) and not stay.take(one))


def end_strangers(mappings: Collection[Through]) -> int:
    """End every connection to these public addresses and ports that goes through no mapping.

    Those begun before the mapping was granted: to the edge's own services, to another
    guest, or endless UDP that nobody answered. They would keep their old way for as long
    as the client goes on.
    """
    ways = _Ways(mappings)
    return _end(_to(mappings), lambda one: ways.should_take(one) and not ways.take(one))


def end_leftovers(
    publics: Collection[AddressRange],
    mappings: Collection[Through],
    begun: Collection[Through] = (),
) -> int:
    """End every translated connection of these public addresses that no mapping explains.

    Those that a mapping left which is no more. ``begun`` are the mappings by which guests
    begin connections themselves. What was never translated is the edge's own.
    """
    ways, own = _Ways(mappings), _pairs(begun)
    ranges = [(one.first.packed, one.last.packed) for one in publics]

    def is_public(address: bytes) -> bool:
        size = len(address)
        return any(len(low) == size and low <= address <= high for low, high in ranges)

    def belongs(one: Connection) -> bool:
        brought = one.destination != one.answered_by and is_public(one.destination)
        left = one.source != one.answered_to and is_public(one.answered_to)
        return (brought and not ways.take(one)) or (
            left and (one.answered_to, one.source) not in own
        )

    return _end([Listing(_family(one.first for one in publics))] if publics else [], belongs)


def end_begun(gone: Collection[Through]) -> int:
    """End every connection that guests began themselves, and that left as ``arrives_as``."""
    pairs = _pairs(gone)
    listings = _listings({one.arrives_as for one in gone}, answered_to)
    return _end(listings, lambda one: (one.answered_to, one.source) in pairs)


def end_refused(allowed: Mapping[Through, Collection[IPNetwork]]) -> int:
    """End every connection through these from clients outside their prefixes; none: everybody.

    A guest of another mapping is known by its public address, where its connections have it.
    """
    checked = [
        (_Ways([through]), [_bounds(one) for one in prefixes])
        for through, prefixes in allowed.items()
        if prefixes
    ]

    def belongs(one: Connection) -> bool:
        clients = (one.source, one.answered_to)
        return any(
            ways.take(one) and not any(_within(client, prefixes) for client in clients)
            for ways, prefixes in checked
        )

    return _end(_to([through for through, prefixes in allowed.items() if prefixes]), belongs)


def end_marked(value: int, mask: int, keep: Callable[[Connection], bool]) -> int:
    """End every connection whose mark has the value in these bits, but those to ``keep``."""
    return _end([marked(value, mask)], lambda one: not keep(one))


def forgive(mappings: Collection[Through], begun: Collection[Through] = ()) -> int:
    """Let TCP through these, and what guests began by ``begun``, go on whatever went unseen."""
    ways, own = _Ways(mappings), _pairs(begun)
    listings = _to(mappings) | _listings({one.arrives_as for one in begun}, answered_to)
    return connection_table.forgive(
        listings,
        lambda one: ways.take(one) or (one.answered_to, one.source) in own,
        FORGIVING,
    )


def forgive_marked(value: int, mask: int) -> int:
    """As ``forgive``, the connections whose mark has the value in these bits."""
    return connection_table.forgive([marked(value, mask)], lambda _: True, FORGIVING)


class _Ways:
    """Which connections should go through some mappings, and which do."""

    def __init__(self, mappings: Collection[Through]) -> None:
        self._ways: dict[tuple[bytes, bytes], list[PortRange]] = defaultdict(list)
        self._publics: dict[bytes, list[PortRange]] = defaultdict(list)
        whole = [one for one in mappings if not one.ports]
        self._whole = {(one.arrives_as.packed, one.private.packed) for one in whole}
        self._whole_publics = {one.arrives_as.packed for one in whole}
        for one in mappings:
            if one.ports:
                self._ways[one.arrives_as.packed, one.private.packed] += one.ports
                self._publics[one.arrives_as.packed] += one.ports

    def take(self, one: Connection) -> bool:
        """Whether it goes through one of the mappings."""
        way = one.destination, one.answered_by
        if way in self._whole:
            return True
        if way not in self._ways:
            return False
        as_it_came = one.port == one.answering_port and one.destination == one.answered_by
        return any(
            as_it_came or one.answering_port == some.target + one.port - some.first
            for some in self._ways[way]
            if _covers(some, one)
        )

    def should_take(self, one: Connection) -> bool:
        """Whether the rules would bring it to one of the mappings, were it begun now."""
        return one.destination in self._whole_publics or (
            one.destination in self._publics
            and any(_covers(some, one) for some in self._publics[one.destination])
        )


def _covers(some: PortRange, one: Connection) -> bool:
    return NUMBERS[some.protocol] == one.protocol and some.first <= one.port <= some.last


def _pairs(some: Iterable[Through]) -> set[tuple[bytes, bytes]]:
    return {(one.arrives_as.packed, one.private.packed) for one in some}


def _bounds(prefix: IPNetwork) -> tuple[bytes, bytes]:
    return prefix.network_address.packed, prefix.broadcast_address.packed


def _within(address: bytes, prefixes: Iterable[tuple[bytes, bytes]]) -> bool:
    size = len(address)
    return any(len(low) == size and low <= address <= high for low, high in prefixes)


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


def _end(listings: Collection[Listing], belongs: Callable[[Connection], bool]) -> int:
    return connection_table.forget(listings, belongs, ABOUT)
