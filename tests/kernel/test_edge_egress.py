"""What guests begin themselves: from their public address where it is asked for, else not here."""

import socket

import pytest

from tests.kernel.driver import ARRIVES_AS, CONFIGURED, ON_LINK, ROUTED, TRANSLATED, Edge
from tests.kernel.namespace import PATIENCE
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
from tests.kernel.topology import EchoServer, Topology
from zthook.model.mappings import Forwarding
from zthook.model.publication import Egress, Mode

pytestmark = pytest.mark.netns

CLIENT = "198.51.100.7"
MODES = pytest.mark.parametrize("mode", list(Mode))
KINDS = pytest.mark.parametrize(
    "kind",
    [{}, {"ports": ["tcp/80"]}, {"allow": ["198.51.100.0/24"]}],
    ids=["whole", "ports", "allow"],
)


@pytest.fixture
def server(top: Topology) -> EchoServer:
    """Somewhere on the internet."""
    return top.serve(top.client, 7, b"internet ")


def leaving(
    edge: Edge, mode: Mode, public: str = ON_LINK, home: int = 1, **kind: object
) -> Forwarding:
    """A mapping whose guest leaves by the edge, and what its host does for it."""
    top = edge.top
    if mode is Mode.ROUTED:
        top.translate({1: top.home1, 2: top.home2}[home], ARRIVES_AS.get(public, public))
    return edge.mapping(public, home, mode=mode, egress=Egress.PUBLIC, **kind)


@MODES
@KINDS
@pytest.mark.parametrize("public", [CONFIGURED, ON_LINK, ROUTED, TRANSLATED])
def test_it_comes_from_the_public_address(
    top: Topology,
    edge: Edge,
    server: EchoServer,
    public: str,
    mode: Mode,
    kind: dict[str, list[str]],
) -> None:
    edge.apply(leaving(edge, mode, public, **kind))
    assert tells(top.guest1, CLIENT, 7).startswith(b"internet ")
    assert asks(top.guest1, CLIENT, 7).startswith(b"internet ")
    assert pings(top.guest1, CLIENT)
    assert {source for source, _ in server.peers} == {ARRIVES_AS.get(public, public)}
    assert tells(top.client, public).startswith(b"guest1 "), "and it is reached as ever"


@MODES
@pytest.mark.parametrize(
    "kind", [{"ports": ["tcp/80"]}, {"allow": ["198.51.100.7"]}], ids=["ports", "allow"]
)
def test_the_port_that_it_speaks_from_is_not_open_to_others(
    top: Topology, edge: Edge, server: EchoServer, mode: Mode, kind: dict[str, list[str]]
) -> None:
    edge.apply(leaving(edge, mode, **kind))
    with (
        top.guest1.socket(socket.SOCK_DGRAM) as guest,
        top.client.socket(socket.SOCK_DGRAM) as stranger,
    ):
        guest.bind(("", 5000))
        guest.sendto(b"hello", (CLIENT, 7))
        assert guest.recv(100) == b"internet hello"
        stranger.bind(("198.51.100.8", 8))
        stranger.sendto(b"from a stranger", (ON_LINK, 5000))
        guest.settimeout(SILENCE)
        with pytest.raises(TimeoutError):
            guest.recv(100)


@MODES
@KINDS
def test_without_it_nothing_leaves(
    top: Topology, edge: Edge, server: EchoServer, mode: Mode, kind: dict[str, list[str]]
) -> None:
    """But for a whole routed address, of which nothing is remembered: its host keeps it home."""
    if mode is Mode.ROUTED:
        top.translate(top.home1, ON_LINK)
    edge.apply(edge.mapping(ON_LINK, mode=mode, **kind))
    left = mode is Mode.ROUTED and "ports" not in kind
    assert bool(asks(top.guest1, CLIENT, 7, wait=PATIENCE if left else SILENCE)) == left
    assert bool(server.peers) == left


@MODES
@KINDS
def test_nobody_else_leaves_by_it(
    top: Topology, edge: Edge, server: EchoServer, mode: Mode, kind: dict[str, list[str]]
) -> None:
    """Neither another guest of the same host, nor the same address behind another host."""
    edge.apply(leaving(edge, mode, **kind))
    if mode is Mode.ROUTED:
        top.translate(top.home2, ON_LINK)
    assert silent(asks, top.guest1, CLIENT, 7, source="192.168.122.51")
    assert silent(asks, top.guest2, CLIENT, 7)
    top.home1.run("ip route add default via 192.168.193.222")
    assert silent(asks, top.home1, CLIENT, 7)
    assert not server.peers


@MODES
@KINDS
def test_withdrawing_ends_what_the_guest_began(
    top: Topology, edge: Edge, server: EchoServer, mode: Mode, kind: dict[str, list[str]]
) -> None:
    one = leaving(edge, mode, **kind)
    edge.apply(one)
    with connection(top.guest1, CLIENT, 7) as tcp:
        assert echoes(tcp)
        edge.change(withdraw=[one])
        assert silent(echoes, tcp)
    assert silent(reaches, top.guest1, CLIENT, 7)
    assert "198.51.100.7" not in edge.inside.run("conntrack -L")
    assert edge.apply() == []


