"""Which of the kernel's connections go through mappings: pure, no kernel."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from zthook.kernel.connection_table import Connection
from zthook.model.addresses import AddressRange, IPAddress, IPNetwork
from zthook.model.publication import PortRange, Ports, Protocol

NUMBERS = {Protocol.TCP: 6, Protocol.UDP: 17}
Belongs = Callable[[Connection], bool]


@dataclass(frozen=True, slots=True)
class Through:
    """The connections of one mapping: to ``arrives_as``, answered by ``private``.

    With ``ports`` only those to its public ports, answered from where these lead. Where
    nothing is translated ``private`` is ``arrives_as``, and the answering port the same.
    """

    arrives_as: IPAddress
    private: IPAddress
    ports: Ports = ()


def through(gone: Collection[Through], kept: Collection[Through] = ()) -> Belongs:
    """What clients have through ``gone`` and not through ``kept``."""
    ends, stay = _Ways(gone), _Ways(kept)
    return lambda one: ends.take(one) and not stay.take(one)


def strange(mappings: Collection[Through]) -> Belongs:
    """What goes to their public addresses and ports, but not through them."""
    ways = _Ways(mappings)
    return lambda one: ways.should_take(one) and not ways.take(one)


def left_over(
    publics: Collection[AddressRange],
    mappings: Collection[Through],
    begun_by: Collection[Through] = (),
) -> Belongs:
    """What is translated from or to these public addresses, and no mapping explains."""
    ways, own = _Ways(mappings), _pairs(begun_by)
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

    return belongs


def begun(by: Collection[Through]) -> Belongs:
    """What guests began themselves by these mappings."""
    pairs = _pairs(by)
    return lambda one: (one.answered_to, one.source) in pairs


def refused(allowed: Mapping[Through, Collection[IPNetwork]]) -> Belongs:
    """What goes through these and comes from clients outside their prefixes; none: everybody.

    A guest of another mapping is known by its public address, where its connections have it.
    """
    checked = [
        (_Ways([one]), [_bounds(prefix) for prefix in prefixes])
        for one, prefixes in allowed.items()
        if prefixes
    ]

    def belongs(one: Connection) -> bool:
        clients = (one.source, one.answered_to)
        return any(
            ways.take(one) and not any(_within(client, prefixes) for client in clients)
            for ways, prefixes in checked
        )

    return belongs


class _Ways:
    """Which connections should go through some mappings, and which do.

    The tables are made with the first connection that there is to look at.
    """

    def __init__(self, mappings: Collection[Through]) -> None:
        self._mappings = mappings

    @cached_property
    def _whole(self) -> set[tuple[bytes, bytes]]:
        return _pairs(one for one in self._mappings if not one.ports)

    @cached_property
    def _whole_publics(self) -> set[bytes]:
        return {public for public, _ in self._whole}

    @cached_property
    def _ways(self) -> dict[tuple[bytes, bytes], list[PortRange]]:
        found: dict[tuple[bytes, bytes], list[PortRange]] = defaultdict(list)
        for one in self._mappings:
            if one.ports:
                found[one.arrives_as.packed, one.private.packed] += one.ports
        return found

    @cached_property
    def _publics(self) -> dict[bytes, list[PortRange]]:
        found: dict[bytes, list[PortRange]] = defaultdict(list)
        for (public, _), ports in self._ways.items():
            found[public] += ports
        return found

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
