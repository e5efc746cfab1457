"""Routed mode: the edge translates nothing and remembers nothing; the host has the address."""

import socket
import struct

import pytest

from tests.kernel.driver import ARRIVES_AS, CONFIGURED, ON_LINK, ROUTED, TRANSLATED, Edge, both
from tests.kernel.questions import (
    SILENCE,
    answer,
    asks,
    connection,
    echoes,
    eventually,
    pings,
    reaches,
    silent,
    tells,
)
from tests.kernel.topology import Topology
from zthook.model.mappings import Forwarding
from zthook.model.publication import Mode

pytestmark = pytest.mark.netns

OTHER = "198.51.100.8"
"""The client's second address."""
WAYS = [CONFIGURED, ON_LINK, ROUTED, TRANSLATED]


def routed(edge: Edge, public: str = ON_LINK, home: int = 1, **kind: object) -> Forwarding:
    """A routed mapping, and what its host does for it."""
    top = edge.top
    top.translate({1: top.home1, 2: top.home2}[home], ARRIVES_AS.get(public, public))
    return edge.mapping(public, home, mode=Mode.ROUTED, **kind)


def followed(edge: Edge) -> str:
    """What the edge's conntrack has of public addresses."""
    listed = edge.inside.run("conntrack -L").splitlines()
    return "\n".join(line for line in listed if "203.0.113.2 " not in line)


@both
@pytest.mark.parametrize("public", WAYS)
def test_client_reaches_guest(top: Topology, edge: Edge, public: str) -> None:
    edge.apply(routed(edge, public))
    with connection(top.client, public, 80) as one:
        assert answer(one, b"hello") == b"guest1 hello"
    assert asks(top.client, public).startswith(b"guest1 ")
    assert pings(top.client, public)
    assert {source for source, _ in top.server1.peers} == {"198.51.100.7"}
    assert not followed(edge)
    edge.change(withdraw=[edge.mapping(public, mode=Mode.ROUTED)])
    if public == CONFIGURED:
        assert reaches(top.client, public), "the edge's own again"
    else:
        assert silent(reaches, top.client, public)
    assert edge.apply() == []
    assert "12310" not in edge.inside.run("ip rule")
    assert not edge.inside.run("ip route show table all proto 123")


@both
def test_hosts_with_the_same_private_address(top: Topology, edge: Edge) -> None:
    edge.apply(routed(edge, ON_LINK, 1), routed(edge, CONFIGURED, 2))
    assert tells(top.client, ON_LINK).startswith(b"guest1 ")
    assert tells(top.client, CONFIGURED).startswith(b"guest2 ")


@both
@pytest.mark.parametrize("ports", [[], ["tcp/80", "udp/80"]], ids=["whole", "ports"])
def test_a_client_whose_own_address_is_of_a_pool(
    top: Topology, edge: Edge, ports: list[str]
) -> None:
    """Another customer's, or another edge's: nothing here is mapped to it."""
    edge.apply(routed(edge, ON_LINK, ports=ports))
    top.neighbour.run("ip addr add 203.0.113.60/32 dev eth0")
    for ask in (tells, asks):
        assert ask(top.neighbour, ON_LINK, source="203.0.113.60").startswith(b"guest1 ")


@both
@pytest.mark.parametrize("public", WAYS)
def test_nothing_else_of_it_reaches_anybody(top: Topology, edge: Edge, public: str) -> None:
    top.serve(top.guest1, 81)
    top.serve(edge.inside, 81)
    edge.apply(routed(edge, public, ports=["tcp/80", "udp/70-90"]))
    assert tells(top.client, public).startswith(b"guest1 ")
    assert asks(top.client, public, 80).startswith(b"guest1 ")
    assert silent(reaches, top.client, public, 81), "also where the edge has the address itself"
    assert silent(asks, top.client, public, 91)
    assert silent(pings, top.client, public)


@both
@pytest.mark.parametrize("ports", [[], ["tcp/80", "udp/70-90"]], ids=["whole", "ports"])
def test_only_allowed_clients_reach_a_guest(top: Topology, edge: Edge, ports: list[str]) -> None:
    edge.apply(routed(edge, ports=ports, allow=["198.51.100.8/32", "10.0.0.0/8"]))
    assert reaches(top.client, ON_LINK, source=OTHER)
    assert asks(top.client, ON_LINK, source=OTHER)
    top.server1.peers.clear()
    assert silent(reaches, top.client, ON_LINK)
    assert silent(asks, top.client, ON_LINK)
    assert silent(pings, top.client, ON_LINK)
    assert not top.server1.peers
    assert not followed(edge)


