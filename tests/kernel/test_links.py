"""Ways out of a machine, and whose advertisements it follows, on a real kernel."""

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address, ip_network

import pytest

from tests.kernel.namespace import Namespace, mac
from tests.kernel.questions import eventually
from zthook.kernel import sysctl
from zthook.kernel.links import (
    DefaultRoute,
    OnLink,
    connected_prefixes,
    default_devices,
    default_routers,
    default_routes,
    default_source,
    device_names,
    devices_up,
    find_device,
    gateways,
    link_local_of,
    own_addresses,
    router_advertised,
)
from zthook.kernel.netlink import ROUTE, Netlink
from zthook.kernel.route_batch import set_routes
from zthook.kernel.routes import Route

PREFIX = "2001:db8:1::"


class Machine:
    """Two uplinks, eth0 and eth1; at the end of each a router in one namespace."""

    def __init__(self) -> None:
        self.inside, self.router = Namespace("machine"), Namespace("router")
        for name in ("eth0", "eth1"):
            self.inside.run(
                f"ip link add {name} type veth peer name to-{name} netns {self.router.name}",
                f"sysctl -qw net.ipv6.conf.{name}.accept_dad=0",
                f"ip link set {name} up",
            )
            self.router.run(
                f"sysctl -qw net.ipv6.conf.to-{name}.accept_dad=0", f"ip link set to-{name} up"
            )
        for name in ("to-eth0", "to-eth1"):
            multicast = f"ip -6 route show table local type multicast dev {name}"
            assert eventually(lambda show=multicast: "ff00" in self.router.run(show))

    def advertise(self, device: str, *, lifetime: int = 1800, prefix: bool = True) -> None:
        """One router advertisement (RFC 4861, 4.2) to ``device``."""
        body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, lifetime, 0, 0)
        if prefix:
            body += struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 86400, 14400, 0)
            body += IPv6Address(PREFIX).packed

        def send() -> None:
            with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as one:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
                one.sendto(body, ("ff02::1", 0, 0, socket.if_nametoindex(f"to-{device}")))

        self.router.call(send)

    def shows(self, command: str, word: str) -> bool:
        return eventually(lambda: word in self.inside.run(command))

    def close(self) -> None:
        self.inside.close()
        self.router.close()


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine()
    yield made
    made.close()


@pytest.mark.netns
def test_a_machine_without_routes_has_no_way_out(machine: Machine) -> None:
    assert machine.inside.call(default_routes) == ()
    assert machine.inside.call(default_devices) == frozenset()
    assert machine.inside.call(gateways) == frozenset()


@pytest.mark.netns
def test_default_routes_of_both_families_best_first(machine: Machine) -> None:
    here = machine.inside
    here.run(
        "ip addr add 192.0.2.2/24 dev eth0",
        "ip addr add 198.51.100.2/24 dev eth1",
        "ip route add default via 192.0.2.9 metric 300",
        "ip route add default via 192.0.2.1 metric 100",
        "ip route add default dev eth1 metric 400",
        "ip -6 route add default via fe80::1 dev eth0 metric 50",
        "ip route add 10.0.0.0/8 via 198.51.100.1",
    )
    kernel = here.call(lambda: Netlink(ROUTE))
    index = int(here.run("cat /sys/class/net/eth0/ifindex"))
    ours = [
        Route(ip_network("203.0.113.1/32"), index, ip_address("192.0.2.77")),
        Route(ip_network("2001:db8::1/128"), index, ip_address("fe80::77")),
        Route(ip_network("203.0.113.2/32"), index),
    ]
    here.call(lambda: set_routes(kernel, ours))
    kernel.close()
    first, second, third = (ip_address(one) for one in ("192.0.2.1", "192.0.2.9", "fe80::1"))
    assert here.call(default_routes) == (
        DefaultRoute(4, "eth0", first),
        DefaultRoute(4, "eth0", second),
        DefaultRoute(4, "eth1", None),
        DefaultRoute(6, "eth0", third),
    )
    assert here.call(default_devices) == {"eth0", "eth1"}
    assert here.call(gateways) == {first, second, third, ip_address("198.51.100.1")}
    on_link = {
        OnLink(ip_network("192.0.2.0/24"), "eth0"),
        OnLink(ip_network("198.51.100.0/24"), "eth1"),
        OnLink(ip_network("fe80::/64"), "eth0"),
        OnLink(ip_network("fe80::/64"), "eth1"),
    }
    assert set(here.call(connected_prefixes)) == on_link


@pytest.mark.netns
def test_several_hops_and_gateways_of_the_other_family(machine: Machine) -> None:
    here = machine.inside
    here.run(
        "ip addr add 192.0.2.2/24 dev eth0",
        "ip route add default nexthop via 192.0.2.1 dev eth0 nexthop via inet6 fe80::1 dev eth1",
        "ip -6 route add default nexthop via fe80::2 dev eth0 nexthop via fe80::3 dev eth1",
        "ip route add 10.0.0.0/8 via inet6 fe80::4 dev eth1",
    )
    found = here.call(default_routes)
    assert [one.version for one in found] == [4, 4, 6, 6]
    assert {(one.version, one.device, str(one.gateway)) for one in found} == {
        (4, "eth0", "192.0.2.1"),
        (4, "eth1", "fe80::1"),
        (6, "eth0", "fe80::2"),
        (6, "eth1", "fe80::3"),
    }
    assert ip_address("fe80::4") in here.call(gateways)


