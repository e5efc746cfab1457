"""Our routes of both families, seen, set and removed on a real kernel."""

import json
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import pairwise

import pytest

from tests.kernel.namespace import Namespace
from zthook.errors import KernelError
from zthook.kernel.netlink import ROUTE, Netlink
from zthook.kernel.route_batch import remove_routes, set_routes
from zthook.kernel.routes import Route, digest, own_routes

pytestmark = pytest.mark.netns
TABLE = 12300
GATEWAYS = {4: "192.168.193.2", 6: "fe80::ff:fe00:2"}
OTHERS = {4: "192.168.193.3", 6: "fe80::ff:fe00:3"}
HOSTS = {4: "10.0.0.1/32", 6: "2001:db8::1/128"}
ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
FAR_AWAY = {4: "192.0.2.1", 6: "2001:db8:ffff::1"}
BOTH = pytest.mark.parametrize("version", [4, 6])


class Place:
    """A namespace with two devices, neither of which has an IPv4 address."""

    def __init__(self) -> None:
        self.inside = Namespace("routes")
        for name in ("zt0", "zt1"):
            self.inside.run(
                f"ip link add {name} type veth peer name far-{name}",
                f"ip link set far-{name} up",
                f"ip link set {name} up",
            )
        self.kernel = self.inside.call(lambda: Netlink(ROUTE))

    def index(self, device: str) -> int:
        return int(self.inside.run(f"cat /sys/class/net/{device}/ifindex"))

    def set(self, *routes: Route) -> None:
        self.inside.call(lambda: set_routes(self.kernel, routes))

    def remove(self, *routes: Route) -> None:
        self.inside.call(lambda: remove_routes(self.kernel, routes))

    def own(self, table: int | None = 254) -> frozenset[Route]:
        return self.inside.call(lambda: own_routes(table))

    def count(self, version: int, destination: str) -> int:
        """How many next hops ``ip`` has there."""
        found = json.loads(self.inside.run(f"ip -j -{version} route show {destination}"))
        return sum(len(one.get("nexthops", [one])) for one in found)

    def way(self, version: int, *selectors: str) -> str:
        """The gateway that a packet to far away takes, or what is said instead."""
        line = " ".join([f"ip -{version} route get {FAR_AWAY[version]}", *selectors])
        found = self.inside.run(line, check=False).split()
        return found[found.index("via") + 1] if "via" in found else "nowhere"

    def close(self) -> None:
        self.kernel.close()
        self.inside.close()


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.close()


def host_route(
    place: Place, version: int, via: str | None, device: str = "zt0", table: int = 254
) -> Route:
    gateway = ip_address(via) if via else None
    return Route(ip_network(HOSTS[version]), place.index(device), gateway, table)


def test_all_that_is_ours_is_listed(place: Place) -> None:
    main = [host_route(place, n, via) for n, via in ((4, GATEWAYS[4]), (6, GATEWAYS[6]))]
    main += [Route(ip_network(one), 1) for one in ("10.9.0.0/16", "2001:db8:9::/48")]
    tables = [
        host_route(place, n, GATEWAYS[n], "zt1", table) for n in (4, 6) for table in (100, TABLE)
    ]
    tables += [Route(ip_network(ANYWHERE[n]), None, table=TABLE) for n in (4, 6)]
    place.inside.run(
        "ip route add 10.8.0.0/16 dev zt0 proto static",
        "ip -6 route add 2001:db8:8::/48 dev zt0 proto static",
        "ip route add blackhole 10.7.0.0/16 proto 123",
    )
    place.set(*main, *tables)
    assert place.own() == frozenset(main)
    assert place.own(TABLE) == {one for one in tables if one.table == TABLE}
    assert place.own(None) == {*main, *tables}
    assert place.own(4711) == frozenset()
    place.remove(*main, *tables)
    assert place.own(None) == frozenset()


@BOTH
def test_a_route_takes_the_place_of_every_other_kind(place: Place, version: int) -> None:
    """IPv6 would else add a second next hop to the first, and share packets among them."""
    ways = [
        host_route(place, version, GATEWAYS[version]),
        host_route(place, version, OTHERS[version]),
        host_route(place, version, OTHERS[version], "zt1"),
        host_route(place, version, None, "zt1"),
        host_route(place, version, GATEWAYS[version]),
    ]
    for before, after in pairwise(ways):
        place.set(before)
        place.set(after)
        assert place.own() == {after}
        assert place.count(version, HOSTS[version]) == 1
        place.remove(before)
        assert place.own() == {after}, "what took its place is another route"
        place.remove(after)
        place.remove(after)
        assert place.own() == frozenset()


