"""Where a mapping's packets come from and go to on this machine: pure, no kernel."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from zthook.kernel.edge.uplinks import TABLES, Way, uplink_routes, uplink_rules, uplink_settings
from zthook.kernel.links import DefaultRoute, link_local_of
from zthook.kernel.neighbours import Pinned, ProxyEntry
from zthook.kernel.routes import MAIN_TABLE, Route, single
from zthook.kernel.rules import FIRST, LOCAL_TABLE, PolicyRule
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.mappings import EdgePlane, Forwarding, OverlayDevice
from zthook.model.publication import Mode

BEFORE_LOCAL = 12310
"""The table of routed addresses that are the machine's own: it is asked before the local one."""
EDGE_TABLES = frozenset({MAIN_TABLE, BEFORE_LOCAL}) | TABLES
"""Where routes of ours can be; a host's own are elsewhere, should it be the same machine."""

ROUTES_FOR_ALL, ROUTES6_FOR_ALL = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"

RULED_TABLES = frozenset({BEFORE_LOCAL, LOCAL_TABLE})
"""Where rules of ours lead by the address alone; to the local one only while another is put
before it.
"""


class Arrival(Enum):
    """How a public address's packets come to this machine, as the kernel shows it."""

    CONFIGURED = "it is one of the machine's own"
    ON_LINK = "the uplink's neighbours ask for it"
    ROUTED = "a router sends it here"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of the machine is not ours, and decides what ours must be.

    ``overlay`` is None while its device is away. ``indexes`` are the devices' by name,
    ``on_link`` the prefixes that each device reaches without a gateway. ``defaults`` are the
    main table's default routes, of each family the one that is used first first, ``ways`` what
    uplinks have beside that. ``routes_anyway``: IPv4 forwarding is on for the whole machine,
    so others rely on it. ``settled`` are the addresses, and the devices' indexes, of which
    others have said for good who has them.

    Of IPv6 there is only that of the whole machine. ``closed6``: it is off, or on for mappings
    alone. ``advertised`` are those of /proc/sys/net/ipv6/conf who follow a router's
    advertisements now, and would no more with forwarding on.
    """

    overlay: OverlayDevice | None
    indexes: Mapping[str, int]
    own: frozenset[IPAddress]
    on_link: Mapping[str, tuple[IPNetwork, ...]]
    defaults: tuple[DefaultRoute, ...]
    ways: tuple[Way, ...]
    routes_anyway: bool
    settled: frozenset[tuple[IPAddress, int]] = frozenset()
    closed6: bool = False
    advertised: frozenset[str] = frozenset()

    @property
    def default_devices(self) -> frozenset[str]:
        """The devices of the default routes."""
        return frozenset(one.device for one in self.defaults)


def arrival(one: Forwarding, around: Surroundings) -> Arrival:
    """In which of the ways the mapping's packets arrive."""
    if one.arrives_as in around.own:
        return Arrival.CONFIGURED
    near = any(one.arrives_as in prefix for prefix in around.on_link.get(one.uplink, ()))
    return Arrival.ON_LINK if near else Arrival.ROUTED


def routes_of(some: Iterable[Forwarding], around: Surroundings) -> frozenset[Route]:
    """To each guest, or each routed address, by its host; of each on-link address to the overlay.

    The latter carries nothing: the kernel answers ARP only for what it would send elsewhere.
    Of several mappings to one private address the one that arrives first in order decides.
    """
    overlay = around.overlay
    if overlay is None:
        return frozenset()
    found: dict[tuple[IPAddress, int], tuple[Forwarding, IPAddress | None]] = {}
    for one in some:
        for target, via, table in _targets(one, arrival(one, around)):
            other = found.setdefault((target, table), (one, via))
            if other[0] is not one and _order(one) < _order(other[0]):
                found[target, table] = one, via
    return frozenset(
        Route(single(target), overlay.index, via, table)
        for (target, table), (_, via) in found.items()
    )


def _targets(one: Forwarding, came: Arrival) -> Iterator[tuple[IPAddress, IPAddress | None, int]]:
    """Destination, gateway and table of each route."""
    if one.mode is Mode.ROUTED:
        yield one.arrives_as, _hop(one), _table(came)
        return
    yield one.private, _hop(one), MAIN_TABLE
    if came is Arrival.ON_LINK:
        yield one.arrives_as, None, MAIN_TABLE


def _hop(one: Forwarding) -> IPAddress:
    """Of IPv6 the link-local address of the member's MAC: who it is says nothing but that."""
    return one.next_hop if one.private.version == 4 else link_local_of(one.next_hop_mac)


def is_ipv6(one: Forwarding) -> bool:
    """Whether it asks for anything of IPv6."""
    return one.private.version == 6


def members_of(some: Iterable[Forwarding]) -> dict[IPAddress, Counter[str]]:
    """The addresses by which routes go and of which nobody is asked who has them.

    By each the MACs of the members that have it, and how many mappings say so.
    """
    found: dict[IPAddress, Counter[str]] = defaultdict(Counter)
    for one in some:
        if one.pinned or is_ipv6(one):
            found[_hop(one)][one.next_hop_mac.lower()] += 1
    return dict(found)


