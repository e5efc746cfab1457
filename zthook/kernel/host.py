"""The host's dataplane: the kernel takes mapped guests' packets from the edge, and back to it."""

import socket
import struct
from ipaddress import IPv4Address
from typing import Protocol

from zthook.errors import KernelError
from zthook.kernel import host_rules, host_table, sysctl
from zthook.kernel.conntrack import end_marked, forgive_marked
from zthook.kernel.firewalls import passage
from zthook.kernel.firewalls.firewalld import Reach
from zthook.kernel.firewalls.keeper import Firewalls, Opening
from zthook.kernel.host_marks import Marks
from zthook.kernel.host_table import Table
from zthook.kernel.links import addresses, connected_prefixes, find_device, gateways, next_hop
from zthook.kernel.neighbours import neighbours, probe
from zthook.kernel.netlink import attributes
from zthook.kernel.nft import Nft
from zthook.kernel.rtnetlink import IPRoute
from zthook.kernel.rules import PolicyRule, keep_way, remove_way
from zthook.kernel.traffic import Traffic
from zthook.kernel.watch import Notification, Subscription
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.mappings import HostPlane

# Of linux/if_link.h and linux/rtnetlink.h: attributes, and the sizes of what stands before them.
LINK_NAME, LINK_HEADER = 3, 16
IPV4 = bytes([socket.AF_INET])
ROUTE_TABLE, ROUTE_HEADER = 15, 12
FORWARDING = "net/ipv4/ip_forward"
LOOSE = "2"
ROUNDS = 4
"""Changing takes one round and seeing that it stayed another; the rest is for others' changes."""


class HostDataplane(Protocol):
    """What the agent asks of the host's kernel. Blocking; for one thread."""

    def apply(self, desired: HostPlane | None) -> list[str]:
        """Make the kernel have exactly ``desired``; None or no rules: nothing of ours.

        Changes only what differs and returns a line for each such thing; the same again
        returns none. Where the overlay's device is away all the rest is still done: marked
        answers are dropped until it returns, and one line says so when it is first seen
        missing. Settings under /proc/sys are never set back. Raises KernelError, then some
        of it may be done: apply again.
        """
        ...

    def drifted(self) -> bool:
        """Whether ``apply`` has to look again: cheap; true until one has succeeded."""
        ...

    def mac_of(self, address: IPAddress, device: str) -> str | None:
        """The MAC of a neighbour, None where it or the device is not known."""
        ...

    def neighbours(self, device: str) -> dict[IPAddress, str]:
        """Address → MAC on ``device``; empty where there is no such device."""
        ...

    def probe(self, address: IPAddress, device: str) -> None:
        """Ask now who has ``address`` on ``device``: ``neighbours`` tells in three seconds.

        Nothing happens where there is no such device.
        """
        ...

    def own_addresses(self) -> frozenset[IPAddress]:
        """Every address of this machine."""
        ...

    def gateways(self) -> frozenset[IPAddress]:
        """The routers of this machine."""
        ...

    def on_link(self) -> dict[str, tuple[IPNetwork, ...]]:
        """Device → the prefixes whose addresses are reached there without a router."""
        ...

    def next_hop(self, address: IPAddress) -> IPAddress | None:
        """The router by which ``address`` is reached; None where it is on-link or not reached."""
        ...

    def traffic(self) -> dict[IPv4Address, Traffic]:
        """Of each mapped guest, by private address; only what went through the edge."""
        ...

    def close(self) -> None:
        """Let go of sockets; the kernel keeps what it has."""
        ...


