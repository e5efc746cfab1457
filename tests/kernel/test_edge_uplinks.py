"""Two providers at one edge: what came in by one goes out by the same, whoever asked."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.kernel import driver
from tests.kernel.driver import Edge, both
from tests.kernel.questions import (
    SILENCE,
    asks,
    connection,
    echoes,
    eventually,
    pings,
    reaches,
    tells,
)
from tests.kernel.second_provider import (
    CONFIGURED,
    ON_LINK,
    ROUTED,
    ROUTER,
    SecondProvider,
    join,
    mapping,
    ways,
)
from tests.kernel.test_edge_repairs import state
from tests.kernel.topology import EchoServer, Topology
from zthook.kernel.host.dataplane import KernelHostDataplane
from zthook.model.addresses import AddressRange
from zthook.model.mappings import Forwarding, GuestRule, HostPlane
from zthook.model.publication import Egress, Mode

pytestmark = pytest.mark.netns

CLIENT, EDGE = "198.51.100.7", "203.0.113.2"
MODES = pytest.mark.parametrize("mode", list(Mode))
KINDS = pytest.mark.parametrize(
    "kind", [{}, {"ports": ["tcp/80", "udp/80"]}], ids=["whole", "ports"]
)


@pytest.fixture(autouse=True)
def second(top: Topology, edge: Edge) -> Iterator[SecondProvider]:
    made = SecondProvider(top)
    join(edge)
    yield made
    assert made.strays() == []


@pytest.fixture
def internet(top: Topology) -> EchoServer:
    return top.serve(top.client, 7, b"internet ")


def served(edge: Edge, public: str, mode: Mode, home: int = 1, **more: object) -> Forwarding:
    """A mapping, and what its host does for it."""
    if mode is Mode.ROUTED:
        edge.top.translate({1: edge.top.home1, 2: edge.top.home2}[home], public)
    return mapping(edge, public, home, mode=mode, **more)


@both
@MODES
@pytest.mark.parametrize("public", [driver.ON_LINK, CONFIGURED, ON_LINK, ROUTED])
def test_answers_leave_by_the_uplink_that_was_asked(
    top: Topology, edge: Edge, second: SecondProvider, public: str, mode: Mode
) -> None:
    """Also to a neighbour of the other provider, who could be reached without any router."""
    edge.apply(served(edge, public, mode))
    for asking in (top.client, top.neighbour, second.neighbour):
        assert tells(asking, public).startswith(b"guest1 ")
        assert asks(asking, public).startswith(b"guest1 ")
        assert pings(asking, public)
    assert edge.apply() == []


@both
@MODES
@KINDS
@pytest.mark.parametrize("public", [driver.ON_LINK, ON_LINK])
def test_what_a_guest_begins_leaves_by_its_addresss_own(
    top: Topology,
    edge: Edge,
    internet: EchoServer,
    public: str,
    mode: Mode,
    kind: dict[str, list[str]],
) -> None:
    edge.apply(served(edge, public, mode, egress=Egress.PUBLIC, **kind))
    assert tells(top.guest1, CLIENT, 7).startswith(b"internet ")
    assert asks(top.guest1, CLIENT, 7).startswith(b"internet ")
    assert pings(top.guest1, CLIENT)
    assert {source for source, _ in internet.peers} == {public}


@both
def test_one_guest_with_an_address_of_each(top: Topology, edge: Edge, internet: EchoServer) -> None:
    first = mapping(edge, driver.ON_LINK)
    leaving = mapping(edge, ON_LINK, egress=Egress.PUBLIC)
    edge.apply(first)
    edge.change(grant=[leaving])
    for public in (driver.ON_LINK, ON_LINK):
        assert tells(top.client, public).startswith(b"guest1 ")
    assert asks(top.guest1, CLIENT, 7)
    edge.change(withdraw=[leaving], grant=[mapping(edge, driver.ON_LINK, egress=Egress.PUBLIC)])
    assert asks(top.guest1, CLIENT, 7)
    assert [source for source, _ in internet.peers] == [ON_LINK, driver.ON_LINK]
    assert edge.apply() == []


@both
@MODES
def test_between_guests_of_both(top: Topology, edge: Edge, mode: Mode) -> None:
    """Over the edge alone, by whichever provider the other's address is."""
    top.guest2.run("ip addr add 192.168.122.60/24 dev eth0")
    edge.apply(
        served(edge, driver.ON_LINK, mode, egress=Egress.PUBLIC),
        mapping(edge, ON_LINK, 2, private="192.168.122.60", egress=Egress.PUBLIC),
    )
    for one in (top.home1, top.home2):
        one.run("ip route add 203.0.113.0/24 via 192.168.193.222 src 192.168.193.2", check=False)
    assert tells(top.guest1, ON_LINK).startswith(b"guest2 ")
    assert tells(top.guest2, driver.ON_LINK, source="192.168.122.60").startswith(b"guest1 ")
    assert {source for source, _ in top.server1.peers} == {ON_LINK}
    assert {source for source, _ in top.server2.peers} == {driver.ON_LINK}


