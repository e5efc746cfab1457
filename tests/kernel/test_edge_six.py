"""What is IPv6's alone: it is there where a mapping asks for it, and goes with the last one."""

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.kernel.driver import CONFIGURED, ON_LINK, PLANE, Edge
from tests.kernel.namespace import mac
from tests.kernel.questions import SILENCE, connection, echoes, eventually, reaches, silent
from tests.kernel.test_edge_packets import lan_behind_the_edge
from tests.kernel.test_edge_routed import routed
from tests.kernel.topology import Topology
from zthook.kernel import sysctl
from zthook.kernel.edge.rules import FAMILY, TABLE
from zthook.kernel.links import link_local_of
from zthook.model.mappings import EdgePlane
from zthook.model.publication import Mode

pytestmark = pytest.mark.netns

FORWARDING = "net/ipv6/conf/all/forwarding"
SETTINGS = {
    FORWARDING: "1",
    "net/ipv6/conf/all/proxy_ndp": "1",
    "net/ipv6/conf/eth0/proxy_ndp": "1",
    "net/ipv6/neigh/eth0/proxy_delay": "0",
    "net/ipv6/conf/eth0/accept_ra": "2",
    "net/ipv6/conf/default/accept_ra": "2",
}


@pytest.fixture
def version() -> int:
    return 6


def setting(edge: Edge, path: str) -> str | None:
    return edge.inside.call(lambda: sysctl.read(path))


def settings(edge: Edge) -> dict[str, str | None]:
    return {path: setting(edge, path) for path in SETTINGS}


def traces(edge: Edge) -> str:
    """What of the edge's is in the kernel for mappings, and of which nothing may be left."""
    shown = (
        "route show table all proto 123",
        "rule show table 12310",
        "neigh show proxy",
        "neigh show nud permanent",
    )
    lines = "".join(edge.inside.run(f"ip -6 {one}") for one in shown).splitlines()
    closed = edge.inside.run(f"nft list set {FAMILY} {TABLE} closed6").count("ipv6")
    return "\n".join(lines + ["closed"] * closed)


def of_ipv4(plane: EdgePlane) -> EdgePlane:
    return replace(PLANE, forwardings=plane.forwardings)


# Only where asked.


def test_an_edge_of_ipv4_alone_has_nothing_of_it(edge: Edge) -> None:
    before = settings(edge)
    edge.plane = of_ipv4(edge.plane)
    edge.apply()
    assert settings(edge) == before
    assert traces(edge) == ""
    listed = edge.inside.run(f"nft -s list table {FAMILY} {TABLE}")
    rules = listed[listed.index("\tchain ") :]
    assert "ip6" not in rules
    assert "ipv6" not in rules
    edge.inside.run("sysctl -qw net.ipv6.conf.all.forwarding=1", "ip -6 neigh flush dev eth0")
    edge.inside.run("ip -6 route add 2001:db8::/32 dev eth0")
    assert not edge.drifted(), "what becomes of it is no concern of ours"


def test_a_pool_alone_sets_nothing(edge: Edge) -> None:
    before = settings(edge)
    edge.apply()
    assert settings(edge) == before
    assert traces(edge) == ""
    assert not edge.drifted()


@pytest.mark.parametrize("by", ["change", "apply"])
@pytest.mark.parametrize("mode", Mode)
def test_the_first_mapping_brings_it_and_the_last_takes_it(
    top: Topology, edge: Edge, by: str, mode: Mode
) -> None:
    edge.apply()
    before = settings(edge)
    mapping = routed(edge, CONFIGURED) if mode is Mode.ROUTED else edge.mapping(CONFIGURED)
    if by == "change":
        edge.change(grant=[mapping])
    else:
        edge.apply(mapping)
    assert settings(edge) == SETTINGS
    assert reaches(top.client, CONFIGURED)
    assert "closed" in traces(edge)
    assert edge.apply() == []
    assert not edge.drifted()
    edge.plane = replace(edge.plane, forwardings=frozenset())
    if by == "change":
        edge.change(withdraw=[mapping])
    else:
        edge.apply()
    assert setting(edge, FORWARDING) == before[FORWARDING] == "0"
    assert traces(edge) == ""
    assert edge.apply() == []
    assert not edge.drifted()


def test_with_the_pool_its_rules_go(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(ON_LINK))
    edge.plane = of_ipv4(replace(edge.plane, forwardings=frozenset()))
    edge.apply()
    assert setting(edge, FORWARDING) == "0"
    assert traces(edge) == ""
    assert edge.apply() == []


