"""The one place where an edge's kernel is looked at and changed."""

import socket
from collections import defaultdict
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, ip_network

from zthook.kernel import conntrack, links, neighbours, routes, sysctl
from zthook.kernel.announce import announce
from zthook.kernel.conntrack import Through
from zthook.kernel.edge_ground import Surroundings, settings_of
from zthook.kernel.edge_kernel import ROUTES_FOR_ALL
from zthook.kernel.edge_listing import Listing, read_listing
from zthook.kernel.edge_notices import concerns
from zthook.kernel.edge_plan import Seen
from zthook.kernel.edge_rules import COUNTED, FAMILY, TABLE, Transaction, render
from zthook.kernel.neighbours import ProxyEntry
from zthook.kernel.netlink import ROUTE, Netlink
from zthook.kernel.nft import Nft
from zthook.kernel.protected import Served, login_addresses, served_ports
from zthook.kernel.route_batch import remove_routes, set_routes
from zthook.kernel.routes import Route
from zthook.kernel.rtnetlink import IPRoute
from zthook.kernel.watch import Subscription
from zthook.model.addresses import AddressRange, IPAddress, IPNetwork
from zthook.model.mappings import EdgePlane, OverlayDevice

GENERATIONS = 1 << 32


class LinuxEdgeKernel:
    """The kernel of the network namespace in which it is first used; for one thread."""

    def __init__(self) -> None:
        self._opened: IPRoute | None = None
        self._nft = Nft()
        self._routes = Netlink(ROUTE)
        self._told = Subscription("link", "address", "route")
        self._generation = -1
        self._listing: tuple[int, Listing | None] | None = None
        self._devices: frozenset[str] = frozenset()

    @property
    def _ip(self) -> IPRoute:
        """Opened late: pyroute2's sockets belong to the thread that opens them."""
        if self._opened is None:
            self._opened = IPRoute()
        return self._opened

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        self._nft.close()
        self._routes.close()
        self._told.close()

    def look(self, plane: EdgePlane) -> Seen:
        for _ in self._told.drain():
            pass
        self._devices = plane.uplinks | {plane.overlay}
        self._generation = self._nft.generation()
        table, around = self._table(), self._around(plane)
        return Seen(
            around=around,
            labels=table.labels if table else None,
            elements=table.elements if table else {},
            counters=table.counters() if table else {},
            routes=routes.own_routes(),
            proxies=neighbours.proxy_entries(),
            settings=self.settings(settings_of(plane, around)),
        )

    def _table(self) -> Listing | None:
        """The table as listed last, if the ruleset's generation says that it still is so."""
        if self._listing is None or self._listing[0] != self._generation:
            objects = self._nft.table(FAMILY, TABLE)
            found = read_listing(objects) if objects is not None else None
            self._listing = (self._generation, found)
        return self._listing[1]

    def _around(self, plane: EdgePlane) -> Surroundings:
        on_link: dict[str, tuple[IPv4Network, ...]] = defaultdict(tuple)
        for one in links.connected_prefixes():
            if isinstance(one.prefix, IPv4Network):
                on_link[one.device] += (one.prefix,)
        own = (one.address for one in links.addresses(self._ip))
        return Surroundings(
            overlay=self.overlay(plane.overlay),
            indexes={name: index for index, name in links.device_names(self._ip).items()},
            own=frozenset(one for one in own if isinstance(one, IPv4Address)),
            on_link=on_link,
            default_devices=links.default_devices(),
            routes_anyway=sysctl.read(ROUTES_FOR_ALL) != "0",
        )

    def disturbed(self) -> bool:
        if self._nft.generation() != self._generation:
            return True
        own = self._routes.port
        return any(one.port != own and concerns(one, self._devices) for one in self._told.drain())

    def settings(self, paths: Iterable[str]) -> dict[str, str]:
        found = ((path, sysctl.read(path)) for path in paths)
        return {path: value for path, value in found if value is not None}

    def commit(self, change: Transaction) -> None:
        self._nft.run(render(change))
        self._generation = (self._generation + 1) % GENERATIONS

    def end_connections(self, some: Collection[Through]) -> None:
        conntrack.end_connections(some)

    def end_strangers(self, some: Collection[Through]) -> None:
        conntrack.end_strangers(some)

    def forgive(self, some: Collection[Through]) -> None:
        conntrack.forgive(some)

    def end_leftovers(self, publics: Collection[AddressRange], some: Collection[Through]) -> None:
        conntrack.end_leftovers(publics, some)

    def set_routes(self, some: Collection[Route]) -> None:
        set_routes(self._routes, some)

    def remove_routes(self, some: Collection[Route]) -> None:
        remove_routes(self._routes, some)

    def set_proxy(self, entry: ProxyEntry) -> None:
        neighbours.set_proxy(self._ip, entry)
        announce(entry.address, entry.device)

    def remove_proxy(self, entry: ProxyEntry) -> None:
        neighbours.remove_proxy(self._ip, entry)

    def set(self, path: str, value: str) -> None:
        sysctl.write(path, value)

    def counted(self) -> dict[tuple[str, str], tuple[int, int]]:
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for name in COUNTED:
            found |= read_listing(self._nft.query(f"list set {FAMILY} {TABLE} {name}")).counted
        return found

    def overlay(self, name: str) -> OverlayDevice | None:
        return links.find_device(self._ip, name) if name else None

    def neighbour_mac(self, address: IPAddress, device: str) -> str | None:
        # Asked at every request: listing the devices to know its index takes ten times as long.
        try:
            index = socket.if_nametoindex(device)
        except OSError:
            return None
        return neighbours.neighbour_mac(self._ip, address, index)

    def default_sources(self) -> frozenset[IPAddress]:
        return links.default_source(self._ip)

    def logins(self) -> frozenset[IPAddress]:
        return login_addresses()

    def served(self) -> frozenset[Served]:
        return served_ports()

    def connected(self) -> tuple[IPNetwork, ...]:
        own = (ip_network(one.address) for one in links.addresses(self._ip))
        return (*(one.prefix for one in links.connected_prefixes()), *own)
