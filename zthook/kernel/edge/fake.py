"""The edge's dataplane over a kernel made of Python's sets: it can be looked into, and fail."""

from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Address, ip_network
from typing import TYPE_CHECKING

from zthook.errors import KernelError
from zthook.kernel import connection_ways
from zthook.kernel.connection_ways import Belongs, Through
from zthook.kernel.edge.dataplane import KernelEdgeDataplane
from zthook.kernel.edge.endings import Endings
from zthook.kernel.edge.fake_steps import Steps
from zthook.kernel.edge.fake_table import altered, reached
from zthook.kernel.edge.ground import (
    ROUTES6_FOR_ALL,
    ROUTES_FOR_ALL,
    Surroundings,
    settings_of,
)
from zthook.kernel.edge.plan import Seen
from zthook.kernel.edge.rules import Transaction, labels
from zthook.kernel.edge.sets import COUNTED, public_of
from zthook.kernel.edge.uplinks import ways_of
from zthook.kernel.links import DefaultRoute
from zthook.kernel.neighbours import Pinned, ProxyEntry
from zthook.kernel.protected import Served
from zthook.kernel.routes import Route
from zthook.kernel.rules import PolicyRule
from zthook.model.addresses import AddressRange, IPAddress, IPNetwork
from zthook.model.mappings import EdgePlane, OverlayDevice

if TYPE_CHECKING:
    from zthook.kernel.connection_table import Connection

OVERLAY = OverlayDevice("zt0", 7, "02:00:00:00:00:fe", 2800, (IPv4Address("192.168.193.222"),))


class Crash(Exception):
    """The daemon's process ends here: what was done stays, what comes after never happens."""


