"""Neighbours learn at once where an address is now."""

import logging
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from pyroute2 import IPRoute

from tests.kernel.namespace import Namespace, mac
from tests.kernel.questions import eventually
from zthook.kernel.announce import announce
from zthook.kernel.near import probe
from zthook.kernel.neighbours import ProxyEntry, neighbour_mac, set_proxy
from zthook.kernel.netlink import ROUTE, Netlink

pytestmark = pytest.mark.netns
OLD = "02:00:00:00:00:99"
PUBLIC = {4: ip_address("203.0.113.30"), 6: ip_address("2001:db8::30")}
ROUTER = {4: "203.0.113.1/24", 6: "2001:db8::1/64"}
BOTH = pytest.mark.parametrize("version", [4, 6])


class Uplink:
    """An edge and a router on one link; neither has the public addresses."""

    def __init__(self) -> None:
        self.edge, self.router = Namespace("edge"), Namespace("router")
        self.edge.run(f"ip link add eth0 type veth peer name wire netns {self.router.name}")
        ends = ((self.edge, "eth0"), (self.router, "wire"))
        for where, device in ends:
            where.run(f"sysctl -qw net.ipv6.conf.{device}.accept_dad=0", f"ip link set {device} up")
        for where, device in ends:
            show = f"ip -6 route show table local type multicast dev {device}"
            assert eventually(lambda inside=where, command=show: "ff00" in inside.run(command))
        for address in ROUTER.values():
            self.router.run(f"ip addr add {address} dev wire")
        self.index = int(self.edge.run("cat /sys/class/net/eth0/ifindex"))
        self.wire = int(self.router.run("cat /sys/class/net/wire/ifindex"))
        self.ip = self.router.call(IPRoute)
        self.kernel = self.router.call(lambda: Netlink(ROUTE))

    def believed(self, version: int) -> str | None:
        """Where the router has the public address."""
        return self.router.call(lambda: neighbour_mac(self.kernel, PUBLIC[version], self.wire))

    def close(self) -> None:
        self.router.call(self.ip.close)
        self.kernel.close()
        self.edge.close()
        self.router.close()


@pytest.fixture
def uplink() -> Iterator[Uplink]:
    made = Uplink()
    yield made
    made.close()


@BOTH
@pytest.mark.parametrize("state", ["stale", "reachable"])
def test_a_router_learns_the_new_mac(uplink: Uplink, version: int, state: str) -> None:
    uplink.router.run(
        f"ip -{version} neigh add {PUBLIC[version]} lladdr {OLD} dev wire nud {state}",
        # By default a reachable neighbour's ARP entry is locked for a second.
        "sysctl -qw net.ipv4.neigh.wire.locktime=0",
    )
    assert uplink.believed(version) == OLD
    uplink.edge.call(lambda: announce(PUBLIC[version], uplink.index))
    assert eventually(lambda: uplink.believed(version) == mac(uplink.edge, "eth0"))


@BOTH
def test_what_can_not_be_announced_is_no_error(
    uplink: Uplink, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    uplink.edge.run("ip link set eth0 down")
    with caplog.at_level(logging.WARNING):
        uplink.edge.call(lambda: announce(PUBLIC[version], uplink.index))
        uplink.edge.call(lambda: announce(PUBLIC[version], 4711))
    assert [record.message for record in caplog.records if str(PUBLIC[version]) in record.message]


def test_lo_has_no_neighbours(uplink: Uplink, caplog: pytest.LogCaptureFixture) -> None:
    for address in PUBLIC.values():
        uplink.edge.call(lambda one=address: announce(one, 1))
    assert not caplog.records


@BOTH
def test_a_proxy_entry_answers_for_the_address(uplink: Uplink, version: int) -> None:
    """With the settings that it needs, and a way to the address by another device."""
    uplink.edge.run(
        "ip link add zt0 type veth peer name far",
        "ip link set zt0 up",
        f"ip -{version} route add {PUBLIC[version]} dev zt0",
        "sysctl -qw net.ipv4.conf.eth0.forwarding=1 net.ipv4.neigh.eth0.proxy_delay=0",
        "sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.neigh.eth0.proxy_delay=0",
        "sysctl -qw net.ipv6.conf.eth0.proxy_ndp=1",
    )

    def answers() -> None:
        with Netlink(ROUTE) as kernel:
            set_proxy(kernel, ProxyEntry(PUBLIC[version], uplink.index))

    uplink.edge.call(answers)
    uplink.router.call(lambda: probe(PUBLIC[version], uplink.wire))
    assert eventually(lambda: uplink.believed(version) == mac(uplink.edge, "eth0"))
