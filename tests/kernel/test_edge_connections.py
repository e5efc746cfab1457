"""Which established connections end with a change, and which live on through it."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.kernel.driver import CONFIGURED, ON_LINK, OVERLAY_ADDRESS, ROUTED, Edge
from tests.kernel.namespace import Namespace
from tests.kernel.questions import (
    SILENCE,
    Stream,
    answer,
    connection,
    echoes,
    eventually,
    reaches,
    silent,
)
from tests.kernel.topology import Topology
from zthook.kernel.edge.chains.layout import chains
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.elements import all_elements
from zthook.kernel.edge.rules import VERSION, Transaction, render
from zthook.kernel.edge.sets import IPV4, Elements
from zthook.kernel.edge.static import crossing_elements, names, own_elements
from zthook.model.mappings import Forwarding

pytestmark = pytest.mark.netns

HIDE = pytest.mark.parametrize("hide", [False, True], ids=["keep", "hide"])


@contextmanager
def datagrams(where: Namespace, address: str, port: int = 80) -> Iterator[socket.socket]:
    """A UDP "connection": the same two ports for as long as it is open."""
    with where.socket(socket.SOCK_DGRAM) as one:
        one.connect((address, port))
        yield one


def remembered(edge: Edge, address: str) -> str:
    """What the edge's conntrack has of connections to ``address``."""
    return edge.inside.run(f"conntrack -L --orig-dst {address}")


@HIDE
@pytest.mark.parametrize("public", [CONFIGURED, ON_LINK, ROUTED])
def test_withdrawing_ends_established_connections(
    top: Topology, edge: Edge, public: str, hide: bool
) -> None:
    gone, stays = edge.mapping(public, hide=hide), edge.mapping("203.0.113.50", hide=hide)
    edge.apply(gone, stays)
    with (
        connection(top.client, public, 80) as tcp,
        datagrams(top.client, public) as udp,
        connection(top.client, "203.0.113.50", 80) as other,
    ):
        assert echoes(tcp)
        assert echoes(udp)
        edge.change(withdraw=[gone])
        assert not remembered(edge, public)
        assert silent(echoes, tcp)
        assert b"guest1" not in answer(udp, wait=SILENCE)
        assert echoes(other)
    assert not edge.drifted()


@HIDE
def test_a_full_pass_withdraws_just_so(top: Topology, edge: Edge, hide: bool) -> None:
    gone, stays = edge.mapping(CONFIGURED, hide=hide), edge.mapping(ON_LINK, hide=hide)
    edge.apply(gone, stays)
    with (
        connection(top.client, CONFIGURED, 80) as tcp,
        connection(top.client, ON_LINK, 80) as other,
    ):
        assert echoes(tcp)
        edge.apply(stays)
        assert not remembered(edge, CONFIGURED)
        assert silent(echoes, tcp)
        assert echoes(other)


def test_another_guest_gets_the_address(top: Topology, edge: Edge) -> None:
    first, second = edge.mapping(home=1), edge.mapping(home=2)
    edge.apply(first)
    with connection(top.client, CONFIGURED, 80) as tcp, datagrams(top.client, CONFIGURED) as udp:
        assert answer(tcp).startswith(b"guest1")
        assert answer(udp).startswith(b"guest1")
        edge.change(withdraw=[first], grant=[second])
        assert silent(echoes, tcp)
        assert answer(udp).startswith(b"guest2")
    with connection(top.client, CONFIGURED, 80) as tcp:
        assert answer(tcp).startswith(b"guest2")
    assert not edge.drifted()
    assert edge.apply() == []


def test_a_guest_gets_another_private_address(top: Topology, edge: Edge) -> None:
    before, after = edge.mapping(), edge.mapping(private="192.168.122.51")
    for one in (before, after):
        top.serve(top.guest1, 81, str(one.private).encode(), str(one.private))
    edge.apply(before)
    with datagrams(top.client, CONFIGURED, 81) as udp:
        assert answer(udp).startswith(b"192.168.122.50")
        edge.change(withdraw=[before], grant=[after])
        assert answer(udp).startswith(b"192.168.122.51")
        assert ".122.51" in remembered(edge, CONFIGURED)
        assert ".122.50" not in remembered(edge, CONFIGURED)
    assert edge.apply() == []