class FakeEdgeKernel(Steps):
    """Refuses what the real one refuses. Tests read and change what it holds.

    ``device`` None: the overlay's device is away (its routes go with it). ``own`` are the
    machine's addresses, ``on_link`` device → prefixes, ``defaults`` the default routes of
    others, ``macs`` who answers ARP, ``settled`` others' permanent neighbours, ``connections``
    all that conntrack has, through mappings or not.
    """

    def __init__(self, device: OverlayDevice | None = OVERLAY) -> None:
        super().__init__()
        self.device = device
        self.indexes = {"lo": 1, "eth0": 2}
        self.defaults = [DefaultRoute(4, "eth0", IPv4Address("203.0.113.1"))]
        self.own: set[IPAddress] = set()
        self.on_link: dict[str, tuple[IPNetwork, ...]] = {}
        self.macs: dict[IPAddress, str] = {}
        self.sources: set[IPAddress] = set()
        self.sessions: set[IPAddress] = set()
        self.listening: set[Served] = set()
        self.sysctls = {ROUTES_FOR_ALL: "0", ROUTES6_FOR_ALL: "0"}
        self.labels: dict[str, tuple[str, ...]] | None = None
        self.sets: dict[str, set[str]] = {}
        self.counters: dict[tuple[str, str], tuple[int, int]] = {}
        self.routes: set[Route] = set()
        self.proxies: set[ProxyEntry] = set()
        self.pinned: set[Pinned] = set()
        self.settled: set[tuple[IPAddress, int]] = set()
        self.rules: set[PolicyRule] = set()
        self.opened: frozenset[int] = frozenset()
        self.connections: set[Connection] = set()
        self._changed = True

    # What tests do to it.

    def flush(self) -> None:
        """``nft flush ruleset``, by somebody else."""
        self.labels, self.sets, self.counters, self._changed = None, {}, {}, True

    def lose_overlay(self) -> OverlayDevice | None:
        """The overlay's device goes away, and all that goes by it; returns what it was."""
        gone, self.device, self._changed = self.device, None, True
        self.routes = {one for one in self.routes if one.device in self._devices()}
        self.pinned.clear()
        return gone

    def _devices(self) -> set[int | None]:
        return {*self.indexes.values(), *([self.device.index] if self.device else [])}

    def touch(self) -> None:
        """Tell the dataplane that somebody changed something."""
        self._changed = True

    def mappings(self) -> dict[IPAddress, IPAddress]:
        """Destination on the uplink → address behind the host: what is reachable through this
        kernel; of those that several guests share one of them.
        """
        ways = {route.destination.network_address for route in self.routes}
        return {public: guest for public, guest in reached(self.sets).items() if guest in ways}

    def dump(self) -> str:
        """Everything of ours in it, as text; the same for the same state."""
        elements = (f"{name} {one}" for name in self.sets for one in self.sets[name])
        routes = (f"route {one} table {one.table}" for one in self.routes)
        proxies = (f"proxy {one.address} device {one.device}" for one in self.proxies)
        settings = (f"{path} = {value}" for path, value in self.sysctls.items())
        chains = (f"chain {name}: {says}" for name, says in (self.labels or {}).items())
        others = map(str, [*self.rules, *self.pinned])
        return "\n".join(sorted([*chains, *elements, *routes, *proxies, *others, *settings]))

    # What the dataplane does with it.

    def glance(self, plane: EdgePlane) -> object:
        return self.look(plane)

    def look(self, plane: EdgePlane) -> Seen:
        self._changed = False
        around = self.around(plane)
        return Seen(
            around=around,
            labels=self.labels,
            elements={name: frozenset(some) for name, some in self.sets.items()},
            counters={},
            routes=frozenset(self.routes),
            proxies=frozenset(self.proxies),
            pinned=frozenset(self.pinned),
            rules=frozenset(self.rules),
            settings=self.settings(settings_of(plane, around)),
        )

    def around(self, plane: EdgePlane) -> Surroundings:
        return Surroundings(
            overlay=self.overlay(plane.overlay),
            indexes=dict(self.indexes),
            own=frozenset(self.own),
            on_link=dict(self.on_link),
            defaults=tuple(self.defaults),
            ways=ways_of(plane, self.defaults, self.indexes),
            routes_anyway=self.sysctls[ROUTES_FOR_ALL] != "0",
            settled=frozenset(self.settled),
            closed6=self.sysctls[ROUTES6_FOR_ALL] == "0",
        )

    def disturbed(self) -> bool:
        """Told once, as of routes and neighbours the kernel does."""
        changed, self._changed = self._changed, False
        return changed

    def settings(self, paths: Iterable[str]) -> dict[str, str]:
        return {path: self.sysctls.setdefault(path, "0") for path in paths}

    def commit(self, change: Transaction) -> None:
        self._step("nft")
        self.sets = altered(self.sets, change)
        if change.rules:
            self.labels = labels(change.rules)
        elif self.labels is not None:
            self.labels |= labels(change.chains)

    def end_connections(self, ends: Endings) -> None:
        if ends:
            self._step("end connections")
            self._forget(connection_ways.through(ends.gone, ends.kept))
            self._forget(connection_ways.refused(ends.refused))
            self._forget(connection_ways.begun(ends.begun))

    def end_strangers(self, some: Collection[Through]) -> None:
        if some:
            self._step("end strangers")
            self._forget(connection_ways.strange(some))

    def forgive(self, some: Collection[Through], begun: Collection[Through]) -> None:
        """Nothing of a connection but its addresses and ports is played here."""

    def end_leftovers(
        self,
        publics: Collection[AddressRange],
        some: Collection[Through],
        begun: Collection[Through],
        allowed: Mapping[Through, Collection[IPNetwork]],
    ) -> None:
        left = connection_ways.left_over(publics, some, begun)
        refused = connection_ways.refused(allowed)
        if any(left(one) or refused(one) for one in self.connections):
            self._step("end leftovers")
            self._forget(left)
            self._forget(refused)

    def _forget(self, belongs: Belongs) -> None:
        self.connections = {one for one in self.connections if not belongs(one)}

    def set_routes(self, some: Collection[Route]) -> None:
        present, devices = {_place(one): one for one in self.routes}, self._devices()
        for route in some:
            self._step(f"set route {route}")
            if route.device not in devices:
                raise KernelError(f"setting the route {route}: the kernel says No such device")
            self.routes.discard(present.get(_place(route), route))
            self.routes.add(route)
            present[_place(route)] = route

    def remove_routes(self, some: Collection[Route]) -> None:
        self._drop("remove route", some, self.routes)

    def set_proxy(self, entry: ProxyEntry) -> None:
        self._step(f"set proxy {entry.address}")
        self.proxies.add(entry)

    def remove_proxy(self, entry: ProxyEntry) -> None:
        self._step(f"remove proxy {entry.address}")
        self.proxies.discard(entry)

    def set_pinned(self, some: Collection[Pinned]) -> None:
        present = {(one.address, one.device): one for one in self.pinned}
        for entry in some:
            self._step(f"pin {entry}")
            if self.device is None or entry.device != self.device.index:
                raise KernelError(f"pinning {entry}: the kernel says No such device")
            place = entry.address, entry.device
            self.pinned.discard(present.get(place, entry))
            self.pinned.add(entry)
            present[place] = entry

    def remove_pinned(self, some: Collection[Pinned]) -> None:
        self._drop("no longer pin", some, self.pinned)

    def add_rules(self, some: Collection[PolicyRule]) -> None:
        for rule in some:
            self._step(f"add {rule}")
            self.rules.add(rule)

    def remove_rules(self, some: Collection[PolicyRule]) -> None:
        self._drop("remove", some, self.rules)

    def set(self, path: str, value: str) -> None:
        self._step(f"set {path} {value}")
        self.sysctls[path] = value

    def open_firewalls(self, families: frozenset[int]) -> list[str]:
        if families != self.opened:
            self._step(f"open firewalls for {sorted(families)}")
            self.opened = families
        return []

    def counted(self) -> dict[tuple[str, str], tuple[int, int]]:
        some = ((name, one) for name in COUNTED for one in self.sets.get(name, ()))
        return {key: self.counters.get(key, (0, 0)) for key in some}

    def overlay(self, name: str) -> OverlayDevice | None:
        return self.device if self.device is not None and self.device.name == name else None

    def neighbour_mac(self, address: IPAddress, device: str) -> str | None:
        if self.overlay(device) is None:
            return None
        pinned = (one.mac for one in self.pinned if one.address == address)
        return next(pinned, self.macs.get(address))

    def default_sources(self) -> frozenset[IPAddress]:
        return frozenset(self.sources)

    def default_routers(self) -> frozenset[IPAddress]:
        return frozenset(one.gateway for one in self.defaults if one.gateway is not None)

    def logins(self) -> frozenset[IPAddress]:
        return frozenset(self.sessions)

    def served(self) -> frozenset[Served]:
        return frozenset(self.listening)

    def connected(self) -> tuple[IPNetwork, ...]:
        prefixes = (prefix for some in self.on_link.values() for prefix in some)
        return (*prefixes, *(ip_network(one) for one in self.own))

    def close(self) -> None:
        """Nothing is open."""


def _place(route: Route) -> tuple[IPNetwork, int]:
    """The kernel has one route of ours for each."""
    return route.destination, route.table


class FakeEdgeDataplane(KernelEdgeDataplane):
    """The real dataplane's own decisions over a FakeEdgeKernel, which outlives it.

    A restart of the daemon is another FakeEdgeDataplane over the same ``kernel``.
    """

    def __init__(self, kernel: FakeEdgeKernel | None = None) -> None:
        self.kernel = kernel or FakeEdgeKernel()
        super().__init__(self.kernel)

    def pass_through(self, public: IPAddress, *, packets: int, size: int) -> None:
        """Let the kernel count this many packets each way through the mapping of ``public``."""
        for name in COUNTED:
            for one in self.kernel.sets.get(name, ()):
                if public_of(name, one) == str(public):
                    before = self.kernel.counters.get((name, one), (0, 0))
                    self.kernel.counters[name, one] = (before[0] + packets, before[1] + size)
