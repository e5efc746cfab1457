"""Where a mapping's packets come from and go to on this machine: pure, no kernel."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network

from zthook.kernel.conntrack import Through
from zthook.kernel.neighbours import ProxyEntry
from zthook.kernel.routes import Route
from zthook.model.mappings import EdgePlane, Forwarding, OverlayDevice


class Arrival(Enum):
    """How a public address's packets come to this machine, as the kernel shows it."""

    CONFIGURED = "it is one of the machine's own"
    ON_LINK = "the uplink's neighbours ask for it by ARP"
    ROUTED = "a router sends it here"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of the machine is not ours, and decides what ours must be.

    ``overlay`` is None while its device is away. ``indexes`` are the devices' by name,
    ``on_link`` the prefixes that each device reaches without a gateway. ``routes_anyway``:
    forwarding is on for the whole machine, so others rely on it.
    """

    overlay: OverlayDevice | None
    indexes: Mapping[str, int]
    own: frozenset[IPv4Address]
    on_link: Mapping[str, tuple[IPv4Network, ...]]
    default_devices: frozenset[str]
    routes_anyway: bool


def arrival(one: Forwarding, around: Surroundings) -> Arrival:
    """In which of the ways the mapping's packets arrive."""
    if one.arrives_as in around.own:
        return Arrival.CONFIGURED
    near = any(one.arrives_as in prefix for prefix in around.on_link.get(one.uplink, ()))
    return Arrival.ON_LINK if near else Arrival.ROUTED


def routes_of(some: Iterable[Forwarding], around: Surroundings) -> frozenset[Route]:
    """To each guest by its host, and of each on-link address to the overlay.

    The latter carries nothing: the kernel answers ARP only for what it would send elsewhere.
    Of several mappings to one private address the one that arrives first in order decides.
    """
    overlay = around.overlay
    if overlay is None:
        return frozenset()
    found = {}
    for one in sorted(some, key=lambda one: one.arrives_as, reverse=True):
        found[one.private] = Route(IPv4Network(one.private), overlay.index, one.next_hop)
        if arrival(one, around) is Arrival.ON_LINK:
            found[one.arrives_as] = Route(IPv4Network(one.arrives_as), overlay.index)
    return frozenset(found.values())


def proxies_of(some: Iterable[Forwarding], around: Surroundings) -> frozenset[ProxyEntry]:
    """The addresses that the kernel has to answer ARP for."""
    return frozenset(
        ProxyEntry(one.arrives_as, around.indexes[one.uplink])
        for one in some
        # A device that went while it was looked at has prefixes and no index.
        if arrival(one, around) is Arrival.ON_LINK and one.uplink in around.indexes
    )


def through(some: Iterable[Forwarding]) -> frozenset[Through]:
    """What connections through these mappings look like."""
    return frozenset(Through(one.arrives_as, one.private) for one in some)


def settings_of(plane: EdgePlane, around: Surroundings) -> dict[str, str]:
    """What has to be set under /proc/sys, and nothing beyond.

    Forwarding on our own devices alone: net.ipv4.ip_forward would open the machine's
    others too. Loose rp_filter on the overlay, where a guest's router may report errors.
    No delay before ARP is answered (it is up to 0.8 s by default).
    """
    uplinks = sorted(plane.uplinks & around.indexes.keys())
    wanted = {f"net/ipv4/conf/{uplink}/forwarding": "1" for uplink in uplinks}
    wanted |= {f"net/ipv4/neigh/{uplink}/proxy_delay": "0" for uplink in uplinks}
    if around.overlay is not None:
        wanted[f"net/ipv4/conf/{around.overlay.name}/rp_filter"] = "2"
        wanted[f"net/ipv4/conf/{around.overlay.name}/forwarding"] = "1"
    return wanted