def test_guests_of_one_host_share_an_address(top: Topology, edge: Edge) -> None:
    top.home1.nft(
        f"""table ip routed {{
    chain arriving {{ type nat hook prerouting priority dstnat;
        iifname zt0 ip daddr {ON_LINK} tcp dport 80 dnat to 192.168.122.50:80
        iifname zt0 ip daddr {ON_LINK} tcp dport 81 dnat to 192.168.122.51:80; }}
}}"""
    )
    first = edge.mapping(ON_LINK, mode=Mode.ROUTED, ports=["tcp/80"], allow=["198.51.100.8"])
    second = edge.mapping(ON_LINK, private="192.168.122.51", mode=Mode.ROUTED, ports=["tcp/81:80"])
    edge.apply(first, second)
    assert reaches(top.client, ON_LINK, 81)
    assert reaches(top.client, ON_LINK, 80, source=OTHER)
    assert silent(reaches, top.client, ON_LINK, 80), "the other one's clients are not its"
    assert edge.traffic(second).packets_in > 2
    assert edge.traffic(second).packets_out > 2
    edge.change(withdraw=[first])
    assert reaches(top.client, ON_LINK, 81)
    assert silent(reaches, top.client, ON_LINK, 80, source=OTHER)
    assert edge.apply() == []


@pytest.mark.parametrize("ports", [[], ["udp/80"]], ids=["whole", "port"])
@pytest.mark.parametrize("public", [CONFIGURED, ON_LINK])
def test_fragments_pass(top: Topology, edge: Edge, public: str, ports: list[str]) -> None:
    """Only the first of them has ports, in both directions."""
    edge.apply(routed(edge, public, ports=ports, allow=["198.51.100.0/24"] if ports else []))
    with top.client.socket(socket.SOCK_DGRAM) as one:
        one.connect((public, 80))
        assert answer(one, b"y" * 5000) == b"guest1 " + b"y" * 5000


@both
@pytest.mark.parametrize("ports", [[], ["udp/81", "udp/9"]], ids=["whole", "ports"])
@pytest.mark.parametrize("public", [CONFIGURED, ON_LINK])
def test_errors_pass_both_ways(top: Topology, edge: Edge, public: str, ports: list[str]) -> None:
    top.serve(top.guest1, 81, b"x" * 1300)
    edge.apply(routed(edge, public, ports=ports))
    with top.client.socket(socket.SOCK_DGRAM) as one:
        one.connect((public, 9))
        one.send(b"nobody listens there")
        with pytest.raises(ConnectionRefusedError):
            one.recv(100)
    top.router.run("ip link set client mtu 1280")
    with top.client.socket(socket.SOCK_DGRAM) as one:
        one.connect((public, 81))
        assert eventually(lambda: len(answer(one, wait=SILENCE)) > 1300), (
            "the guest learns of a narrow path"
        )


@pytest.mark.parametrize("ports", [[], ["udp/5000"], ["udp/4990-5010"]])
def test_only_the_holders_member_sends_as_it(top: Topology, edge: Edge, ports: list[str]) -> None:
    edge.apply(routed(edge, ON_LINK, 1, ports=ports))
    top.translate(top.home2, ON_LINK)
    with (
        top.client.socket(socket.SOCK_DGRAM) as client,
        top.guest1.socket(socket.SOCK_DGRAM) as holder,
        top.guest2.socket(socket.SOCK_DGRAM) as other,
    ):
        for guest in (holder, other):
            guest.bind(("192.168.122.50", 5000))
        client.connect((ON_LINK, 5000))
        client.send(b"open")
        assert eventually(lambda: holder.recv(100) == b"open")
        client.settimeout(SILENCE)
        other.sendto(b"from another member", client.getsockname())
        with pytest.raises(TimeoutError):
            client.recv(100)
        holder.sendto(b"from the holder", client.getsockname())
        assert client.recv(100) == b"from the holder"


def test_from_a_port_that_is_not_mapped_nothing_leaves(top: Topology, edge: Edge) -> None:
    server = top.serve(top.client, 7)
    edge.apply(routed(edge, ports=["tcp/80", "tcp/1000-1010"]))
    assert silent(reaches, top.guest1, "198.51.100.7", 7)
    assert silent(asks, top.guest1, "198.51.100.7", 7)
    assert not server.peers