@HIDE
@pytest.mark.parametrize("way", ["change", "apply"])
def test_connections_move_with_their_host(top: Topology, edge: Edge, hide: bool, way: str) -> None:
    """Its overlay address, then its MAC changes, and the guest stays what it was."""
    edge.apply(edge.mapping(hide=hide))
    with connection(top.client, CONFIGURED, 80) as tcp:
        assert echoes(tcp)
        top.home1.run(
            "sysctl -qw net.ipv4.conf.zt0.promote_secondaries=1",
            "ip addr add 192.168.193.9/24 dev zt0",
        )
        moved = replace(edge.mapping(hide=hide), next_hop=IPv4Address("192.168.193.9"))
        grant(edge, moved, way)
        top.home1.run("ip addr del 192.168.193.2/24 dev zt0")
        assert echoes(tcp)
        top.home1.run(
            "ip link set zt0 address 02:00:00:00:aa:bb",
            "ip route replace default via 192.168.193.222 dev zt0 table 100",
        )
        edge.inside.run("ip neigh flush dev zt0")
        assert silent(echoes, tcp), "answers from a MAC that nobody told of are dropped"
        grant(edge, replace(moved, next_hop_mac="02:00:00:00:aa:bb"), way)
        assert eventually(lambda: echoes(tcp, wait=SILENCE))
    assert edge.apply() == []


def grant(edge: Edge, one: Forwarding, way: str) -> None:
    if way == "change":
        edge.change(grant=[one])
    else:
        edge.apply(one)


def test_a_granted_address_is_the_guests_alone(top: Topology, edge: Edge) -> None:
    """Connections from before go to the edge no more, not even UDP that never pauses."""
    for address in (CONFIGURED, "203.0.113.2"):
        top.serve(edge.inside, 81, b"edge ", address)
    top.serve(top.guest1, 81, b"guest1 ")
    edge.apply()
    with (
        connection(top.client, CONFIGURED, 81) as tcp,
        datagrams(top.client, CONFIGURED, 81) as udp,
        connection(top.client, "203.0.113.2", 81) as own,
    ):
        for one in (tcp, udp, own):
            assert answer(one).startswith(b"edge")
        edge.change(grant=[edge.mapping()])
        assert silent(echoes, tcp)
        assert answer(udp).startswith(b"guest1")
        assert answer(own).startswith(b"edge")


def test_what_the_edge_itself_began_from_a_granted_address_goes_on(
    top: Topology, edge: Edge
) -> None:
    top.serve(top.client, 7)
    edge.apply()
    with edge.inside.socket() as own:
        own.bind((CONFIGURED, 0))
        own.connect(("198.51.100.7", 7))
        edge.change(grant=[edge.mapping()])
        assert reaches(top.client, CONFIGURED)
        assert echoes(own)


WITNESS = """
table inet witness {
    chain early {
        type filter hook prerouting priority raw;
        iifname "eth0" tcp dport 81 counter comment "came from the client"
        iifname "zt0" tcp sport 81 counter comment "came from the guest"
    }
    chain late {
        type filter hook postrouting priority 300;
        oifname "zt0" tcp dport 81 counter comment "went to the guest"
        oifname "eth0" tcp sport 81 counter comment "went to the client"
    }
}
"""


def passed(edge: Edge) -> dict[str, int]:
    """What the witness counted, in packets."""
    rules = edge.inside.run("nft list table inet witness")
    return {why: int(n) for n, why in re.findall(r'packets (\d+) .*comment "(.*)"', rules)}


def lost(edge: Edge) -> tuple[int, int]:
    """Packets that came to the edge and did not leave it: the client's, and the guest's."""
    count = passed(edge)
    assert min(count.values()) > 0
    return (
        count["came from the client"] - count["went to the guest"],
        count["came from the guest"] - count["went to the client"],
    )