@both
@MODES
def test_members_and_the_edge_itself(
    top: Topology, edge: Edge, internet: EchoServer, mode: Mode
) -> None:
    edge.apply(
        served(edge, ON_LINK, mode), mapping(edge, driver.ON_LINK, 2, private="192.168.122.60")
    )
    top.home2.run(f"ip route add {ON_LINK} via 192.168.193.222")
    assert tells(top.home2, ON_LINK).startswith(b"guest1 ")
    assert tells(edge.inside, ON_LINK).startswith(b"guest1 ")
    assert asks(edge.inside, CLIENT, 7)
    assert {source for source, _ in internet.peers} == {EDGE}


@both
def test_the_default_routes_tell_the_routers(top: Topology, edge: Edge) -> None:
    join(edge, None)
    edge.inside.run(f"ip route add default via {ROUTER} metric 500")
    edge.apply(mapping(edge, driver.ON_LINK), mapping(edge, ON_LINK))
    assert reaches(top.client, driver.ON_LINK)
    assert reaches(top.client, ON_LINK)
    with connection(top.client, driver.ON_LINK, 80) as tcp:
        edge.inside.run("ip route del default via 203.0.113.1")
        assert edge.drifted()
        edge.inside.run("ip route add default via 203.0.113.1 metric 600")
        edge.apply()
        assert reaches(top.client, ON_LINK)
        assert echoes(tcp), "the machine's own way is another now"


@pytest.mark.parametrize("version", [6])
def test_a_router_by_its_link_local_address(
    top: Topology, edge: Edge, second: SecondProvider, internet: EchoServer
) -> None:
    """As routers' advertisements name them, and both may be called the same."""
    for router in (top.router, second.router):
        router.run("ip addr add fe80::1/64 dev wire")
    join(edge, "fe80::1")
    edge.inside.run("ip route replace default via fe80::1 dev eth0")
    some = [mapping(edge, public, egress=Egress.PUBLIC) for public in (driver.ON_LINK, ON_LINK)]
    edge.apply(some[0])
    edge.change(withdraw=some[:1], grant=some[1:])
    assert tells(top.client, ON_LINK).startswith(b"guest1 ")
    assert asks(top.guest1, CLIENT, 7)
    edge.change(grant=some[:1], withdraw=some[1:])
    assert tells(top.client, driver.ON_LINK).startswith(b"guest1 ")
    assert asks(top.guest1, CLIENT, 7)
    assert [source for source, _ in internet.peers] == [ON_LINK, driver.ON_LINK]
    assert edge.apply() == []


def test_a_router_that_is_not_known_is_named(top: Topology, edge: Edge) -> None:
    join(edge, None)
    line = (
        "the router of uplink eth1 is not known: what is asked there is answered by eth0;"
        " write gateway into the [[pool]] in edge.toml"
    )
    edge.apply(mapping(edge, driver.ON_LINK))
    assert edge.ask(lambda dataplane: dataplane.misled()) == ()
    edge.apply(mapping(edge, driver.ON_LINK), mapping(edge, ON_LINK))
    assert edge.ask(lambda dataplane: dataplane.misled()) == (line,)
    assert reaches(top.client, driver.ON_LINK)
    join(edge)
    repairs = edge.apply(mapping(edge, driver.ON_LINK), mapping(edge, ON_LINK))
    assert f"the uplink of {ON_LINK} was another: set" in repairs
    assert reaches(top.client, ON_LINK)


def test_without_a_router_of_its_own_there_is_nothing_of_it(top: Topology, edge: Edge) -> None:
    before = ways(edge.inside)
    edge.plane = driver.PLANE
    edge.apply(mapping(edge, driver.ON_LINK, egress=Egress.PUBLIC))
    assert ways(edge.inside) == before
    listed = edge.inside.run("nft list table inet zthook")
    assert "uplink_of" not in listed
    assert "goto uplink" not in listed
    assert edge.inside.run("sysctl -n net.ipv4.conf.eth0.rp_filter") == "1\n"


