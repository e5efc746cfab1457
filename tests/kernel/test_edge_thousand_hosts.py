"""An edge with more hosts than the kernel's neighbour table keeps of those that it learned.

The table is all of the machine's: what is learned here is forgotten elsewhere.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread

import pytest

from tests.kernel.driver import PLANE
from tests.kernel.namespace import Namespace, mac
from zthook.kernel.edge.dataplane import KernelEdgeDataplane
from zthook.model.addresses import AddressRange
from zthook.model.mappings import EdgePlane, Forwarding

pytestmark = [pytest.mark.netns, pytest.mark.long]

HOSTS = 1100
LIMIT = "/proc/sys/net/ipv4/neigh/default/gc_thresh3"
PUBLIC, PRIVATE, HOST = map(IPv4Address, ("198.18.0.1", "10.100.0.1", "10.9.0.1"))
EDGE, CLIENT = "10.9.255.1", "198.51.100.7"
PORT = 7
PACKET_INFO = 8
TELLING = 1.0
AT_A_TIME = 50


class World:
    """``far`` is all hosts and their guests: it answers for each of their addresses."""

    def __init__(self) -> None:
        self.edge, self.far, self.client = map(Namespace, ("edge", "far", "client"))
        for other, device, there in ((self.far, "zt0", "zt0"), (self.client, "eth0", "eth0")):
            self.edge.run(f"ip link add {device} type veth peer name {there} netns {other.name}")
            self.edge.run(f"ip link set {device} up")
            other.run(f"ip link set {there} up")
        self.edge.run(f"ip addr add {EDGE}/16 dev zt0", "ip addr add 198.51.100.1/24 dev eth0")
        self.far.run(
            "ip route add local 10.9.0.0/17 dev lo",
            "ip route add local 10.100.0.0/16 dev lo",
            f"ip route add {EDGE} dev zt0 src {HOST}",
            f"ip route add {CLIENT} via {EDGE}",
            "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.zt0.rp_filter=0",
        )
        self.client.run(
            f"ip addr add {CLIENT}/24 dev eth0", "ip route add default via 198.51.100.1"
        )

    def close(self) -> None:
        for one in (self.client, self.far, self.edge):
            one.close()

    def plane(self, *, pinned: bool) -> EdgePlane:
        """A mapping of each host."""
        at = mac(self.far, "zt0")
        some = (
            Forwarding(PUBLIC + n, PUBLIC + n, PRIVATE + n, HOST + n, at, "eth0", pinned=pinned)
            for n in range(HOSTS)
        )
        return replace(
            PLANE,
            overlay_address=IPv4Address(EDGE),
            pool_ranges=(AddressRange.parse("198.18.0.0/16"),),
            forwardings=frozenset(some),
        )

    def neighbours(self) -> int:
        """How many the edge knows of its hosts."""
        return self.edge.run("ip neigh show dev zt0").count("lladdr")


@contextmanager
def guests(where: Namespace) -> Iterator[None]:
    """Each answers from its own address."""
    with where.socket(socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.IPPROTO_IP, PACKET_INFO, 1)
        one.bind(("", PORT))
        one.settimeout(None)

        def answer() -> None:
            while (said := one.recvmsg(100, 100))[0]:
                words, [(level, kind, about)], _, peer = said
                own = bytes(4) + about[4:8] + bytes(4)
                one.sendmsg([words], [(level, kind, own)], 0, peer)

        thread = Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            with suppress(OSError):  # it is not connected; who waits wakes all the same
                one.shutdown(socket.SHUT_RDWR)
            thread.join()


def reached(world: World) -> int:
    """How many guests answer the client, each asked once, some at a time."""
    found: set[str] = set()
    with world.client.socket(socket.SOCK_DGRAM) as one:
        one.settimeout(TELLING)
        for first in range(0, HOSTS, AT_A_TIME):
            there = len(found)
            for number in range(first, first + AT_A_TIME):
                one.sendto(b"there?", (str(PUBLIC + number), PORT))
            with suppress(TimeoutError):
                while len(found) < there + AT_A_TIME:
                    found.add(one.recvfrom(100)[1][0])
    return len(found)


def overflows() -> int:
    """How often the table was full, of each processor and together."""
    head, *rows = Path("/proc/net/stat/arp_cache").read_text().splitlines()
    at = head.split().index("table_fulls")
    return sum(int(row.split()[at], 16) for row in rows)


@pytest.fixture
def world() -> Iterator[World]:
    assert int(Path(LIMIT).read_text()) < HOSTS, "else it shows nothing"
    made = World()
    yield made
    made.close()


def test_each_is_reached_and_none_is_forgotten(world: World) -> None:
    edge = world.edge.call(KernelEdgeDataplane)
    with guests(world.far):
        world.edge.call(lambda: edge.apply(world.plane(pinned=True)))
        before = overflows()
        for _ in range(3):
            assert reached(world) == HOSTS
        assert world.neighbours() >= HOSTS
        assert overflows() == before
        world.edge.call(lambda: edge.apply(world.plane(pinned=False)))
        left = world.neighbours()
        print(f"asked by ARP {reached(world)} of {HOSTS} answer: {left} were known, ", end="")
        print(f"{world.neighbours()} are, and the table was full {overflows() - before} times")
    world.edge.call(edge.close)