@both
def test_a_move_takes_connections_along(top: Topology, edge: Edge) -> None:
    edge.apply(routed(edge, CONFIGURED))
    with connection(top.client, CONFIGURED, 80) as tcp:
        assert echoes(tcp)
        top.home1.run(
            "ip link set zt0 address 02:00:00:00:aa:bb",
            "ip route replace default via 192.168.193.222 dev zt0 table 100",
        )
        edge.inside.run("ip neigh flush dev zt0")
        assert silent(echoes, tcp)
        edge.macs[1] = "02:00:00:00:aa:bb"
        edge.change(grant=[edge.mapping(CONFIGURED, mode=Mode.ROUTED)])
        assert eventually(lambda: echoes(tcp, wait=SILENCE))
    assert edge.apply() == []


def test_a_mode_may_change(top: Topology, edge: Edge) -> None:
    nat = edge.mapping(CONFIGURED)
    edge.apply(nat)
    with connection(top.client, CONFIGURED, 80) as tcp:
        assert echoes(tcp)
        edge.change(grant=[routed(edge, CONFIGURED)])
        assert not followed(edge)
    assert tells(top.client, CONFIGURED).startswith(b"guest1 ")
    assert not followed(edge)
    top.home1.run("nft delete table ip routed")
    edge.change(grant=[nat])
    assert tells(top.client, CONFIGURED).startswith(b"guest1 ")
    assert edge.apply() == []
    assert not edge.drifted()


@both
def test_while_the_overlay_is_away_the_edge_does_not_answer_itself(
    top: Topology, edge: Edge
) -> None:
    mapping = routed(edge, CONFIGURED)
    edge.apply(mapping)
    address = edge.inside.run("cat /sys/class/net/zt0/address").strip()
    edge.inside.run("ip link del zt0")
    assert edge.drifted()
    assert edge.apply() == ["the device zt0 is away: the routes of 1 mappings wait for it"]
    assert silent(tells, top.client, CONFIGURED)
    assert silent(asks, top.client, CONFIGURED)
    top.plug_overlay(edge.inside, "192.168.193.222/24")
    edge.inside.run(f"ip link set zt0 address {address}")
    assert edge.drifted()
    edge.apply()
    assert eventually(lambda: tells(top.client, CONFIGURED, wait=SILENCE).startswith(b"guest1 "))
    assert edge.apply() == []


def test_traffic_is_counted(top: Topology, edge: Edge) -> None:
    mapping = routed(edge)
    edge.apply(mapping)
    assert reaches(top.client, ON_LINK)
    found = edge.traffic(mapping)
    assert found.packets_in > 2
    assert found.packets_out > 2


DAMAGE = {
    "ruleset flushed": "nft flush ruleset",
    "rule deleted": "ip rule del pref 0 table 12310",
    "rules flushed": "ip rule flush; ip rule add pref 32766 table main",
    "all rules deleted": "ip rule del pref 0 table 12310; ip rule add pref 9 table local;"
    " ip rule del pref 0; ip rule add pref 0 table local; ip rule del pref 9",
    "route deleted": "ip route del 203.0.113.20 table 12310",
    "table flushed": "ip route flush table 12310",
    "our routes flushed": "ip route flush proto 123",
    "route bent": "ip route replace 203.0.113.20 via 192.168.193.3 table 12310 proto 123",
    "element deleted": "nft delete element inet zthook untracked { 203.0.113.20 }",
    "rule invented": "ip rule add pref 5 to 10.0.0.1 table 12310 protocol 123",
}


@pytest.mark.parametrize("commands", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_noticed_and_mended(top: Topology, edge: Edge, commands: str) -> None:
    edge.apply(routed(edge, CONFIGURED), edge.mapping(ROUTED))
    rules = edge.inside.run("ip rule")
    edge.inside.run(*commands.split("; "))
    if "flush; " not in commands:
        assert edge.drifted()
        assert edge.apply()
    assert eventually(lambda: edge.apply() == [] and not edge.drifted())
    assert tells(top.client, CONFIGURED).startswith(b"guest1 ")
    assert edge.inside.run("ip rule").split("\n")[:2] == rules.split("\n")[:2]
    assert not followed(edge)


def test_an_icmp_error_for_nobody_stays_out(top: Topology, edge: Edge) -> None:
    edge.apply(routed(edge, ports=["tcp/80"]))
    with (
        top.client.socket(socket.SOCK_RAW, socket.IPPROTO_ICMP) as client,
        top.home1.socket(socket.SOCK_RAW, socket.IPPROTO_ICMP) as host,
    ):
        host.settimeout(SILENCE)
        client.sendto(struct.pack("!BBHI", 13, 0, 0xF2FF, 0) + bytes(12), (ON_LINK, 0))
        with pytest.raises(TimeoutError):
            host.recv(100)
