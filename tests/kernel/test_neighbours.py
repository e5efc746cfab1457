"""Entries that the kernel answers for, and pinned ones, of both families."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address, ip_network

import pytest

from tests.kernel.namespace import Namespace, mac
from tests.kernel.questions import SILENCE, eventually
from zthook.kernel.announce import announce
from zthook.kernel.links import link_local_of
from zthook.kernel.neighbours import (
    OF_EDGE,
    OF_HOST,
    Pinned,
    PinnedEntries,
    ProxyEntry,
    neighbour_mac,
    pinned_entries,
    proxy_entries,
    remove_pinned,
    remove_proxy,
    set_pinned,
    set_proxy,
)
from zthook.kernel.netlink import ROUTE, Netlink
from zthook.kernel.route_batch import set_routes
from zthook.kernel.routes import Route

pytestmark = pytest.mark.netns
MACS = ["02:00:00:00:00:01", "0a:bc:00:00:00:02"]
ADDRESSES = {4: ip_address("192.0.2.1"), 6: ip_address("fe80::ff:fe00:1")}
BOTH = pytest.mark.parametrize("version", [4, 6])


@pytest.fixture
def where() -> Iterator[Namespace]:
    made = Namespace("neighbours")
    made.run("ip link add zt0 type veth peer name far", "ip link set zt0 up", "ip link set far up")
    yield made
    made.close()


@pytest.fixture
def kernel(where: Namespace) -> Iterator[Netlink]:
    made = where.call(lambda: Netlink(ROUTE))
    yield made
    made.close()


def own() -> frozenset[Pinned]:
    return pinned_entries(OF_EDGE).own


def index(where: Namespace, device: str = "zt0") -> int:
    return int(where.run(f"cat /sys/class/net/{device}/ifindex"))


def test_ours_are_told_from_others(where: Namespace, kernel: Netlink) -> None:
    device = index(where)
    where.run(
        "ip neigh add proxy 192.0.2.9 dev zt0",
        "ip neigh add proxy 2001:db8::9 dev zt0",
        "ip neigh add 192.0.2.8 lladdr 02:00:00:00:00:08 dev zt0 nud permanent",
        "ip -6 neigh add fe80::8 lladdr 02:00:00:00:00:08 dev zt0 nud permanent",
        "ip neigh add 192.0.2.7 lladdr 02:00:00:00:00:07 dev zt0 nud stale protocol 123",
    )
    proxies = {ProxyEntry(ip_address(one), device) for one in ("192.0.2.1", "2001:db8::1")}
    pinned = {Pinned(one, device, MACS[0]) for one in ADDRESSES.values()}
    for proxy in proxies:
        where.call(lambda one=proxy: set_proxy(kernel, one))
    for entry in pinned:
        where.call(lambda one=entry: set_pinned(kernel, [one], OF_EDGE))
    assert where.call(proxy_entries) == proxies
    assert where.call(own) == pinned
    others = {(ip_address(one), device) for one in ("192.0.2.8", "fe80::8")}
    assert where.call(lambda: pinned_entries(OF_EDGE)).others == others
    assert where.call(lambda: pinned_entries(OF_HOST)) == PinnedEntries(
        frozenset(), frozenset(others | {(one.address, device) for one in pinned})
    )
    for proxy in proxies:
        where.call(lambda one=proxy: remove_proxy(kernel, one))
    for entry in pinned:
        where.call(lambda one=entry: remove_pinned(kernel, [one]))
    assert where.call(proxy_entries) == frozenset()
    assert where.call(own) == frozenset()
    assert "192.0.2.9" in where.run("ip neigh show proxy")
    assert where.run("ip neigh show nud permanent").count("02:00:00:00:00:08") == 2


@BOTH
def test_a_pinned_entry_is_changed_and_gone(
    where: Namespace, kernel: Netlink, version: int
) -> None:
    address, device = ADDRESSES[version], index(where)
    before, after = (Pinned(address, device, mac) for mac in MACS)
    where.run(f"ip -{version} neigh add {address} lladdr {MACS[1]} dev zt0 nud reachable")
    for entry in (before, before, after):
        where.call(lambda one=entry: set_pinned(kernel, [one], OF_EDGE))
        assert where.call(own) == {entry}
        assert where.call(lambda: neighbour_mac(kernel, address, device)) == entry.mac
    for _ in range(2):
        where.call(lambda: remove_pinned(kernel, [after]))
        assert where.call(own) == frozenset()
    assert where.call(lambda: neighbour_mac(kernel, address + 9, device)) is None
    where.run(f"ip -{version} neigh add {address + 9} dev zt0 nud failed")
    assert where.call(lambda: neighbour_mac(kernel, address + 9, device)) is None
    assert where.call(lambda: neighbour_mac(kernel, address + 9, 99)) is None


@BOTH
def test_nobody_on_the_link_moves_a_pinned_address(
    where: Namespace, kernel: Netlink, version: int
) -> None:
    """A neighbour says that it has both addresses; of the one that is not pinned it is believed."""
    far = Namespace("neighbour")
    try:
        where.run(f"ip link set far netns {far.name}")
        far.run("ip link set far up")
        pinned, other = ADDRESSES[version], ADDRESSES[version] + 1
        entry, device = Pinned(pinned, index(where), MACS[0]), index(far, "far")
        where.call(lambda: set_pinned(kernel, [entry], OF_EDGE))
        where.run(f"ip -{version} neigh add {other} lladdr {MACS[1]} dev zt0 nud stale")

        def believed() -> bool:
            for address in (pinned, other):
                far.call(lambda one=address: announce(one, device))
            seen = where.call(lambda: neighbour_mac(kernel, other, entry.device))
            return seen == mac(far, "far")

        assert eventually(believed)
        assert where.call(own) == {entry}
    finally:
        far.close()


def test_a_pinned_link_local_address_is_a_way_to_a_mac(where: Namespace, kernel: Netlink) -> None:
    """The host has no such address, and asks and answers nothing: packets come all the same."""
    host, public = Namespace("host"), "2001:db8::30"
    try:
        where.run("sysctl -qw net.ipv6.conf.zt0.accept_dad=0", "ip addr add fd00::1/64 dev zt0")
        where.run(f"ip link set far netns {host.name}")
        host.run(
            "ip link set far addrgenmode none",
            "ip link set far up",
            f"ip addr add {public}/128 dev lo nodad",
        )
        via = link_local_of(mac(host, "far"))
        entry = Pinned(via, index(where), mac(host, "far"))
        where.call(lambda: set_pinned(kernel, [entry], OF_EDGE))
        where.call(lambda: set_routes(kernel, [Route(ip_network(public), entry.device, via)]))
        six = socket.AF_INET6, socket.SOCK_DGRAM
        with (
            host.call(lambda: socket.socket(*six)) as hears,
            where.call(lambda: socket.socket(*six)) as says,
        ):
            hears.bind((public, 7))
            hears.settimeout(SILENCE)

            def comes() -> bool:
                with suppress(OSError):  # the devices have just come up
                    says.sendto(b"hello", (public, 7))
                    return hears.recv(100) == b"hello"
                return False

            assert eventually(comes)
    finally:
        host.close()


def test_entries_go_with_their_device(where: Namespace, kernel: Netlink) -> None:
    device = index(where)
    pinned = [Pinned(one, device, MACS[0]) for one in ADDRESSES.values()]
    for entry in pinned:
        where.call(lambda one=entry: set_pinned(kernel, [one], OF_EDGE))
    where.run("ip link set far down")
    assert where.call(own) == set(pinned), "no carrier is no reason"
    where.run("ip link set zt0 down")
    assert where.call(own) == frozenset()
    where.run("ip link del zt0")
    for entry in pinned:
        where.call(lambda one=entry: remove_pinned(kernel, [one]))
        where.call(lambda one=entry: remove_proxy(kernel, ProxyEntry(one.address, device)))


def test_a_machine_without_ipv6_is_asked_and_told_nothing(
    where: Namespace, kernel: Netlink
) -> None:
    where.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
    device = index(where)
    entry = ProxyEntry(ip_address("192.0.2.1"), device)
    where.call(lambda: set_proxy(kernel, entry))
    assert where.call(proxy_entries) == {entry}
    assert where.call(own) == frozenset()
    where.call(lambda: remove_pinned(kernel, [Pinned(ADDRESSES[6], device, MACS[0])]))
