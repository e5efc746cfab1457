"""The one place where an edge's kernel is looked at and changed."""

import socket
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_network
from itertools import islice
from typing import TypeVar

from zthook.kernel import conntrack, links, neighbours, routes, rules, sysctl
from zthook.kernel.announce import announce
from zthook.kernel.connection_ways import Through
from zthook.kernel.device_listing import listed_addresses, listed_devices
from zthook.kernel.edge.chains.chain import PASSED
from zthook.kernel.edge.endings import Endings
from zthook.kernel.edge.ground import (
    EDGE_TABLES,
    ROUTES6_FOR_ALL,
    ROUTES_FOR_ALL,
    RULED_TABLES,
    Surroundings,
    settings_of,
)
from zthook.kernel.edge.notices import concerns
from zthook.kernel.edge.plan import Seen, chains_to_load
from zthook.kernel.edge.rules import Transaction, asks_for_ipv6
from zthook.kernel.edge.table import EdgeTable
from zthook.kernel.edge.uplinks import is_uplinks, ways_of
from zthook.kernel.firewalls import passage
from zthook.kernel.firewalls.keeper import Firewalls, Opening
from zthook.kernel.neighbours import OF_EDGE, Pinned, ProxyEntry
from zthook.kernel.netlink import ROUTE, Netlink
from zthook.kernel.nft import Nft
from zthook.kernel.protected import Served, login_addresses, served_ports
from zthook.kernel.route_batch import remove_routes, set_routes
from zthook.kernel.route_listing import OthersRoute, others_routes
from zthook.kernel.routes import Route
from zthook.kernel.rules import PolicyRule, add_rules, remove_rules
from zthook.kernel.watch import Subscription
from zthook.model.addresses import AddressRange, IPAddress, IPNetwork
from zthook.model.mappings import EdgePlane, OverlayDevice

T = TypeVar("T")

GENERATIONS = 1 << 32
HEARD = 100
"""Routes or pinned neighbours at a time: what is told of so many fits a socket's usual 208 kB
until it is read."""
LET_THROUGH = passage.Passage(passage.EDGE, passage.Of.PACKET, PASSED)


