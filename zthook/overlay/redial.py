"""Which bonds an edge's ZeroTier should have so that a redial heals at once: pure.

After a redial a host finds the edge at once, but the edge goes on sending to the address
before. A bond of policy broadcast sends by every path that is alive, so by the new one with
the first packet that came from there. Where a host always has several paths, each frame would
be sent as often: it gets an active-backup bond, which only looks sooner whether its path is
dead. Who is reached through a relay gets none: broadcast would drop instead of relaying.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from zthook.overlay.journal import Journal, Leaf, Settings, value_at
from zthook.overlay.zerotier_api import PeerPath, PeerView

HOLD_SECONDS = 60.0
"""What is seen of a host counts when it was so for this long: for half a minute after a redial
the address before counts as alive too.
"""
FRESH_SECONDS = 30.0
"""A path is spoken on at least every 15 s: one that was heard longer ago is dead."""
FAILOVER = 500
"""Milliseconds: a dead path is known to be dead so soon."""


class Bond(StrEnum):
    """Our policies by name, as they stand in local.conf."""

    BROADCAST = "zthook"
    BACKUP = "zthook-backup"


BASES = {Bond.BROADCAST: "broadcast", Bond.BACKUP: "active-backup"}
"""The standard policy that each is made of, which is what GET /peer names."""


class Reach(StrEnum):
    """How a host is reached."""

    ONE = "by one path"
    SEVERAL = "by several paths"
    RELAYED = "by a relay"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A host of an edge. ``member`` is its node id, ``live`` whether its lease is."""

    name: str
    member: str
    live: bool


WANTED = {Reach.ONE: Bond.BROADCAST, Reach.SEVERAL: Bond.BACKUP, Reach.RELAYED: None}

SLOW = {
    Reach.SEVERAL: "is reached by several paths, by all of which each frame would be sent: "
    "zerotier-one looks sooner whether its path is dead, no more",
    Reach.RELAYED: "is reached by a relay, which sees to redials itself",
}
OWN_PORTS = "local.conf asks for more than one UDP port, as its owner wants: left alone"

POLICIES = "policies"
BONDS = "peerSpecificBonds"
DEFAULT = "defaultBondingPolicy"
SECOND_PORT: Leaf = ("allowSecondaryPort",)
THIRD_PORT: Leaf = ("portMappingEnabled",)
CHOSEN_PORTS: tuple[Leaf, ...] = (("secondaryPort",), ("tertiaryPort",))

HOSTS_PORTS: tuple[Leaf, ...] = (SECOND_PORT,)
"""Port mapping is left to a host: other members may reach it by that."""
EDGES_PORTS: tuple[Leaf, ...] = (SECOND_PORT, THIRD_PORT)
"""Nobody has to open a router for a machine with a public address."""


def reach_of(peer: PeerView | None, now: float, *, live: bool, spare: bool = False) -> Reach | None:
    """How a host is reached, None where that can not be told; ``live``: its lease is.

    ``spare`` ports of ours do not count, as they will be closed.
    """
    fresh = [
        one
        for one in (peer.paths if peer is not None else ())
        if one.active and not one.expired and now - one.last_receive / 1000 < FRESH_SECONDS
    ]
    number = _without_spare_ports(fresh) if spare else len(fresh)
    if number == 0:
        return Reach.RELAYED if live else None
    return Reach.ONE if number == 1 else Reach.SEVERAL


def _without_spare_ports(paths: Iterable[PeerPath]) -> int:
    """A router may show the host under another address to each port of ours: what counts is
    how many it has to one of them. IPv4 and IPv6 are two paths whatever the ports.
    """
    seen = {(one.local_socket, one.address) for one in paths}
    by_socket = Counter((_is_ipv6(address), socket) for socket, address in seen)
    most: dict[bool, int] = {}
    for (family, _), number in by_socket.items():
        most[family] = max(number, most.get(family, 0))
    return sum(most.values())


def _is_ipv6(address: str) -> bool:
    return ":" in address


