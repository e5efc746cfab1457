"""A guest's private address: which source says what, and what of it is believed.

The first eligible answer counts, in this order: the annotation, the libvirt network's static
entry, the DHCP lease, the guest agent, the host's neighbour table. The last two are in the
guest's hands: they count only where the neighbour table of the guest's own interface has the
address with the guest's MAC. An address of the host, of a gateway or of another guest is
never taken, whoever says so. While none of them names one, the last known stays: a neighbour
entry that fails for a moment or a lease that ended must not cut a guest off.

A guest that migrated here has the address that it had where it came from. No lease tells
of it, so that goes before all but the annotation, once the neighbour table shows it.

A guest has many IPv6 addresses, and gives some of them up every day. Of those that it names
itself the one made of its MAC is taken, else the one that was taken before.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address, IPv6Network
from uuid import UUID

from zthook.model.addresses import PRIVATE_PREFIXES, IPAddress, IPNetwork
from zthook.model.ethernet import stable_address
from zthook.model.guests import Domain, Network


class Source(StrEnum):
    """Who named a private address; the order is the order of belief."""

    ANNOTATION = "annotation"
    STATIC = "static entry"
    LEASE = "DHCP lease"
    MOVED = "its last host"
    AGENT = "guest agent"
    NEIGHBOUR = "neighbour table"
    LAST = "last known"

    @property
    def rank(self) -> int:
        """0 is believed first."""
        return list(Source).index(self)


Addresses = Mapping[str, tuple[IPAddress, ...]]
"""MAC → its addresses, one of a family."""


@dataclass(frozen=True, slots=True)
class Sightings:
    """Everything this host can read of addresses now.

    ``leases``: bridge → what DHCP gave away; ``neighbours``: device → address → MAC;
    ``agents``: guest → (MAC, address) as the guest agent says; ``own``: the host's addresses;
    ``gateways``: its routers; ``on_link``: device → prefixes that are reached there; ``heard``:
    device → address → the MAC that said lately that it has it;
    ``last``: what was found by the pass before; ``accepted``: where the edge takes private
    addresses of this host.
    """

    leases: Mapping[str, Addresses] = field(default_factory=dict)
    neighbours: Mapping[str, Mapping[IPAddress, str]] = field(default_factory=dict)
    agents: Mapping[UUID, tuple[tuple[str, IPAddress], ...]] = field(default_factory=dict)
    own: frozenset[IPAddress] = frozenset()
    gateways: frozenset[IPAddress] = frozenset()
    on_link: Mapping[str, tuple[IPNetwork, ...]] = field(default_factory=dict)
    heard: Mapping[str, Mapping[IPAddress, str]] = field(default_factory=dict)
    last: Addresses = field(default_factory=dict)
    accepted: tuple[IPNetwork, ...] = PRIVATE_PREFIXES


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a guest's interface is on this host: its MAC, the device, the libvirt network."""

    guest: UUID
    mac: str
    device: str | None
    network: Network | None

    def prefixes(self, sightings: Sightings) -> tuple[IPNetwork, ...]:
        """The prefixes of the network that it is on, as far as this host knows them."""
        own = self.network.prefixes if self.network is not None else ()
        return own or sightings.on_link.get(self.device or "", ())


@dataclass(frozen=True, slots=True)
class Found:
    """A private address and who named it."""

    address: IPAddress
    source: Source


def found_address(
    spot: Spot,
    version: int,
    annotated: IPAddress | None,
    sightings: Sightings,
    forbidden: Mapping[IPAddress, str],
) -> Found | None:
    """The first address of IP ``version`` that may be taken, or None while there is none.

    An ``annotated`` one is returned as it is: whether it is forbidden is for the caller to
    say aloud, as another source must not stand in for what was asked.
    """
    if annotated is not None:
        return Found(annotated, Source.ANNOTATION)
    return next(
        (
            found
            for found in _named(spot, version, sightings)
            if found.address not in forbidden and _believed(found, spot, sightings)
        ),
        None,
    )


def brought(
    spot: Spot, was: IPAddress, sightings: Sightings, forbidden: Mapping[IPAddress, str]
) -> IPAddress | None:
    """The address that a guest had on its last host, where it can have it here as well."""
    here = any(was in prefix for prefix in spot.prefixes(sightings))
    return was if here and was not in forbidden and not _useless(was) else None


def answers_at(spot: Spot, address: IPAddress, sightings: Sightings) -> bool:
    """Whether the neighbour table has the address with the guest's MAC."""
    return _neighbours(spot, sightings).get(address) == spot.mac