@HIDE
def test_a_running_transfer_is_adopted(top: Topology, edge: Edge, hide: bool) -> None:
    """One daemon ends, another begins, mappings come and go: not a packet is lost."""
    top.serve(top.guest1, 81)
    edge.inside.nft(WITNESS)
    edge.apply(edge.mapping(ON_LINK, hide=hide))
    with connection(top.client, ON_LINK, 81) as tcp:
        stream = Stream(tcp)
        for number in range(10, 15):
            edge.stop()
            assert edge.apply() == []
            other = edge.mapping(f"192.0.2.{number}")
            edge.change(grant=[other])
            assert stream.grew()
            edge.change(withdraw=[other])
        assert stream.end()
    assert lost(edge) == (0, 0)


def older_rules(static: Elements, elements: Elements) -> str:
    """A table as another version of zthook made it."""
    change = Transaction(rules=chains(Shape((IPV4,), ways=False)), refill=static, add=elements)
    return (
        render(change)
        .replace(VERSION, "0ld0ld00")
        .replace(" drop comment", " counter drop comment")
    )


def test_an_upgrade_replaces_the_rules_under_a_running_transfer(top: Topology, edge: Edge) -> None:
    top.serve(top.guest1, 81)
    mapping = edge.mapping(ON_LINK, hide=True)
    edge.apply(mapping)
    elements = all_elements([mapping])
    uplinks, overlay = names(["eth0"]), names(["zt0"])
    static = {
        "uplinks": uplinks,
        "overlay": overlay,
        "doors": uplinks | overlay,
        "crossings": crossing_elements(uplinks, overlay),
        "own": own_elements("zt0", OVERLAY_ADDRESS),
    }
    edge.inside.nft(older_rules(static, elements))
    edge.inside.nft(WITNESS)
    edge.stop()
    with connection(top.client, ON_LINK, 81) as tcp:
        stream = Stream(tcp)
        assert stream.grew()
        counted = int(
            edge.inside.run("nft list set inet zthook arriving").split("packets ")[1].split()[0]
        )
        assert any("not this version's: replaced" in line for line in edge.apply())
        assert stream.grew()
        assert stream.end()
    assert lost(edge) == (0, 0)
    traffic = edge.ask(lambda dataplane: dataplane.traffic())[mapping.public, mapping.private]
    assert traffic.packets_in > counted > 0, "it counts on from before"
    assert edge.apply() == []


def test_a_flushed_ruleset_comes_back_under_an_established_connection(
    top: Topology, edge: Edge
) -> None:
    edge.apply(edge.mapping(ON_LINK), edge.mapping(CONFIGURED, hide=True))
    with (
        connection(top.client, ON_LINK, 80) as one,
        connection(top.client, CONFIGURED, 80) as other,
    ):
        assert echoes(one)
        assert echoes(other)
        edge.inside.run("nft flush ruleset")
        assert edge.drifted()
        edge.apply()
        assert echoes(one)
        assert echoes(other)
    assert reaches(top.client, CONFIGURED)
    assert not edge.drifted()


def test_what_went_by_unseen_while_the_ruleset_was_away_is_forgiven(
    top: Topology, edge: Edge
) -> None:
    """The guest acknowledges more than the kernel, looking anew, saw the client send."""
    edge.apply(edge.mapping(ON_LINK))
    with connection(top.client, ON_LINK, 80) as tcp:
        assert echoes(tcp)
        top.router.nft(DEAF.format(chain="forward", which=f"ip saddr {ON_LINK}"))
        for _ in range(3):
            tcp.send(b"x" * 1000)
        assert eventually(lambda: retransmitted(tcp) > 1)
        top.guest1.nft(DEAF.format(chain="output", which=""))
        edge.inside.run("nft flush ruleset")
        edge.apply()
        before = retransmitted(tcp)
        assert eventually(lambda: retransmitted(tcp) > before), "of the client something is seen"
        for place in (top.router, top.guest1):
            place.run("nft delete table ip deaf")
        received = b""
        tcp.settimeout(20)
        while received.count(b"x") < 3000:
            received += tcp.recv(65536)


DEAF = "table ip deaf {{ chain {chain} {{ type filter hook {chain} priority 0; {which} drop; }}; }}"


def retransmitted(one: socket.socket) -> int:
    """How often in a row (tcpi_retransmits of linux/tcp.h)."""
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[2]