@pytest.mark.netns
def test_devices_and_their_addresses(machine: Machine) -> None:
    here = machine.inside
    here.run(
        "ip addr add 10.0.0.2 peer 10.0.0.9 dev eth0",
        "ip addr add fd00::2/64 dev eth0 nodad",
        "ip link set eth0 mtu 2800 address 0A:bc:00:00:00:01",
        "ip link set eth1 down",
    )
    index = int(here.run("cat /sys/class/net/eth0/ifindex"))
    found = here.call(lambda: find_device("eth0"))
    assert found is not None
    assert (found.index, found.mac, found.mtu) == (index, "0a:bc:00:00:00:01", 2800)
    assert {ip_address("10.0.0.2"), ip_address("fd00::2")} <= set(found.addresses)
    assert set(found.addresses) <= set(here.call(own_addresses))
    assert here.call(lambda: find_device("eth1")) is here.call(lambda: find_device("no")) is None
    assert here.call(device_names)[index] == "eth0"
    up = here.call(devices_up)
    assert up["eth0"] == index
    assert "eth1" not in up


@pytest.mark.netns
def test_the_source_of_own_connections(machine: Machine) -> None:
    machine.inside.run(
        "ip addr add 10.0.0.2/24 dev eth0",
        "ip addr add 10.0.0.3/24 dev eth0",
        "ip addr add fd00::2/64 dev eth1 nodad",
        "ip route add default via 10.0.0.1 src 10.0.0.3",
        "ip -6 route add default via fe80::1 dev eth1",
    )

    def sources() -> frozenset[str]:
        return frozenset(map(str, default_source()))

    assert machine.inside.call(sources) == {"10.0.0.3", "fd00::2"}
    routers = machine.inside.call(lambda: set(map(str, default_routers())))
    assert routers == {"10.0.0.1", "fe80::1"}


@pytest.mark.netns
def test_who_follows_a_router_is_known_and_goes_on_as_a_router(machine: Machine) -> None:
    here = machine.inside
    assert here.call(router_advertised) == frozenset()
    assert here.call(lambda: router_advertised({"eth1", "none"})) == {"eth1"}
    machine.advertise("eth0")
    assert machine.shows("ip -6 route show default", "proto ra")
    assert here.call(router_advertised) == {"eth0"}
    for one in here.call(router_advertised):
        here.call(lambda name=one: sysctl.write(f"net/ipv6/conf/{name}/accept_ra", "2"))
    assert here.call(router_advertised) == frozenset(), "it is cared for"
    here.run("sysctl -qw net.ipv6.conf.all.forwarding=1")
    assert "proto ra" in here.run("ip -6 route show default")
    machine.advertise("eth1")
    machine.advertise("eth0", lifetime=0)
    assert eventually(lambda: not here.run("ip -6 route show default"))
    assert not here.run("ip -6 addr show dev eth1 scope global"), "a router follows nobody"


@pytest.mark.netns
def test_an_address_tells_too_that_a_router_is_followed(machine: Machine) -> None:
    """One that is no default router."""
    machine.advertise("eth0", lifetime=0)
    assert machine.shows("ip -6 addr show dev eth0", PREFIX.rstrip(":"))
    assert machine.inside.call(router_advertised) == {"eth0"}


@pytest.mark.netns
@pytest.mark.parametrize(
    "setting", ["eth0.accept_ra=0", "eth0.accept_ra=2", "eth0.forwarding=1", "all.disable_ipv6=1"]
)
def test_a_device_that_follows_nobody_or_is_cared_for(machine: Machine, setting: str) -> None:
    """A daemon that listens for routers itself turns the kernel's own listening off."""
    machine.inside.run(
        "ip -6 route add default via fe80::1 dev eth0 proto ra",
        "ip addr add 192.0.2.2/24 dev eth0",
        "ip route add default via 192.0.2.1",
    )
    assert machine.inside.call(router_advertised) == {"eth0"}
    machine.inside.run(f"sysctl -qw net.ipv6.conf.{setting}")
    assert machine.inside.call(lambda: router_advertised({"eth0"})) == frozenset()


@pytest.mark.parametrize(
    ("of", "address"),
    [
        ("02:00:00:00:00:01", "fe80::ff:fe00:1"),
        ("00:16:3e:12:34:56", "fe80::216:3eff:fe12:3456"),
        ("FE:ff:ff:ff:ff:ff", "fe80::fcff:ffff:feff:ffff"),
    ],
)
def test_the_link_local_address_of_a_mac(of: str, address: str) -> None:
    assert link_local_of(of) == IPv6Address(address)


@pytest.mark.netns
def test_the_kernel_makes_the_same_link_local_address(machine: Machine) -> None:
    found = link_local_of(mac(machine.inside, "eth0"))
    assert machine.shows("ip -6 addr show dev eth0", f"{found}/64")