def pinned_at(
    members: Mapping[IPAddress, Collection[str]], around: Surroundings
) -> frozenset[Pinned]:
    """Their MACs as permanent neighbours. Where two have one address nobody knows whose it is."""
    if around.overlay is None:
        return frozenset()
    device = around.overlay.index
    return frozenset(
        Pinned(address, device, mac)
        for address, macs in members.items()
        for mac in macs
        if len(macs) == 1 and (address, device) not in around.settled
    )


def _order(one: Forwarding) -> tuple[int, int, int]:
    return one.arrives_as.version, int(one.arrives_as), int(one.private)


def _table(came: Arrival) -> int:
    return BEFORE_LOCAL if came is Arrival.CONFIGURED else MAIN_TABLE


def proxies_of(some: Iterable[Forwarding], around: Surroundings) -> frozenset[ProxyEntry]:
    """The addresses that the kernel has to answer for on the uplinks."""
    return frozenset(
        ProxyEntry(one.arrives_as, around.indexes[one.uplink])
        for one in some
        # A device that went while it was looked at has prefixes and no index.
        if _is_proxied(one, around) and one.uplink in around.indexes
    )


def _is_proxied(one: Forwarding, around: Surroundings) -> bool:
    """A routed address of its own goes to this machine no more: neither ARP nor what a neighbour
    sends to an IPv6 address to see that it is still here.
    """
    came = arrival(one, around)
    routed_away = came is Arrival.CONFIGURED and one.mode is Mode.ROUTED
    return came is Arrival.ON_LINK or routed_away


def rules_of(routed: Collection[IPAddress], around: Surroundings) -> frozenset[PolicyRule]:
    """The policy rules that these routed addresses need."""
    configured = {one.version for one in around.own if one in routed}
    return frozenset(PolicyRule(version, FIRST, BEFORE_LOCAL) for version in configured)


def beside_main(
    versions: Collection[int], around: Surroundings
) -> tuple[frozenset[Route], frozenset[PolicyRule]]:
    """The routes and rules of uplinks' own ways, where there are mappings of these versions."""
    ways = [way for way in around.ways if way.version in versions]
    elsewhere = around.default_devices | {way.uplink for way in ways}
    return uplink_routes(ways, around.on_link, around.indexes, elsewhere), uplink_rules(ways)


def settings_of(plane: EdgePlane, around: Surroundings) -> dict[str, str]:
    """What has to be set under /proc/sys, and nothing beyond.

    Forwarding on our own devices alone: net.ipv4.ip_forward would open the machine's
    others too. No redirects, which a router heeds none of: by one of them a neighbour draws
    to himself what goes to a guest. Loose rp_filter on the overlay, where a guest's router
    may report errors, and on uplinks with ways of their own. No delay before ARP is answered
    (it is up to 0.8 s by default). Of IPv6 nothing before there is a mapping of it.
    """
    uplinks = sorted(plane.uplinks & around.indexes.keys())
    overlay = [around.overlay.name] if around.overlay is not None else []
    wanted = {f"net/ipv4/conf/{name}/accept_redirects": "0" for name in (*uplinks, *overlay)}
    wanted |= {f"net/ipv4/conf/{uplink}/forwarding": "1" for uplink in uplinks}
    wanted |= {f"net/ipv4/neigh/{uplink}/proxy_delay": "0" for uplink in uplinks}
    wanted |= uplink_settings(around.ways, around.defaults)
    for name in overlay:
        wanted[f"net/ipv4/conf/{name}/rp_filter"] = "2"
        wanted[f"net/ipv4/conf/{name}/forwarding"] = "1"
    return wanted | (settings6_of(plane, around) if any(map(is_ipv6, plane.forwardings)) else {})


def settings6_of(plane: EdgePlane, around: Surroundings) -> dict[str, str]:
    """The same for mappings of IPv6, in the order in which they are set.

    A kernel that forwards no longer heeds routers, unless it was told to before. It forwards
    between all devices or none: the rules keep to mappings what was off. To every device
    belongs that a neighbour's question whether a proxied address is still here is answered.
    """
    uplinks = sorted(plane.uplinks & around.indexes.keys())
    wanted = {f"net/ipv6/conf/{name}/accept_ra": "2" for name in sorted(around.advertised)}
    if around.overlay is not None:
        wanted[f"net/ipv6/conf/{around.overlay.name}/disable_ipv6"] = "0"
    wanted[ROUTES6_FOR_ALL] = "1"
    wanted["net/ipv6/conf/all/proxy_ndp"] = "1"
    for uplink in uplinks:
        wanted[f"net/ipv6/conf/{uplink}/forwarding"] = "1"
        wanted[f"net/ipv6/conf/{uplink}/proxy_ndp"] = "1"
        wanted[f"net/ipv6/neigh/{uplink}/proxy_delay"] = "0"
    return wanted