def test_next_hops_that_somebody_added_to_ours_go_when_it_is_set_again(place: Place) -> None:
    ours = host_route(place, 6, GATEWAYS[6])
    place.set(ours)
    place.inside.run(f"ip -6 route append {HOSTS[6]} via {OTHERS[6]} dev zt0 proto 123")
    assert ours not in place.own()
    place.set(ours)
    assert place.own() == {ours}


@BOTH
def test_a_black_hole_is_the_last_resort(place: Place, version: int) -> None:
    black_hole = Route(ip_network(ANYWHERE[version]), None, table=TABLE)
    way = Route(
        ip_network(ANYWHERE[version]), place.index("zt0"), ip_address(GATEWAYS[version]), TABLE
    )
    home = f"ip -{version} route add default via {OTHERS[version]} dev zt1" + (
        " onlink" if version == 4 else ""
    )
    place.inside.run(home, f"ip -{version} rule add fwmark 8/8 lookup {TABLE} pref 12300")
    place.set(way)
    place.set(black_hole)
    place.set(way, black_hole)
    assert place.own(TABLE) == {way, black_hole}
    assert place.way(version, "mark", "8") == GATEWAYS[version]
    place.remove(way)
    assert place.way(version, "mark", "8") == "nowhere"
    assert place.way(version) == OTHERS[version]
    place.remove(black_hole)
    assert place.way(version, "mark", "8") == OTHERS[version]


def test_a_route_by_a_device_that_went_is_gone(place: Place) -> None:
    some = [host_route(place, n, GATEWAYS[n]) for n in (4, 6)]
    place.set(*some)
    place.inside.run("ip link del zt0")
    assert place.own() == frozenset()
    place.remove(*some)


def test_a_machine_without_ipv6_has_its_ipv4_routes(place: Place) -> None:
    place.inside.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
    ours = host_route(place, 4, GATEWAYS[4])
    place.set(ours)
    assert place.own() == {ours}
    with pytest.raises(KernelError, match=r"setting the route 2001:db8::1/128 via fe80::ff:fe00:2"):
        place.set(host_route(place, 6, GATEWAYS[6]))
    place.remove(host_route(place, 6, GATEWAYS[6]))


def test_routes_for_people() -> None:
    assert str(Route(ip_network("10.0.0.1/32"), 7)) == "10.0.0.1/32"
    assert str(Route(ip_network("10.0.0.1/32"), 7, IPv4Address("10.0.0.2"))) == (
        "10.0.0.1/32 via 10.0.0.2"
    )
    via = Route(ip_network("2001:db8::/32"), 7, IPv6Address("fe80::1"))
    assert str(via) == "2001:db8::/32 via fe80::1"
    assert str(Route(ip_network("::/0"), None)) == "black hole for ::/0"


@BOTH
def test_the_digest_is_another_while_any_of_ours_is(place: Place, version: int) -> None:
    def seen() -> bytes:
        return place.inside.call(lambda: digest(place.kernel))

    without = seen()
    device, base = place.index("zt0"), ip_network(HOSTS[version]).network_address
    hop = ip_address(GATEWAYS[version])
    place.set(*(Route(ip_network(base + n), device, hop) for n in range(2000)))
    before = seen()
    assert before == seen() != without
    place.inside.run(f"ip -{version} route add {base + 5000} dev zt1")
    assert before == seen(), "it is nobody's of ours"
    place.inside.run(f"ip -{version} route del {base + 1999}")
    assert seen() != before
    other = ip_address(OTHERS[version])
    place.set(Route(ip_network(base + 1999), device, other))
    assert seen() != before
    place.set(Route(ip_network(base + 1999), device, hop))
    assert seen() == before


def test_a_digest_of_what_the_kernel_refuses_is_an_error(place: Place) -> None:
    with pytest.raises(KernelError, match="listing nothing"):
        place.inside.call(lambda: place.kernel.digest(26, b"", about="listing nothing"))
