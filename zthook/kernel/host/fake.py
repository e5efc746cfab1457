"""A host's kernel in memory, for tests: the same contract as the real one."""

from ipaddress import IPv4Address

from zthook.kernel.host.translations import (
    Translation,
    arrival,
    brought,
    families,
    leavers,
    nearby,
)
from zthook.kernel.links import link_local_of
from zthook.kernel.traffic import Traffic
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.mappings import GuestRule, HostPlane


class FakeHostDataplane:
    """What a test may look at and change, as another program would with the real kernel:

    ``objects`` are the things of ours that the kernel has, in words. ``known`` is device →
    neighbours, ``silent`` those that answer nobody, ``own`` the machine's addresses,
    ``routers`` its gateways, ``prefixes`` what is on-link at each device, ``counted`` the
    traffic. ``connections`` are the private addresses to which the edge's connections stand.
    With ``fault`` set every call raises it.
    """

    def __init__(self, *devices: str) -> None:
        self.objects: set[str] = set()
        self.known: dict[str, dict[IPAddress, str]] = {name: {} for name in devices}
        self.silent: set[IPAddress] = set()
        self.own: set[IPAddress] = set()
        self.routers: set[IPAddress] = set()
        self.prefixes: dict[str, tuple[IPNetwork, ...]] = {}
        self.counted: dict[IPAddress, Traffic] = {}
        self.connections: set[IPAddress] = set()
        self.fault: Exception | None = None
        self.closed = False
        self._applied: set[str] | None = None
        self._told_missing = False

    def apply(self, desired: HostPlane | None) -> list[str]:
        self._ask()
        self._applied = None
        plane = desired or None
        wanted = self._wanted(plane) if plane else set()
        lines = [f"{one} removed" for one in sorted(self.objects - wanted)]
        lines += [f"{one} was missing: added" for one in sorted(wanted - self.objects)]
        self.objects = wanted
        self._end_others({rule.private for rule in plane.rules} if plane else set())
        self._applied = set(wanted)
        return lines + self._missing(plane)

    def _wanted(self, plane: HostPlane) -> set[str]:
        versions = families(plane)
        return {
            "table",
            *self._pinned(plane),
            f"{plane.overlay}: members other than {plane.edge_mac.lower()} dropped",
            *(one for version in versions for one in self._way(plane, version)),
            *(one for rule in plane.rules for one in _guest(rule)),
            *(f"{mac.lower()} on {device} begins, or waits" for device, mac in plane.newcomers),
            *(f"{one} by the edge" for one in plane.pools if one.first.version in versions),
        }

    def _way(self, plane: HostPlane, version: int) -> list[str]:
        always = [f"IPv{version} policy rules", f"IPv{version} black hole"]
        if plane.overlay not in self.known:
            return always
        hop = plane.edge if version == plane.edge.version else link_local_of(plane.edge_mac)
        return [*always, f"route via {hop} dev {plane.overlay}"]

    def _pinned(self, plane: HostPlane) -> list[str]:
        if plane.overlay not in self.known:
            return []
        pinned = [plane.edge] if plane.pinned else []
        six = [link_local_of(plane.edge_mac)] if 6 in families(plane) else []
        mac = plane.edge_mac.lower()
        return [f"neighbour {one} at {mac} dev {plane.overlay}" for one in (*pinned, *six)]

    def _end_others(self, guests: set[IPAddress]) -> None:
        self.connections &= guests
        self.counted = {one: self.counted.get(one, Traffic()) for one in guests}

    def _missing(self, plane: HostPlane | None) -> list[str]:
        gone = plane is not None and plane.overlay not in self.known
        tell = gone and not self._told_missing
        self._told_missing = gone
        return ["overlay device is away: answers to the edge are dropped"] if tell else []

    def remove_device(self, name: str) -> None:
        """The device goes, with its neighbours and the routes by it."""
        del self.known[name]
        self.objects = {one for one in self.objects if not one.endswith(f" dev {name}")}

    def add_device(self, name: str) -> None:
        """The device comes (back), which the kernel tells of."""
        self.known[name] = {}
        self._applied = None

    def restart(self) -> None:
        """From now on this is the dataplane of a new process on the same kernel."""
        self._applied, self._told_missing = None, False

    def drifted(self) -> bool:
        self._ask()
        return self.objects != self._applied

    def neighbours(self, device: str) -> dict[IPAddress, str]:
        self._ask()
        return dict(self.known.get(device, {}))

    def probe(self, address: IPAddress, device: str) -> None:
        self._ask()
        if address in self.silent:
            self.known.get(device, {}).pop(address, None)

    def answers(self, address: IPv4Address, mac: str, device: str) -> bool:
        there = self.neighbours(device).get(address) == mac.lower()
        return there and address not in self.silent

    def own_addresses(self) -> frozenset[IPAddress]:
        self._ask()
        return frozenset(self.own)

    def gateways(self) -> frozenset[IPAddress]:
        self._ask()
        return frozenset(self.routers)

    def on_link(self) -> dict[str, tuple[IPNetwork, ...]]:
        self._ask()
        return dict(self.prefixes)

    def next_hop(self, address: IPAddress) -> IPAddress | None:
        self._ask()
        near = any(address in one for some in self.prefixes.values() for one in some)
        return None if near else next(iter(self.routers), None)

    def traffic(self) -> dict[IPAddress, Traffic]:
        self._ask()
        return dict(self.counted)

    def close(self) -> None:
        self.closed = True

    def _ask(self) -> None:
        if self.fault is not None:
            raise self.fault


def _guest(rule: GuestRule) -> list[str]:
    mapped = f"guest {rule.private}"
    return [
        mapped,
        *([f"{mapped} hidden on {rule.device}"] if rule.hide else []),
        *(f"{mapped} is {_words(one)}" for one in brought([rule])),
        *(f"{mapped} is {_words(one)} here" for one in nearby([rule])),
        *(f"{mapped} is there for {one} here" for one in (rule.allow if rule.active else ())),
        *(f"{mapped} leaves as {arrival(one)}" for one in leavers([rule]).values()),
    ]


def _words(one: Translation) -> str:
    return f"{one.address} {one.ports}" if one.ports else str(one.address)