def test_a_daemon_that_starts_anew_takes_it_too(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(ON_LINK))
    edge.stop()
    edge.plane = replace(edge.plane, forwardings=frozenset())
    edge.apply()
    assert setting(edge, FORWARDING) == "0"
    assert traces(edge) == ""


# Forwarding that was off.


def flushed(edge: Edge) -> None:
    edge.inside.run("nft flush ruleset")
    assert edge.drifted()
    edge.apply()


def anew(edge: Edge) -> None:
    edge.stop()
    edge.apply()


CHANGES: dict[str, Callable[[Edge], object]] = {
    "nothing": lambda _: None,
    "the ruleset flushed": flushed,
    "a daemon that starts anew": anew,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_edge_that_did_not_route_does_not_begin_to(
    top: Topology, edge: Edge, change: Callable[[Edge], object]
) -> None:
    """The kernel forwards between all devices or none."""
    lan = lan_behind_the_edge(top, edge)
    other = top.namespace("other")
    top.cable(edge.inside, "lan1", other, "eth0")
    edge.inside.run("ip addr add 10.8.0.1/24 dev lan1")
    top.address(other, "10.8.0.2/24", "10.8.0.1")
    edge.apply()
    edge.change(grant=[edge.mapping(ON_LINK)])
    change(edge)
    assert reaches(top.client, ON_LINK)
    top.serve(top.neighbour, 7)
    assert silent(reaches, top.neighbour, "10.7.0.2")
    assert silent(reaches, lan, "203.0.113.3", 7)
    assert silent(reaches, other, "10.7.0.2"), "nor between others"
    edge.inside.run(f"nft flush chain {FAMILY} {TABLE} forward")
    assert eventually(lambda: reaches(other, "10.7.0.2", wait=SILENCE)), "so that the test can fail"


def test_a_router_goes_on_being_one(top: Topology, edge: Edge) -> None:
    """Also where it became one after the last pass, as when Docker has started."""
    lan = lan_behind_the_edge(top, edge)
    edge.apply()
    edge.inside.run("sysctl -qw net.ipv6.conf.all.forwarding=1")
    edge.change(grant=[edge.mapping(ON_LINK)])
    top.serve(top.neighbour, 7)
    for _ in range(2):
        assert reaches(lan, "203.0.113.3", 7)
        assert reaches(top.client, ON_LINK)
        assert edge.apply() == []
    edge.change(withdraw=[edge.mapping(ON_LINK)])
    edge.apply()
    assert setting(edge, FORWARDING) == "1"
    assert reaches(lan, "203.0.113.3", 7)


@pytest.mark.parametrize("by", ["change", "apply"])
def test_an_overlay_without_ipv6_gets_it(top: Topology, edge: Edge, by: str) -> None:
    edge.inside.run("sysctl -qw net.ipv6.conf.zt0.disable_ipv6=1")
    edge.apply()
    assert setting(edge, "net/ipv6/conf/zt0/disable_ipv6") == "1", "not before it is needed"
    if by == "change":
        edge.change(grant=[edge.mapping(ON_LINK)])
    else:
        edge.apply(edge.mapping(ON_LINK))
    # What was turned off took it along, and the homes of this topology answer by it.
    edge.inside.run("ip addr add 192.168.193.222/24 dev zt0")
    assert reaches(top.client, ON_LINK)


@pytest.mark.parametrize(
    "command",
    [
        "sysctl -qw net.ipv6.conf.all.forwarding=0",
        "sysctl -qw net.ipv6.conf.eth0.proxy_ndp=0",
        "sysctl -qw net.ipv6.conf.all.proxy_ndp=0",
        f"nft flush set {FAMILY} {TABLE} closed6",
        f"nft flush set {FAMILY} {TABLE} pool6",
        "ip -6 route flush table all proto 123",
    ],
)
def test_damage_is_noticed_and_mended(top: Topology, edge: Edge, command: str) -> None:
    edge.apply(edge.mapping(ON_LINK))
    whole = traces(edge), settings(edge)
    edge.inside.run(command)
    assert edge.drifted()
    assert edge.apply()
    assert (traces(edge), settings(edge)) == whole
    assert reaches(top.client, ON_LINK)
    assert edge.apply() == []
    assert not edge.drifted()


def test_routers_are_heeded_as_before(top: Topology, edge: Edge) -> None:
    edge.inside.run(
        "ip route del default via 203.0.113.1",
        "ip route add default via 203.0.113.1 dev eth0 proto ra",
        "sysctl -qw net.ipv6.conf.zt0.accept_ra=0",
    )
    edge.apply(edge.mapping(ON_LINK))
    assert "proto ra" in edge.inside.run("ip route show default")
    assert setting(edge, "net/ipv6/conf/zt0/accept_ra") == "0"
    assert reaches(top.client, ON_LINK)


def test_a_host_on_the_same_machine_is_let_through(top: Topology, edge: Edge) -> None:
    """What has a host's connection mark passes the host's own table, which comes later."""
    lan_behind_the_edge(top, edge)
    edge.apply(edge.mapping(ON_LINK))
    assert silent(reaches, top.neighbour, "10.7.0.2")
    edge.inside.nft(
        "table ip host { chain marking { type filter hook prerouting priority mangle;"
        " ip daddr 10.7.0.2 ct mark set 0x8000000\n }\n}"
    )
    assert reaches(top.neighbour, "10.7.0.2")


# Who has an address.


def test_a_member_is_its_mac_and_nobody_else(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(ON_LINK))
    hop, has = link_local_of(edge.macs[1]), edge.macs[1]
    pinned = f"{hop} dev zt0 lladdr {has} PERMANENT proto 123"
    for command in (
        "true",
        f"ip -6 neigh del {hop} dev zt0",
        f"ip -6 neigh replace {hop} dev zt0 lladdr 02:00:00:00:06:06",
    ):
        edge.inside.run(command)
        assert edge.drifted() == (command != "true")
        assert bool(edge.apply()) == (command != "true")
        assert pinned in edge.inside.run("ip -6 neigh show nud permanent").replace(" router", "")
        assert reaches(top.client, ON_LINK)


def test_an_entry_goes_with_the_last_mapping_of_its_member(edge: Edge) -> None:
    first, second = edge.mapping(ON_LINK), edge.mapping("203.0.113.31", private="192.168.122.51")
    other = edge.mapping("203.0.113.32", 2, "192.168.122.60")
    edge.apply(first, second, other)
    edge.change(withdraw=[first])
    shown = edge.inside.run("ip -6 neigh show nud permanent")
    assert all(one in shown for one in edge.macs.values())
    edge.change(withdraw=[second])
    shown = edge.inside.run("ip -6 neigh show nud permanent")
    assert edge.macs[1] not in shown
    assert edge.macs[2] in shown
    moved = edge.mapping("203.0.113.32", 1, "192.168.122.60")
    edge.change(grant=[moved])
    shown = edge.inside.run("ip -6 neigh show nud permanent")
    assert edge.macs[1] in shown
    assert edge.macs[2] not in shown
    assert edge.apply() == []


@pytest.mark.parametrize("public", [ON_LINK, CONFIGURED])
@pytest.mark.parametrize("mode", Mode)
def test_a_neighbour_that_asks_whether_it_is_still_here_is_told(
    top: Topology, edge: Edge, public: str, mode: Mode
) -> None:
    """It asks at the address itself, which is routed away."""
    edge.apply(routed(edge, public) if mode is Mode.ROUTED else edge.mapping(public))
    with connection(top.client, public, 80) as one:
        assert echoes(one)
        top.router.run(f"ip neigh change {public} dev wire nud probe")

        def known() -> bool:
            found = top.router.run(f"ip neigh show {public} dev wire")
            return "REACHABLE" in found and mac(edge.inside, "eth0") in found

        assert eventually(known)
        assert echoes(one)


def test_an_unmapped_address_has_nobody(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(ON_LINK))
    assert silent(reaches, top.client, "203.0.113.31")
    assert eventually(lambda: "FAILED" in top.router.run("ip neigh show 203.0.113.31 dev wire"))


# Whose address it can not be.


IPV6_TRANSPARENT = 75


def test_from_outside_nothing_has_an_address_of_the_edge(top: Topology, edge: Edge) -> None:
    """As IPv4 has it without being told; a host may not pass for the edge among other hosts."""
    edge.apply(edge.mapping(ON_LINK, 2))
    top.home1.run("ip route add 203.0.113.0/24 via 192.168.193.222")

    def told(source: str) -> bool:
        with (
            top.guest2.socket(socket.SOCK_DGRAM) as hears,
            top.home1.socket(socket.SOCK_DGRAM) as says,
        ):
            hears.bind(("192.168.122.50", 9))
            hears.settimeout(SILENCE)
            says.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
            says.bind((source, 9))
            says.sendto(b"?", (ON_LINK, 9))
            with suppress(TimeoutError):
                return hears.recv(100) == b"?"
            return False

    assert told("192.168.193.2")
    assert not told("192.168.193.222")
    edge.inside.run(f"nft flush chain {FAMILY} {TABLE} untrack")
    assert told("192.168.193.222"), "so that the test can fail"