class LinuxEdgeKernel:
    """The kernel of the network namespace in which it is first used; for one thread at a time,
    but for ``neighbour_mac``.
    """

    def __init__(self) -> None:
        self._nft = Nft()
        self._table = EdgeTable(self._nft)
        self._firewalls = Firewalls(self._nft, passage.EDGE)
        self._routes = Netlink(ROUTE)
        self._neighbours = Netlink(ROUTE)
        """Its own: asked by another thread while this one looks or changes."""
        self._told = Subscription("link", "address", "route", "rule", "neighbour")
        self._generation = -1
        self._others: list[OthersRoute] | None = None
        self._concerned = False
        """Whether something was told since the last look that calls for another."""
        self._devices: frozenset[str] = frozenset()
        self._ipv6 = False

    def close(self) -> None:
        self._nft.close()
        self._table.close()
        self._routes.close()
        self._neighbours.close()
        self._told.close()

    def _hear(self) -> None:
        """Take what was told by now, but of what this one did itself."""
        for one in self._told.drain():
            if one.port != self._routes.port:
                if one.kind != "neighbour":
                    self._others = None
                self._concerned |= concerns(one, self._devices, ipv6=self._ipv6)

    def _begin(self, plane: EdgePlane) -> None:
        """Look from here on: what is told later is not seen yet."""
        self._hear()
        self._concerned = False
        self._devices, self._ipv6 = plane.uplinks | {plane.overlay}, asks_for_ipv6(plane)
        self._generation = self._nft.generation()

    def _routes_of_others(self) -> list[OthersRoute]:
        """As they are now. Among tens of thousands of ours they are found only once: the kernel
        tells what changes of them, and of devices and addresses that they go with.
        """
        self._hear()
        if self._others is None:
            self._others = others_routes()
        return self._others

    def glance(self, plane: EdgePlane) -> object:
        self._begin(plane)
        around = self.around(plane)
        return (
            (self._generation, around, self.settings(settings_of(plane, around))),
            (routes.digest(self._routes), rules.own_rules()),
            (neighbours.proxies_digest(self._routes), neighbours.pinned_entries(OF_EDGE).own),
        )

    def look(self, plane: EdgePlane) -> Seen:
        self._begin(plane)
        table, around = self._table.listed(), self.around(plane)
        seen = Seen(
            around=around,
            labels=table.labels if table else None,
            elements=table.elements if table else {},
            counters={},
            routes=frozenset(one for one in routes.own_routes(None) if one.table in EDGE_TABLES),
            proxies=neighbours.proxy_entries(),
            pinned=neighbours.pinned_entries(OF_EDGE).own,
            rules=frozenset(
                one for one in rules.own_rules() if one.table in RULED_TABLES or is_uplinks(one)
            ),
            settings=self.settings(settings_of(plane, around)),
        )
        if table is not None and chains_to_load(plane, seen).rules:
            return replace(seen, counters=self._counters())
        return seen

    def _counters(self) -> dict[tuple[str, str], str]:
        """Set and element → the counter as nft reads it."""
        return {
            key: f"counter packets {packets} bytes {size}"
            for key, (packets, size) in self.counted().items()
        }

    def around(self, plane: EdgePlane) -> Surroundings:
        on_link: dict[str, tuple[IPNetwork, ...]] = defaultdict(tuple)
        others, devices, own = self._routes_of_others(), listed_devices(), listed_addresses()
        for one in links.connected_prefixes(others):
            on_link[one.device] += (one.prefix,)
        defaults = links.default_routes(others)
        up = {one.name: one.index for one in devices if one.up}
        return Surroundings(
            overlay=links.device_called(plane.overlay, devices, own),
            indexes={one.name: one.index for one in devices},
            own=frozenset(address for _, address in own),
            on_link=on_link,
            defaults=defaults,
            ways=ways_of(plane, defaults, up),
            routes_anyway=sysctl.read(ROUTES_FOR_ALL) != "0",
            settled=neighbours.pinned_entries(OF_EDGE).others,
            closed6=sysctl.read(ROUTES6_FOR_ALL) == "0",
            advertised=_advertised(plane),
        )

    def disturbed(self) -> bool:
        if self._nft.generation() != self._generation or self._firewalls.drifted():
            return True
        self._hear()
        return self._concerned

    def settings(self, paths: Iterable[str]) -> dict[str, str]:
        found = ((path, sysctl.read(path)) for path in paths)
        return {path: value for path, value in found if value is not None}

    def commit(self, change: Transaction) -> None:
        self._table.commit(change)
        self._generation = (self._generation + 1) % GENERATIONS

    def end_connections(self, ends: Endings) -> None:
        conntrack.end_connections(ends.gone, ends.kept)
        conntrack.end_refused(ends.refused)
        conntrack.end_begun(ends.begun)

    def end_strangers(self, some: Collection[Through]) -> None:
        conntrack.end_strangers(some)

    def forgive(self, some: Collection[Through], begun: Collection[Through]) -> None:
        conntrack.forgive(some, begun)

    def end_leftovers(
        self,
        publics: Collection[AddressRange],
        some: Collection[Through],
        begun: Collection[Through],
        allowed: Mapping[Through, Collection[IPNetwork]],
    ) -> None:
        conntrack.end_leftovers(publics, some, begun)
        conntrack.end_refused(allowed)

    def set_routes(self, some: Collection[Route]) -> None:
        for part in _parts(some):
            set_routes(self._routes, part)
            self._hear()

    def remove_routes(self, some: Collection[Route]) -> None:
        for part in _parts(some):
            remove_routes(self._routes, part)
            self._hear()

    def set_proxy(self, entry: ProxyEntry) -> None:
        neighbours.set_proxy(self._routes, entry)
        announce(entry.address, entry.device)

    def remove_proxy(self, entry: ProxyEntry) -> None:
        neighbours.remove_proxy(self._routes, entry)

    def set_pinned(self, some: Collection[Pinned]) -> None:
        for part in _parts(some):
            neighbours.set_pinned(self._routes, part, OF_EDGE)
            self._hear()

    def remove_pinned(self, some: Collection[Pinned]) -> None:
        for part in _parts(some):
            neighbours.remove_pinned(self._routes, part)
            self._hear()

    def add_rules(self, some: Collection[PolicyRule]) -> None:
        # In the order in which they are asked: a packet that finds one finds those before it.
        add_rules(self._routes, sorted(some))

    def remove_rules(self, some: Collection[PolicyRule]) -> None:
        remove_rules(self._routes, sorted(some, reverse=True))

    def set(self, path: str, value: str) -> None:
        sysctl.write(path, value)

    def open_firewalls(self, families: frozenset[int]) -> list[str]:
        opening = Opening(LET_THROUGH, families) if families else None
        return self._firewalls.keep(opening) + self._firewalls.news()

    def counted(self) -> dict[tuple[str, str], tuple[int, int]]:
        return self._table.counted()

    def overlay(self, name: str) -> OverlayDevice | None:
        return links.find_device(name) if name else None

    def neighbour_mac(self, address: IPAddress, device: str) -> str | None:
        # Asked at every request: listing the devices to know its index takes ten times as long.
        try:
            index = socket.if_nametoindex(device)
        except OSError:
            return None
        return neighbours.neighbour_mac(self._neighbours, address, index)

    def default_sources(self) -> frozenset[IPAddress]:
        return links.default_source(self._routes_of_others())

    def default_routers(self) -> frozenset[IPAddress]:
        return links.default_routers(self._routes_of_others())

    def logins(self) -> frozenset[IPAddress]:
        return login_addresses()

    def served(self) -> frozenset[Served]:
        return served_ports()

    def connected(self) -> tuple[IPNetwork, ...]:
        own = map(ip_network, links.own_addresses())
        prefixes = links.connected_prefixes(self._routes_of_others())
        return (*(one.prefix for one in prefixes), *own)


def _parts(some: Collection[T]) -> Iterator[list[T]]:
    """So few at a time that what is told of them all is heard, and nothing of others is lost."""
    left = iter(some)
    while part := list(islice(left, HEARD)):
        yield part


def _advertised(plane: EdgePlane) -> frozenset[str]:
    if not asks_for_ipv6(plane):
        return frozenset()
    return links.router_advertised(plane.uplinks | {links.LATER_DEVICES})
