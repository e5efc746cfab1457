"""Which connections end with a change of mappings: pure, no kernel."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from zthook.kernel.connection_ways import Through
from zthook.kernel.edge.sets import IPV4, IPV6, SPECS, Elements, parts_of
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.mappings import Forwarding
from zthook.model.publication import Mode

Way = tuple[IPAddress, IPAddress]
"""The address that clients' packets come for, and the one that answers."""


@dataclass(frozen=True, slots=True)
class Endings:
    """What clients have through ``gone`` ends, but for what goes through ``kept``; what guests
    ``begun`` as these; and what comes from clients that are ``refused``: not of these prefixes.
    """

    gone: frozenset[Through] = frozenset()
    kept: frozenset[Through] = frozenset()
    begun: frozenset[Through] = frozenset()
    refused: Mapping[Through, tuple[IPNetwork, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.gone or self.begun)


NONE_END = Endings()


def ways_of(one: Forwarding) -> set[Way]:
    """What connections through a mapping look like, as it arrives and as it is known inside.

    A routed address answers itself.
    """
    guest = one.arrives_as if one.mode is Mode.ROUTED else one.private
    return {(one.arrives_as, guest), (one.public, guest)}


def through(some: Iterable[Forwarding]) -> frozenset[Through]:
    """The connections of these mappings, as conntrack has them."""
    return frozenset(Through(*way, one.ports) for one in some for way in ways_of(one))


def begun_as(elements: Elements) -> frozenset[Through]:
    """By which mappings guests begin connections themselves, as far as these are tracked."""
    found = (one for s in (IPV4.suffix, IPV6.suffix) for one in elements.get(f"returning{s}", ()))
    ways = (parts_of(one) for one in found)
    return frozenset(Through(ip_address(as_), ip_address(private)) for as_, private in ways)


def ways_in(elements: Elements) -> frozenset[Way]:
    """The ways that elements are part of; who the next host is has no part in them."""
    found = set()
    for name, some in elements.items():
        spec = SPECS[name]
        if spec.public is not None and spec.private is not None:
            parts = (parts_of(one) for one in some)
            found |= {(one[spec.public], one[spec.private]) for one in parts}
    return frozenset((ip_address(public), ip_address(private)) for public, private in found)


def endings(
    surplus: Elements, after: Iterable[Forwarding], ending: Iterable[Forwarding] = ()
) -> Endings:
    """What ends where ``surplus`` goes and ``after`` is what there is then.

    The connections through those ``ending`` end in any case, whatever comes in their place.
    """
    over = {way for one in ending for way in ways_of(one)}
    ways = ways_in(surplus) | over
    if not ways and not surplus:
        return NONE_END
    stays = [one for one in after if ways_of(one) & ways - over]
    return Endings(
        gone=frozenset(Through(*way) for way in ways),
        kept=through(stays),
        begun=begun_as(surplus),
        refused=allowed(stays),
    )


def allowed(some: Iterable[Forwarding]) -> dict[Through, tuple[IPNetwork, ...]]:
    """The connections of those mappings that are not for everybody, and whose clients may."""
    return {way: one.allow for one in some if one.allow for way in through([one])}
