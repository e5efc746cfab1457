"""A guest's private address: which source says what, and what of it is believed.

The first eligible answer counts, in this order: the annotation, the libvirt network's static
entry, the DHCP lease, the guest agent, the host's neighbour table. The last two are in the
guest's hands: they count only where the neighbour table of the guest's own interface has the
address with the guest's MAC. An address of the host, of a gateway or of another guest is
never taken, whoever says so. While none of them names one, the last known stays: a neighbour
entry that fails for a moment or a lease that ended must not cut a guest off.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from uuid import UUID

from zthook.model.addresses import IPAddress
from zthook.model.guests import Domain, Network


class Source(StrEnum):
    """Who named a private address; the order is the order of belief."""

    ANNOTATION = "annotation"
    STATIC = "static entry"
    LEASE = "DHCP lease"
    AGENT = "guest agent"
    NEIGHBOUR = "neighbour table"
    LAST = "last known"

    @property
    def rank(self) -> int:
        """0 is believed first."""
        return list(Source).index(self)


@dataclass(frozen=True, slots=True)
class Sightings:
    """Everything this host can read of addresses now.

    ``leases``: bridge → MAC → address; ``neighbours``: device → address → MAC; ``agents``:
    guest → (MAC, address) as the guest agent says; ``own``: the host's addresses;
    ``gateways``: its routers; ``last``: MAC → what was found for it by the pass before.
    """

    leases: Mapping[str, Mapping[str, IPAddress]] = field(default_factory=dict)
    neighbours: Mapping[str, Mapping[IPAddress, str]] = field(default_factory=dict)
    agents: Mapping[UUID, tuple[tuple[str, IPAddress], ...]] = field(default_factory=dict)
    own: frozenset[IPAddress] = frozenset()
    gateways: frozenset[IPAddress] = frozenset()
    last: Mapping[str, IPAddress] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a guest's interface is on this host: its MAC, the device, the libvirt network."""

    guest: UUID
    mac: str
    device: str | None
    network: Network | None


@dataclass(frozen=True, slots=True)
class Found:
    """A private address and who named it."""

    address: IPv4Address
    source: Source


def found_address(
    spot: Spot,
    annotated: IPAddress | None,
    sightings: Sightings,
    forbidden: Mapping[IPAddress, str],
) -> Found | None:
    """The first address that may be taken, or None while there is none.

    An ``annotated`` one is returned as it is: whether it is forbidden is for the caller to
    say aloud, as another source must not stand in for what was asked.
    """
    if isinstance(annotated, IPv4Address):
        return Found(annotated, Source.ANNOTATION)
    return next(
        (
            found
            for found in _named(spot, sightings)
            if found.address not in forbidden and _believed(found, spot, sightings)
        ),
        None,
    )


def doubtful(
    spot: Spot, sightings: Sightings, forbidden: Mapping[IPAddress, str]
) -> list[IPv4Address]:
    """What is worth a probe, as only the neighbour table can tell whether it is true.

    That is what the guest agent names and no entry confirms yet; and every address that the
    table has for this guest where it has several, as it keeps one that the guest gave up
    until somebody asks for it.
    """
    entries = _neighbours(spot, sightings)
    several = sum(mac == spot.mac for mac in entries.values()) > 1
    return [
        found.address
        for found in _named(spot, sightings)
        if found.address not in forbidden
        and (
            (found.source is Source.AGENT and found.address not in entries)
            or (found.source is Source.NEIGHBOUR and several)
        )
    ]


def _named(spot: Spot, sightings: Sightings) -> Iterator[Found]:
    for source, addresses in _sources(spot, sightings):
        for address in addresses:
            # A guest's own loopback and link-local addresses reach nobody.
            if isinstance(address, IPv4Address) and not _useless(address):
                yield Found(address, source)


def _sources(spot: Spot, sightings: Sightings) -> Iterator[tuple[Source, Iterable[IPAddress]]]:
    static = spot.network.static if spot.network else ()
    yield Source.STATIC, [address for mac, address in static if mac == spot.mac]
    lease = sightings.leases.get(spot.device or "", {}).get(spot.mac)
    yield Source.LEASE, [lease] if lease else []
    agent = sightings.agents.get(spot.guest, ())
    yield Source.AGENT, [address for mac, address in agent if mac == spot.mac]
    last = sightings.last.get(spot.mac)
    seen = [address for address, mac in _neighbours(spot, sightings).items() if mac == spot.mac]
    # Of several the one we know: entries come and go, and a mapping must not hop among them.
    yield Source.NEIGHBOUR, sorted(seen, key=lambda address: (address != last, int(address)))
    yield Source.LAST, [last] if last else []


def _neighbours(spot: Spot, sightings: Sightings) -> Mapping[IPAddress, str]:
    return sightings.neighbours.get(spot.device or "", {})


def _useless(address: IPv4Address) -> bool:
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
    )


def _believed(found: Found, spot: Spot, sightings: Sightings) -> bool:
    if found.source not in {Source.AGENT, Source.NEIGHBOUR}:
        return True
    return _neighbours(spot, sightings).get(found.address) == spot.mac


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