def heard_of(
    spot: Spot, sightings: Sightings, forbidden: Mapping[IPAddress, str]
) -> list[IPAddress]:
    """What the guest said lately that it has, and no entry confirms: worth a probe at once."""
    said = sightings.heard.get(spot.device or "", {})
    return [
        address
        for address, mac in said.items()
        if mac == spot.mac and address not in forbidden and not answers_at(spot, address, sightings)
    ]


def doubtful(
    spot: Spot, version: int, sightings: Sightings, forbidden: Mapping[IPAddress, str]
) -> list[IPAddress]:
    """What is worth a probe, as only the neighbour table can tell whether it is true.

    That is what the guest agent names and no entry confirms yet; the IPv6 address that a
    guest makes of its MAC, which may not have spoken; and every address that the table has
    for this guest where it has several, as it keeps one that the guest gave up until somebody
    asks for it.
    """
    entries = _neighbours(spot, sightings)
    named = list(_named(spot, version, sightings))
    known = [one.address for one in named if one.source is Source.NEIGHBOUR]
    said = [one.address for one in named if one.source is Source.AGENT]
    asked = [one for one in (*said, *_made_of_mac(spot, version, sightings)) if one not in entries]
    doubted = dict.fromkeys([*asked, *(known if len(known) > 1 else ())])
    return [address for address in doubted if address not in forbidden]


def _made_of_mac(spot: Spot, version: int, sightings: Sightings) -> list[IPv6Address]:
    prefixes = [one for one in spot.prefixes(sightings) if isinstance(one, IPv6Network)]
    made = [stable_address(one, spot.mac) for one in prefixes if not one.is_link_local]
    return [one for one in made if one is not None] if version == 6 else []


def _named(spot: Spot, version: int, sightings: Sightings) -> Iterator[Found]:
    for source, addresses in _sources(spot, sightings):
        for address in addresses:
            if address.version == version and not _useless(address):
                yield Found(address, source)


def _sources(spot: Spot, sightings: Sightings) -> Iterator[tuple[Source, Iterable[IPAddress]]]:
    last = sightings.last.get(spot.mac, ())

    def worst(address: IPAddress) -> tuple[bool, bool, bool, int]:
        # The known one before others: entries come and go, and a mapping must not hop among them.
        elsewhere = not any(address in prefix for prefix in sightings.accepted)
        return elsewhere, not _is_stable(address, spot.mac), address not in last, int(address)

    static = spot.network.static if spot.network else ()
    yield Source.STATIC, [address for mac, address in static if mac == spot.mac]
    yield Source.LEASE, sightings.leases.get(spot.device or "", {}).get(spot.mac, ())
    agent = sightings.agents.get(spot.guest, ())
    yield Source.AGENT, sorted((address for mac, address in agent if mac == spot.mac), key=worst)
    seen = [address for address, mac in _neighbours(spot, sightings).items() if mac == spot.mac]
    yield Source.NEIGHBOUR, sorted(seen, key=worst)
    yield Source.LAST, last


def _is_stable(address: IPAddress, mac: str) -> bool:
    """Whether it is an IPv6 address that is made of the MAC."""
    if not isinstance(address, IPv6Address):
        return False
    return stable_address(IPv6Network((address, 64), strict=False), mac) == address


def _neighbours(spot: Spot, sightings: Sightings) -> Mapping[IPAddress, str]:
    return sightings.neighbours.get(spot.device or "", {})


def _useless(address: IPAddress) -> bool:
    """A guest's own loopback and link-local addresses reach nobody."""
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
    )


def _believed(found: Found, spot: Spot, sightings: Sightings) -> bool:
    guests_own = found.source in {Source.AGENT, Source.NEIGHBOUR}
    return not guests_own or answers_at(spot, found.address, sightings)


def forbidden_addresses(
    sightings: Sightings,
    networks: Iterable[Network],
    others: Iterable[tuple[Domain, Spot]],
) -> dict[IPAddress, str]:
    """Addresses that a guest may not claim, each with whose it is.

    ``others`` are the interfaces of the other running guests: what their static entries
    and leases say is theirs.
    """
    taken: dict[IPAddress, str] = {}
    for domain, spot in others:
        for source, addresses in _sources(spot, sightings):
            if source in {Source.STATIC, Source.LEASE}:
                taken |= dict.fromkeys(addresses, f"the {source} of guest {domain.name!r}")
    for network in networks:
        taken |= dict.fromkeys(network.gateways, f"the gateway of network {network.name!r}")
    taken |= dict.fromkeys(sightings.gateways, "a gateway of this host")
    return taken | dict.fromkeys(sightings.own, "an address of this host")