class Sightings:
    """How each host is reached, as far as that holds; ``settled`` is what does, by member."""

    def __init__(self, settled: Mapping[str, Reach]) -> None:
        self.settled = dict(settled)
        self._turning: dict[str, tuple[Reach, float]] = {}

    def see(self, member: str, reach: Reach | None, now: float) -> None:
        """``now`` is of a clock that rises steadily. Nothing seen (None) changes nothing."""
        if reach is None or reach is self.settled.get(member):
            self._turning.pop(member, None)
            return
        turned, since = self._turning.get(member, (reach, now))
        if turned is not reach:
            since = now
        self._turning[member] = reach, since
        if now - since >= HOLD_SECONDS:
            self.settled[member] = reach
            del self._turning[member]

    def forget_but(self, members: Collection[str]) -> None:
        """Those alone are ours to look at now."""
        for gone in self.settled.keys() - members:
            del self.settled[gone]
        for gone in self._turning.keys() - members:
            del self._turning[gone]


def settled_before(settings: Settings) -> dict[str, Reach]:
    """What we had found when we wrote these settings."""
    by_bond = {bond: reach for reach, bond in WANTED.items() if bond is not None}
    bonds = value_at(settings, (BONDS,))
    if not isinstance(bonds, dict):
        return {}
    return {
        member: by_bond[Bond(bond)]
        for member, bond in bonds.items()
        if isinstance(bond, str) and bond in list(Bond)
    }


def foreign_members(
    settings: Settings, journal: Journal, hosts: Iterable[Enrolled]
) -> frozenset[str]:
    """Those with whom somebody else chose the bond."""
    return frozenset(
        one.member
        for one in hosts
        if value_at(settings, (DEFAULT,)) or _is_foreign(settings, journal, one.member)
    )


def _is_foreign(settings: Settings, journal: Journal, member: str) -> bool:
    leaf = (BONDS, member)
    found, known = value_at(settings, leaf), journal.of(leaf)
    if found is None or (known is not None and found == known.ours):
        return False
    return found not in list(Bond)


def chose_ports(settings: Settings) -> bool:
    """Whether somebody else wants more than one port: ours is always to have one."""
    wants = any(value_at(settings, leaf) is True for leaf in (SECOND_PORT, THIRD_PORT))
    return wants or any(value_at(settings, leaf) for leaf in CHOSEN_PORTS)


def bonds_for(
    reached: Mapping[str, Reach], foreign: Collection[str], *, one_port: bool
) -> dict[str, Bond]:
    """The bond for each member that is to have one of ours; without ``one_port`` of our own a
    second path may come any time.
    """
    return {
        member: bond if one_port else Bond.BACKUP
        for member, reach in reached.items()
        if member not in foreign and (bond := WANTED[reach]) is not None
    }


def leaves(bonds: Mapping[str, Bond], closed: Iterable[Leaf]) -> dict[Leaf, object]:
    """What local.conf is to say, ports that are ``closed`` included.

    Both policies from the start: the daemon reads them once.
    """
    wanted: dict[Leaf, object] = dict.fromkeys(closed, False)
    if bonds:
        wanted |= {(POLICIES, bond): _policy(bond) for bond in Bond}
    return wanted | {(BONDS, member): str(bond) for member, bond in sorted(bonds.items())}


def in_force(peer: PeerView | None) -> str:
    """The standard policy of the bond with that peer, empty where there is none."""
    return peer.bonding_policy_str if peer is not None and peer.is_bonded else ""


def differing(bonds: Mapping[str, Bond], peers: Mapping[str, PeerView]) -> list[str]:
    """Members whose bond is not the wanted one, of those that are heard at all."""
    return [
        member
        for member, bond in bonds.items()
        if member in peers and in_force(peers[member]) != BASES[bond]
    ]


def is_frozen(peers: Iterable[PeerView]) -> bool:
    """Whether bonds are in use: from then on the daemon reads of no other before it restarts."""
    return any(in_force(peer) for peer in peers)


def notes(
    hosts: Sequence[Enrolled] = (),
    reached: Mapping[str, Reach] = MappingProxyType({}),
    foreign: Collection[str] = (),
    *,
    chose_ports: bool,
) -> list[str]:
    """What is left as it is, and where a redial takes its time."""
    said = [OWN_PORTS] if chose_ports else []
    for one in hosts:
        if one.member in foreign:
            said.append(f"the bond with {one.name} is the owner's of local.conf: left alone")
        elif (reach := reached.get(one.member)) in SLOW:
            said.append(f"{one.name} {SLOW[reach]}")
    return said


def _policy(bond: Bond) -> dict[str, object]:
    return {"basePolicy": BASES[bond], "failoverInterval": FAILOVER}