@MODES
def test_all_goes_with_the_last_mapping(top: Topology, edge: Edge, mode: Mode) -> None:
    edge.apply(*(some := [served(edge, ROUTED, mode, egress=Egress.PUBLIC)]))
    edge.change(withdraw=some)
    before = ways(edge.inside)
    assert "0xe0000000" not in before
    assert "proto 123" not in before
    edge.change(grant=some)
    assert "0xe0000000" in ways(edge.inside)
    edge.plane = replace(edge.plane, forwardings=frozenset())
    edge.apply()
    assert ways(edge.inside) == before


DAMAGE = {
    "rule deleted": "ip rule del pref 12311 fwmark 0x20000000/0xe0000000",
    "other rule deleted": "ip rule del pref 12310 fwmark 0x40000000/0xe0000000",
    "rule invented": "ip rule add pref 9 fwmark 0x60000000/0xe0000000 table 77 protocol 123",
    "route deleted": "ip route del default table 12312",
    "route bent": "ip route replace default via 203.0.113.1 dev eth0 table 12312 proto 123",
    "route of neighbours deleted": "ip route del 198.18.20.0/24 table 12312",
    "route invented": "ip route add 10.0.0.0/8 via 203.0.113.1 table 12313 proto 123",
    "strict filter": "sysctl -qw net.ipv4.conf.eth1.rp_filter=1",
    "address forgotten": f"nft delete element inet zthook way_of_public {{ {ON_LINK} }}",
    "guest forgotten": "nft delete element inet zthook way_of_guest { 192.168.122.50 }",
    "chain emptied": "nft flush chain inet zthook choose_uplink",
    "mark emptied": "nft flush chain inet zthook uplink2",
    "ruleset flushed": "nft flush ruleset",
    "uplink down": "ip link set eth1 down",
}


@pytest.mark.parametrize("command", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_noticed_and_mended(
    top: Topology, edge: Edge, internet: EchoServer, command: str
) -> None:
    edge.apply(mapping(edge, ON_LINK, egress=Egress.PUBLIC), mapping(edge, driver.ON_LINK))
    settled = state(edge), ways(edge.inside)
    assert not edge.drifted()
    edge.inside.run(command)
    assert edge.drifted()
    assert edge.apply()
    if command == DAMAGE["uplink down"]:
        assert reaches(top.client, driver.ON_LINK)
        edge.inside.run("ip link set eth1 up")
        assert edge.drifted()
    assert eventually(lambda: edge.apply() == [] and not edge.drifted())
    assert (state(edge), ways(edge.inside)) == settled
    assert eventually(lambda: reaches(top.client, ON_LINK, wait=SILENCE))
    assert reaches(top.client, driver.ON_LINK)
    assert asks(top.guest1, CLIENT, 7)


def test_bits_of_others_in_the_mark_survive(top: Topology, edge: Edge) -> None:
    edge.inside.nft(
        "table inet owner { counter kept {}\n"
        " chain in { type filter hook prerouting priority raw; meta mark set 0x00000101; }\n"
        " chain out { type filter hook postrouting priority 0;"
        ' oifname "eth1" meta mark & 0x1fffffff == 0x10000101 counter name kept; }\n}'
    )
    edge.apply(mapping(edge, ON_LINK))
    assert reaches(top.client, ON_LINK)
    assert "packets 0 " not in edge.inside.run("nft list counter inet owner kept")


@MODES
def test_a_host_on_the_same_machine(
    top: Topology, edge: Edge, internet: EchoServer, mode: Mode
) -> None:
    """Its marks, rules and tables are its own, and neither takes the other's away."""
    edge.inside.run("ip link add virbr7 type bridge", "ip link set virbr7 up")
    rule = GuestRule(
        private=IPv4Address("192.168.130.50"),
        device="virbr7",
        public=IPv4Address("198.18.7.7"),
        active=True,
    )
    pools = (AddressRange.parse("198.18.7.0/24"),)
    other_edge = IPv4Address("192.168.193.3")
    wanted = HostPlane("zt0", other_edge, edge.macs[2], frozenset({rule}), pools)
    host = edge.inside.call(KernelHostDataplane)
    try:
        edge.apply(served(edge, ON_LINK, mode, egress=Egress.PUBLIC))
        assert edge.inside.call(lambda: host.apply(wanted)) != []
        edge.apply()  # the host turned forwarding on for the whole machine
        assert edge.inside.call(lambda: host.apply(wanted)) == []
        assert edge.apply() == []
        assert tells(top.client, ON_LINK).startswith(b"guest1 ")
        assert asks(top.guest1, CLIENT, 7)
        assert {source for source, _ in internet.peers} == {ON_LINK}
        assert edge.inside.call(lambda: host.apply(None)) != []
        assert edge.apply() == []
        assert tells(top.client, ON_LINK).startswith(b"guest1 ")
    finally:
        edge.inside.call(host.close)
