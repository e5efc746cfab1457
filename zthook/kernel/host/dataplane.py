"""The host's dataplane: the kernel takes mapped guests' packets from the edge, and back to it."""

import socket
from ipaddress import IPv4Address
from typing import Protocol

from zthook.errors import KernelError
from zthook.kernel.asking import ask_all
from zthook.kernel.conntrack import forgive_marked
from zthook.kernel.firewalls import passage
from zthook.kernel.firewalls.firewalld import Reach
from zthook.kernel.firewalls.keeper import Firewalls, Opening
from zthook.kernel.host import settings
from zthook.kernel.host import table as own_table
from zthook.kernel.host.chains import chains
from zthook.kernel.host.connections import Standing, any_left, end_others, end_untranslated
from zthook.kernel.host.elements import Around, elements
from zthook.kernel.host.marks import Marks
from zthook.kernel.host.notices import About
from zthook.kernel.host.sets import Elements
from zthook.kernel.host.settings import FORWARDING
from zthook.kernel.host.table import Table
from zthook.kernel.host.translations import families
from zthook.kernel.host.way import Edge, Way
from zthook.kernel.links import (
    connected_prefixes,
    find_device,
    gateways,
    link_local_of,
    own_addresses,
)
from zthook.kernel.near import neighbours, next_hop, probe
from zthook.kernel.nft import Nft
from zthook.kernel.traffic import Traffic
from zthook.kernel.watch import Subscription
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.mappings import HostPlane

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

    def neighbours(self, device: str) -> dict[IPAddress, str]:
        """Address → MAC on ``device``; empty where there is no such device."""
        ...

    def probe(self, address: IPAddress, device: str) -> None:
        """Ask now who has ``address`` on ``device``: ``neighbours`` tells in three seconds.

        Nothing happens where there is no such device.
        """
        ...

    def answers(self, address: IPv4Address, mac: str, device: str) -> bool:
        """Whether ``mac`` itself says now, by ARP, that it has ``address``; within a second.

        Others may say so too. False where there is no such device. For any thread.
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

    def traffic(self) -> dict[IPAddress, Traffic]:
        """Of each mapped guest, by private address; only what went through the edge."""
        ...

    def close(self) -> None:
        """Let go of sockets; the kernel keeps what it has."""
        ...


class KernelHostDataplane:
    """The kernel of the network namespace of the thread that makes it; for that thread alone.

    ``mark`` is the mask of packet and connection marks that are ours (host_marks.Marks),
    ``table`` and ``preference`` are our first route table's and policy rule's (way.Way).
    """

    def __init__(
        self,
        *,
        mark: int = 0x0C000000,
        table: int = 12300,
        preference: int = 12300,
    ) -> None:
        self._marks = Marks(mark)
        self._way = Way(self._marks, table, preference)
        self._chains = chains(mark)
        self._nft = Nft()
        self._firewalls = Firewalls(self._nft, passage.HOST)
        self._changes = Subscription("link", "address", "route", "rule", "neighbour")
        self._plane: HostPlane | None = None
        self._generation: int | None = None
        self._closed: set[int] = set()
        self._bridged: set[int] = set()
        self._swept = self._cleared = False
        """Whether what no mapping explains was ended; and whether then, without our table, no
        connection with a mark of ours was left: nothing needs looking for where it comes again.
        """
        self._began = self._lost = False
        """Whether our rules are new, or were lost, and what that calls for is not done yet."""
        self._away = self._told_away = False

    def apply(self, desired: HostPlane | None) -> list[str]:
        self._plane = plane = desired or None
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
        versions = families(plane)
        found = own_table.observe(self._nft)
        # Known from then on: a flush of the whole ruleset takes the set that says so along.
        self._closed |= _closed(found) | settings.not_forwarding(versions)
        edge = self._edge(plane)
        self._bridged = settings.bridged(versions)
        wanted = elements(plane, Around(edge.hops, self._closed & versions, self._bridged))
        lines = self._way.keep(edge) + settings.loosen(plane.overlay)
        if found is None:
            self._began, self._lost = True, self._lost or not self._cleared
        if self._lost or (found is not None and self._leaves_some(found, wanted)):
            self._swept = False
        self._cleared = False
        lines += own_table.keep(self._nft, found, self._chains, wanted)
        if self._lost:
            self._forgive()
        lines += self._end_others(plane) + settings.forward(versions)
        lines += self._way.narrow(versions)
        return lines + self._firewalls.keep(self._opening(plane) if versions else None)

    def _leaves_some(self, found: Table, wanted: Elements) -> bool:
        """Whether connections may be left of what is no more."""
        return not found.is_whole(self._chains) or own_table.takes_away(found, wanted)

    def _edge(self, plane: HostPlane) -> Edge:
        device = find_device(plane.overlay)
        self._away = device is None
        hops: dict[int, IPAddress] = {4: plane.edge, 6: link_local_of(plane.edge_mac)}
        asked = {version: hop for version, hop in hops.items() if version in families(plane)}
        pinned = {hop for version, hop in asked.items() if version == 6}
        # Of IPv4 also where it is not mapped: what the agent and the edge say is of that.
        pinned |= {plane.edge} if plane.pinned else set()
        return Edge(asked, device.index if device else None, plane.edge_mac, frozenset(pinned))

    def _opening(self, plane: HostPlane) -> Opening:
        """What is marked has passed our own table, which comes before the firewalls."""
        marked = passage.Passage(passage.HOST, passage.Of.CONNECTION, self._marks.mask)
        reached = frozenset(
            Reach(plane.edge_mac, rule.private, plane.overlay, rule.device) for rule in plane.rules
        )
        return Opening(marked, families(plane), reached)

    def _remove(self) -> list[str]:
        """The marks first: what is still marked has its way until its connection is ended."""
        self._away = False
        found = own_table.observe(self._nft)
        if found is None and self._cleared:
            return self._firewalls.keep(None) + self._way.remove()
        self._swept = self._cleared = False
        if found is not None:
            own_table.empty(self._nft, found)
        lines = self._end_others(None)
        lines += self._firewalls.keep(None)
        if found is not None:
            own_table.remove(self._nft)
            lines.append("table inet zthook_host removed")
        lines += self._way.remove()
        # Some may have come since they were ended, and some are let be.
        self._cleared = not any_left(self._marks)
        return lines

    def _forgive(self) -> None:
        marks = self._marks
        for value in (marks.brought, marks.leaving, marks.local):
            forgive_marked(value, marks.mask)
        self._lost = False

    def _end_others(self, plane: HostPlane | None) -> list[str]:
        """End connections of ours that no mapping explains, where it is not known that none are.

        At the start it is not: a process before this one may not have come so far. Where our
        rules only began, what passed by without them may be there.
        """
        rules = plane.rules if plane else frozenset()
        ended = 0
        if not self._swept:
            own = set(own_addresses())
            ended += end_others(self._marks, Standing(rules, plane.pools if plane else (), own))
        if self._began or not self._swept:
            ended += end_untranslated(self._marks, rules)
        self._swept, self._began = True, False
        return [f"{ended} connections without a mapping ended"] if ended else []

    def _missing(self) -> list[str]:
        tell = self._away and not self._told_away
        self._told_away = self._away
        if not tell or self._plane is None:
            return []
        return [f"overlay device {self._plane.overlay} is away: answers to the edge are dropped"]

    def _notice(self) -> bool:
        """Whether the kernel told of a change that concerns us since this was last asked."""
        about = About(
            self._plane.overlay if self._plane else "",
            families(self._plane) if self._plane else frozenset({4}),
            self._way.tables,
        )
        told = [about.concerns(one) for one in self._changes.drain()]
        return any(told)

    def drifted(self) -> bool:
        if self._notice() or not self._settings_stay():
            self._generation = None
        if self._generation is None or self._nft.generation() != self._generation:
            return True
        return self._firewalls.drifted()

    def _settings_stay(self) -> bool:
        plane = self._plane
        if plane is None:
            return True
        stay = settings.stay(plane.overlay, families(plane))
        return stay and settings.bridged(families(plane)) == self._bridged

    def neighbours(self, device: str) -> dict[IPAddress, str]:
        found = find_device(device)
        return neighbours(found.index) if found else {}

    def probe(self, address: IPAddress, device: str) -> None:
        if found := find_device(device):
            probe(address, found.index)

    def answers(self, address: IPv4Address, mac: str, device: str) -> bool:
        wanted = mac.lower()
        if device not in (name for _, name in socket.if_nameindex()):
            return False
        return wanted in ask_all(device, [address], lambda found: wanted in found[address])[address]

    def own_addresses(self) -> frozenset[IPAddress]:
        return frozenset(own_addresses())

    def gateways(self) -> frozenset[IPAddress]:
        return gateways()

    def on_link(self) -> dict[str, tuple[IPNetwork, ...]]:
        found: dict[str, tuple[IPNetwork, ...]] = {}
        for one in connected_prefixes():
            found[one.device] = (*found.get(one.device, ()), one.prefix)
        return found

    def next_hop(self, address: IPAddress) -> IPAddress | None:
        return next_hop(address)

    def traffic(self) -> dict[IPAddress, Traffic]:
        found = own_table.observe(self._nft)
        return found.traffic() if found else {}

    def close(self) -> None:
        self._nft.close()
        self._changes.close()


def _closed(found: Table | None) -> set[int]:
    """The IP versions for which forwarding was off when our mappings came: it is on for these."""
    names = found.sets.get("closed", frozenset()) if found else frozenset()
    return {version for version in FORWARDING if f"ipv{version}" in names}