def test_turning_it_off_ends_it_and_nothing_else(
    top: Topology, edge: Edge, server: EchoServer
) -> None:
    edge.apply(leaving(edge, Mode.NAT))
    with connection(top.guest1, CLIENT, 7) as own, connection(top.client, ON_LINK, 80) as tcp:
        assert echoes(own)
        assert echoes(tcp)
        edge.change(grant=[edge.mapping(ON_LINK)])
        assert silent(echoes, own)
        assert echoes(tcp)
    edge.change(grant=[leaving(edge, Mode.NAT)])
    assert reaches(top.guest1, CLIENT, 7)
    assert edge.apply() == []


@MODES
def test_what_is_no_longer_allowed_does_not_go_on_as_the_guests_own(
    top: Topology, edge: Edge, mode: Mode
) -> None:
    """The guest sends into the ended connection: that begins none to the refused client."""
    top.serve(top.guest1, 81, b"x" * 3000)
    edge.apply(leaving(edge, mode, ports=["tcp/81"]))
    with connection(top.client, ON_LINK, 81) as tcp:
        assert echoes(tcp)
        top.router.nft(
            "table ip deaf { chain forward { type filter hook forward priority 0;"
            f" ip saddr {ON_LINK} drop; }}; }}"
        )
        tcp.send(b"what comes back is sent again and again")
        assert silent(echoes, tcp)
        edge.change(
            grant=[
                edge.mapping(
                    ON_LINK,
                    mode=mode,
                    egress=Egress.PUBLIC,
                    ports=["tcp/81"],
                    allow=["198.51.100.8"],
                )
            ]
        )
        top.router.run("nft delete table ip deaf")
        assert silent(echoes, tcp)
        tcp.settimeout(2)
        with pytest.raises(TimeoutError):  # the guest has sent again by then
            tcp.recv(100)


def test_guests_that_share_an_address_leave_by_it(
    top: Topology, edge: Edge, server: EchoServer
) -> None:
    """Also from the same port to the same server."""
    top.guest2.run("ip addr add 192.168.122.60/24 dev eth0")
    edge.apply(
        leaving(edge, Mode.NAT, ON_LINK, 1, ports=["tcp/80"]),
        edge.mapping(ON_LINK, 2, "192.168.122.60", egress=Egress.PUBLIC, ports=["tcp/81:80"]),
    )
    with (
        top.guest1.socket(socket.SOCK_DGRAM) as one,
        top.guest2.socket(socket.SOCK_DGRAM) as other,
    ):
        one.bind(("192.168.122.50", 5000))
        other.bind(("192.168.122.60", 5000))
        for socket_ in (one, other, one):
            socket_.connect((CLIENT, 7))
            assert answer(socket_).startswith(b"internet ")
    assert {source for source, _ in server.peers} == {ON_LINK}


def test_of_several_addresses_the_first_is_the_source(
    top: Topology, edge: Edge, server: EchoServer
) -> None:
    first, second = leaving(edge, Mode.NAT, CONFIGURED), leaving(edge, Mode.NAT, ON_LINK)
    edge.apply(first, second, edge.mapping(ROUTED))
    assert asks(top.guest1, CLIENT, 7)
    assert {source for source, _ in server.peers} == {CONFIGURED}
    edge.change(withdraw=[first])
    assert asks(top.guest1, CLIENT, 7)
    assert server.peers[-1][0] == ON_LINK
    edge.change(grant=[first])
    assert asks(top.guest1, CLIENT, 7)
    assert server.peers[-1][0] == CONFIGURED
    assert edge.apply() == []


@MODES
def test_it_follows_a_moving_host(
    top: Topology, edge: Edge, server: EchoServer, mode: Mode
) -> None:
    edge.apply(leaving(edge, mode))
    with connection(top.guest1, CLIENT, 7) as tcp:
        assert echoes(tcp)
        top.home1.run(
            "ip link set zt0 address 02:00:00:00:aa:bb",
            "ip route replace default via 192.168.193.222 dev zt0 table 100",
        )
        edge.inside.run("ip neigh flush dev zt0")
        assert silent(echoes, tcp)
        edge.macs[1] = "02:00:00:00:aa:bb"
        edge.change(grant=[edge.mapping(ON_LINK, mode=mode, egress=Egress.PUBLIC)])
        assert eventually(lambda: echoes(tcp, wait=SILENCE))
    assert edge.apply() == []


@MODES
@KINDS
def test_errors_about_it_reach_the_guest(
    top: Topology, edge: Edge, mode: Mode, kind: dict[str, list[str]]
) -> None:
    edge.apply(leaving(edge, mode, **kind))
    with top.guest1.socket(socket.SOCK_DGRAM) as one:
        one.connect((CLIENT, 9))
        one.send(b"nobody listens there")
        with pytest.raises(ConnectionRefusedError):
            one.recv(100)


def test_a_flushed_ruleset_comes_back_under_it(
    top: Topology, edge: Edge, server: EchoServer
) -> None:
    edge.apply(leaving(edge, Mode.NAT))
    with connection(top.guest1, CLIENT, 7) as tcp:
        assert echoes(tcp)
        edge.inside.run("nft flush ruleset")
        assert edge.drifted()
        edge.apply()
        assert echoes(tcp)


@MODES
@KINDS
def test_it_counts(
    top: Topology, edge: Edge, server: EchoServer, mode: Mode, kind: dict[str, list[str]]
) -> None:
    one = leaving(edge, mode, **kind)
    edge.apply(one)
    assert reaches(top.guest1, CLIENT, 7)
    found = edge.traffic(one)
    assert found.packets_in > 2
    assert found.packets_out > 2