class KernelHostDataplane:
    """The kernel of the network namespace of the thread that makes it; for that thread alone.

    ``mark`` is the mask of packet and connection marks that are ours (host_marks.Marks),
    ``table`` and ``preference`` are the policy rule's.
    """

    def __init__(
        self,
        *,
        mark: int = 0x0C000000,
        table: int = 12300,
        preference: int = 12300,
    ) -> None:
        self._mark = mark
        self._rule = PolicyRule(4, preference, table, Marks(mark).brought, mark)
        self._chains = host_rules.chains(mark)
        self._nft = Nft()
        self._firewalls = Firewalls(self._nft, passage.HOST)
        self._ip = IPRoute()
        self._changes = Subscription("link", "address", "route", "rule")
        self._overlay = ""
        self._generation: int | None = None
        self._swept = self._closed = False
        self._away = self._told_away = False

    def apply(self, desired: HostPlane | None) -> list[str]:
        plane = desired if desired is not None and desired.rules else None
        self._overlay = plane.overlay if plane else ""
        self._generation = None
        lines: list[str] = []
        for _ in range(ROUNDS):
            generation = self._nft.generation()
            self._notice()  # what came until now, the round itself sees
            done = self._remove() if plane is None else self._keep(plane)
            lines += done
            if not done:
                self._generation = generation
                return lines + self._missing() + self._firewalls.news()
        raise KernelError(
            f"the kernel does not stay as it is set; again and again: {'; '.join(done)}",
            hint="another program changes the same: see which one with `nft monitor`",
        )

    def _keep(self, plane: HostPlane) -> list[str]:
        """The way out first, then the marks; forwarding once the filter is there."""
        found = host_table.observe(self._nft)
        # Known from then on: a flush of the whole ruleset takes the set that says so along.
        self._closed = self._closed or _is_closed(found)
        wanted = host_rules.elements(plane, closed=self._closed)
        device = find_device(self._ip, plane.overlay)
        self._away = device is None
        lines = keep_way(self._rule, plane.edge, device.index if device else None)
        lines += _set(_filter_path(plane.overlay), LOOSE)
        guests = frozenset(rule.private for rule in plane.rules)
        if found is not None and found.guests - guests:
            self._swept = False
        lines += host_table.keep(self._nft, found, self._chains, wanted)
        if found is None:
            forgive_marked(self._rule.mark, self._rule.mask)
        lines += self._end_others(guests) + _set(FORWARDING, "1")
        return lines + self._firewalls.keep(self._opening(plane))

    def _opening(self, plane: HostPlane) -> Opening:
        """What is marked has passed our own table, which comes before the firewalls."""
        marked = passage.Passage(passage.HOST, passage.Of.CONNECTION, self._mark)
        reached = frozenset(
            Reach(plane.edge_mac, rule.private, plane.overlay, rule.device) for rule in plane.rules
        )
        return Opening(marked, frozenset({4}), reached)

    def _remove(self) -> list[str]:
        """The marks first: what is still marked has its way until its connection is ended."""
        self._away = False
        found = host_table.observe(self._nft)
        if found is not None:
            self._swept = False
            host_table.empty(self._nft, found)
        lines = self._end_others(frozenset())
        lines += self._firewalls.keep(None)
        if found is not None:
            host_table.remove(self._nft)
            lines.append("table inet zthook_host removed")
        return lines + remove_way(self._rule.table)

    def _end_others(self, guests: frozenset[IPAddress]) -> list[str]:
        """End the edge's connections to guests that are not mapped, where that is not known.

        At the start it is not: a process before this one may not have come so far.
        """
        if self._swept:
            return []
        kept = {guest.packed for guest in guests}
        mark, mask = self._rule.mark, self._rule.mask
        ended = end_marked(mark, mask, lambda one: one.destination in kept)
        self._swept = True
        return [f"{ended} connections to unmapped guests ended"] if ended else []

    def _missing(self) -> list[str]:
        tell = self._away and not self._told_away
        self._told_away = self._away
        if not tell:
            return []
        return [f"overlay device {self._overlay} is away: answers to the edge are dropped"]

    def _notice(self) -> bool:
        """Whether the kernel told of a change that concerns us since this was last asked."""
        told = [concerns(one, self._overlay, self._rule.table) for one in self._changes.drain()]
        return any(told)

    def drifted(self) -> bool:
        if self._notice() or not self._settings_stay():
            self._generation = None
        if self._generation is None or self._nft.generation() != self._generation:
            return True
        return self._firewalls.drifted()

    def _settings_stay(self) -> bool:
        """Nobody is told of these, but to read them costs next to nothing."""
        return not self._overlay or (
            sysctl.read(FORWARDING) == "1"
            and sysctl.read(_filter_path(self._overlay)) in {LOOSE, None}
        )

    def mac_of(self, address: IPAddress, device: str) -> str | None:
        return self.neighbours(device).get(address)

    def neighbours(self, device: str) -> dict[IPAddress, str]:
        found = find_device(self._ip, device)
        return neighbours(self._ip, found.index) if found else {}

    def probe(self, address: IPAddress, device: str) -> None:
        if found := find_device(self._ip, device):
            probe(self._ip, address, found.index)

    def own_addresses(self) -> frozenset[IPAddress]:
        return frozenset(one.address for one in addresses(self._ip))

    def gateways(self) -> frozenset[IPAddress]:
        return gateways()

    def on_link(self) -> dict[str, tuple[IPNetwork, ...]]:
        found: dict[str, tuple[IPNetwork, ...]] = {}
        for one in connected_prefixes():
            found[one.device] = (*found.get(one.device, ()), one.prefix)
        return found

    def next_hop(self, address: IPAddress) -> IPAddress | None:
        return next_hop(self._ip, address)

    def traffic(self) -> dict[IPv4Address, Traffic]:
        found = host_table.observe(self._nft)
        return found.traffic() if found else {}

    def close(self) -> None:
        self._nft.close()
        self._ip.close()
        self._changes.close()


def concerns(one: Notification, overlay: str, table: int) -> bool:
    """Whether it may be about the device ``overlay``, or about IPv4's rules and ``table``.

    A device that goes takes its routes along without a word about them, and so does its
    last address; of addresses the device's name is not told.
    """
    if one.kind == "link":
        name = attributes(one.payload, LINK_HEADER).get(LINK_NAME, b"")
        return name.rstrip(b"\0") == overlay.encode()
    if one.payload[:1] != IPV4:
        return one.kind == "lost"
    if one.kind == "route":
        found = attributes(one.payload, ROUTE_HEADER).get(ROUTE_TABLE, bytes(4))
        return struct.unpack("=I", found) == (table,)
    return True


def _filter_path(device: str) -> str:
    return f"net/ipv4/conf/{device}/rp_filter"


def _is_closed(found: Table | None) -> bool:
    """Whether forwarding is on for our mappings alone: it was off when they came."""
    return bool(found and found.sets.get("closed")) or sysctl.read(FORWARDING) == "0"


def _set(path: str, value: str) -> list[str]:
    return [f"{path.replace('/', '.')} set to {value}"] if sysctl.write(path, value) else []
