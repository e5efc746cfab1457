"""Ports and clients: who reaches which guest on an address that several may share."""

import socket
import struct

import pytest

from tests.kernel.driver import CONFIGURED, ON_LINK, ROUTED, TRANSLATED, Edge, both
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

pytestmark = pytest.mark.netns

OTHER = "198.51.100.8"
"""The client's second address."""


@pytest.mark.parametrize("public", [CONFIGURED, ON_LINK, ROUTED, TRANSLATED])
@pytest.mark.parametrize("hide", [False, True], ids=["keep", "hide"])
def test_only_its_ports_reach_a_guest(top: Topology, edge: Edge, public: str, hide: bool) -> None:
    for port in (81, 1003, 5000):
        top.serve(top.guest1, port, b"port %d " % port)
    edge.apply(
        edge.mapping(
            public, hide=hide, ports=["tcp/80", "tcp/8081:81", "udp/1000-1010", "tcp/4998-5001"]
        )
    )
    assert tells(top.client, public, 80).startswith(b"guest1 ")
    assert tells(top.client, public, 8081).startswith(b"port 81 ")
    assert asks(top.client, public, 1003).startswith(b"port 1003 ")
    assert tells(top.client, public, 5000).startswith(b"port 5000 ")
    sources = {source for source, _ in top.server1.peers}
    assert sources == {"192.168.193.222" if hide else "198.51.100.7"}
    top.server1.peers.clear()
    assert silent(tells, top.client, public, 81)
    assert silent(asks, top.client, public, 81)
    assert silent(tells, top.client, public, 1003), "the same port of another protocol"
    assert not asks(top.client, public, 80, wait=SILENCE).startswith(b"guest1")
    if public == CONFIGURED:
        assert pings(top.client, public), "the edge itself"
    else:
        assert silent(pings, top.client, public)


def test_a_range_of_translated_ports(top: Topology, edge: Edge) -> None:
    for port in (2000, 2010, 2011):
        top.serve(top.guest1, port, b"port %d " % port)
    edge.apply(edge.mapping(ON_LINK, ports=["tcp/1000-1010:2000"]))
    assert tells(top.client, ON_LINK, 1000).startswith(b"port 2000 ")
    assert tells(top.client, ON_LINK, 1010).startswith(b"port 2010 ")
    for port in (999, 1011, 2000):
        assert silent(reaches, top.client, ON_LINK, port)


@both
def test_guests_of_several_hosts_share_an_address(top: Topology, edge: Edge) -> None:
    for guest, word in ((top.guest1, b"guest1 "), (top.guest2, b"guest2 ")):
        guest.run("ip addr add 192.168.122.60/24 dev eth0 preferred_lft 0")
        top.serve(guest, 81, word)
    first = edge.mapping(CONFIGURED, 1, "192.168.122.50", ports=["tcp/80", "udp/80:81"])
    second = edge.mapping(CONFIGURED, 2, "192.168.122.60", ports=["tcp/81:80", "tcp/443:81"])
    edge.apply(first, second)
    assert tells(top.client, CONFIGURED, 80).startswith(b"guest1 ")
    assert tells(top.client, CONFIGURED, 81).startswith(b"guest2 ")
    assert tells(top.client, CONFIGURED, 443).startswith(b"guest2 ")
    assert asks(top.client, CONFIGURED, 80).startswith(b"guest1 ")
    with (
        connection(top.client, CONFIGURED, 80) as stays,
        connection(top.client, CONFIGURED, 81) as goes,
    ):
        assert echoes(stays)
        assert echoes(goes)
        edge.change(withdraw=[second])
        assert echoes(stays)
        assert silent(echoes, goes)
    assert silent(reaches, top.client, CONFIGURED, 443)
    assert edge.apply() == []
    edge.change(withdraw=[first])
    assert tells(top.client, CONFIGURED, 80).startswith(b"edge "), "it is the edge's own again"


def test_the_edges_own_services_stay_beside_a_part(top: Topology, edge: Edge) -> None:
    top.serve(edge.inside, 8022, b"edge's ssh ")
    with connection(top.client, CONFIGURED, 8022) as own:
        assert echoes(own)
        edge.apply(edge.mapping(CONFIGURED, ports=["tcp/80"]))
        assert answer(own).startswith(b"edge's ssh ")
        assert tells(top.client, CONFIGURED, 80).startswith(b"guest1 ")
    assert tells(top.client, CONFIGURED, 8022).startswith(b"edge's ssh ")


def test_what_the_edge_served_on_a_granted_port_ends(top: Topology, edge: Edge) -> None:
    edge.apply()
    with connection(top.client, CONFIGURED, 80) as own:
        assert answer(own).startswith(b"edge ")
        edge.change(grant=[edge.mapping(CONFIGURED, ports=["tcp/80"])])
        assert silent(echoes, own)
    assert tells(top.client, CONFIGURED, 80).startswith(b"guest1 ")


@both
@pytest.mark.parametrize("ports", [[], ["tcp/80", "udp/70-90"]], ids=["whole", "ports"])
@pytest.mark.parametrize("hide", [False, True], ids=["keep", "hide"])
def test_only_allowed_clients_reach_a_guest(
    top: Topology, edge: Edge, ports: list[str], hide: bool
) -> None:
    edge.apply(
        edge.mapping(ON_LINK, ports=ports, hide=hide, allow=["198.51.100.8/32", "10.0.0.0/8"]),
        edge.mapping("203.0.113.31", private="192.168.122.51"),
    )
    assert reaches(top.client, ON_LINK, source=OTHER)
    assert asks(top.client, ON_LINK, source=OTHER)
    top.server1.peers.clear()
    assert silent(reaches, top.client, ON_LINK)
    assert silent(asks, top.client, ON_LINK)
    assert silent(pings, top.client, ON_LINK)
    assert not top.server1.peers, "nothing of it comes to the guest"
    assert reaches(top.client, "203.0.113.31"), "which has another address for everybody"


def test_prefixes_of_the_other_family_allow_nobody(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(ON_LINK, allow=["2001:db8::/32"]))
    assert silent(reaches, top.client, ON_LINK)


@both
def test_a_change_ends_only_what_is_no_longer_allowed(top: Topology, edge: Edge) -> None:
    top.serve(top.guest1, 81, b"port 81 ")
    wide = edge.mapping(CONFIGURED, ports=["tcp/80", "tcp/81"])
    edge.apply(wide)
    with (
        connection(top.client, CONFIGURED, 80) as http,
        connection(top.client, CONFIGURED, 81) as other_port,
        connection(top.client, CONFIGURED, 80, source=OTHER) as other_client,
    ):
        for one in (http, other_port, other_client):
            assert echoes(one)
        fewer_ports = edge.mapping(CONFIGURED, ports=["tcp/80"])
        edge.change(grant=[fewer_ports])
        assert echoes(http)
        assert echoes(other_client)
        assert silent(echoes, other_port)
        fewer_clients = edge.mapping(CONFIGURED, ports=["tcp/80"], allow=["198.51.100.7"])
        edge.change(grant=[fewer_clients])
        assert echoes(http)
        assert silent(echoes, other_client)
        assert not edge.drifted()
        assert edge.apply() == []
        edge.change(grant=[edge.mapping(CONFIGURED)])
        assert echoes(http), "more is allowed now, and what was allowed goes on"
        edge.apply(edge.mapping(CONFIGURED, ports=["tcp/81"]))
        assert silent(echoes, http), "a full pass ends as much"
    assert edge.apply() == []


def test_a_port_that_leads_elsewhere_ends_what_it_led_to(top: Topology, edge: Edge) -> None:
    top.serve(top.guest1, 81, b"port 81 ")
    edge.apply(edge.mapping(CONFIGURED, ports=["tcp/80"]))
    with connection(top.client, CONFIGURED, 80) as before:
        assert answer(before).startswith(b"guest1 ")
        edge.change(grant=[edge.mapping(CONFIGURED, ports=["tcp/80:81"])])
        assert silent(echoes, before)
    assert tells(top.client, CONFIGURED, 80).startswith(b"port 81 ")


def test_a_grant_displaces_what_is_in_its_way(top: Topology, edge: Edge) -> None:
    top.guest2.run("ip addr add 192.168.122.60/24 dev eth0")
    part = edge.mapping(CONFIGURED, ports=["tcp/80"])
    other = edge.mapping(CONFIGURED, 2, "192.168.122.60", ports=["tcp/81:80"])
    edge.apply(part, other)
    with connection(top.client, CONFIGURED, 81) as tcp:
        assert echoes(tcp)
        whole = edge.mapping(CONFIGURED, 1, "192.168.122.51")
        edge.change(grant=[whole])
        assert silent(echoes, tcp)
    assert edge.apply(whole) == []


def test_connections_follow_a_moving_host(top: Topology, edge: Edge) -> None:
    """Its overlay address and MAC change, its ports and clients stay."""
    part = {"ports": ["tcp/80", "tcp/4000-4010"], "allow": ["198.51.100.0/24"]}
    edge.apply(edge.mapping(CONFIGURED, **part))
    with connection(top.client, CONFIGURED, 80) as tcp:
        assert echoes(tcp)
        top.home1.run(
            "ip link set zt0 address 02:00:00:00:aa:bb",
            "ip route replace default via 192.168.193.222 dev zt0 table 100",
        )
        edge.inside.run("ip neigh flush dev zt0")
        assert silent(echoes, tcp)
        edge.macs[1] = "02:00:00:00:aa:bb"
        edge.change(grant=[edge.mapping(CONFIGURED, **part)])
        assert eventually(lambda: echoes(tcp, wait=SILENCE))
    assert edge.apply() == []


def test_other_members_answer_nobody(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(CONFIGURED, ports=["udp/5000"], allow=["198.51.100.0/24"]))
    with (
        top.client.socket(socket.SOCK_DGRAM) as client,
        top.guest1.socket(socket.SOCK_DGRAM) as holder,
        top.guest2.socket(socket.SOCK_DGRAM) as other,
    ):
        for guest in (holder, other):
            guest.bind(("192.168.122.50", 5000))
        client.connect((CONFIGURED, 5000))
        client.send(b"open")
        assert eventually(lambda: holder.recv(100) == b"open")
        client.settimeout(SILENCE)
        other.sendto(b"from another member", client.getsockname())
        with pytest.raises(TimeoutError):
            client.recv(100)
        holder.sendto(b"from the holder", client.getsockname())
        assert client.recv(100) == b"from the holder"


def test_guests_may_report_errors_of_parts(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(CONFIGURED, ports=["udp/9:19"], allow=["198.51.100.0/24"]))
    with top.client.socket(socket.SOCK_DGRAM) as one:
        one.connect((CONFIGURED, 9))
        one.send(b"nobody listens there")
        with pytest.raises(ConnectionRefusedError):
            one.recv(100)


@both
def test_the_guest_learns_of_a_narrow_path_to_an_allowed_client(top: Topology, edge: Edge) -> None:
    """The router that reports it is none of the clients."""
    top.serve(top.guest1, 81, b"x" * 1300)
    top.router.run("ip link set client mtu 1280")
    edge.apply(edge.mapping(ON_LINK, ports=["udp/81"], allow=["198.51.100.7/32"]))
    with top.client.socket(socket.SOCK_DGRAM) as one:
        one.bind(("198.51.100.7", 0))
        one.connect((ON_LINK, 81))
        assert eventually(lambda: len(answer(one, wait=SILENCE)) > 1300)


def test_fragments_reach_a_port(top: Topology, edge: Edge) -> None:
    """Only the first of them has ports."""
    edge.apply(edge.mapping(ON_LINK, ports=["udp/80"], allow=["198.51.100.0/24"]))
    with top.client.socket(socket.SOCK_DGRAM) as one:
        one.connect((ON_LINK, 80))
        assert answer(one, b"y" * 5000) == b"guest1 " + b"y" * 5000


def test_traffic_is_told_for_each_guest_of_an_address(top: Topology, edge: Edge) -> None:
    top.guest2.run("ip addr add 192.168.122.60/24 dev eth0")
    first = edge.mapping(CONFIGURED, 1, ports=["tcp/80"], allow=["198.51.100.7"])
    second = edge.mapping(CONFIGURED, 2, "192.168.122.60", ports=["tcp/81:80"])
    edge.apply(first, second)
    assert silent(reaches, top.client, CONFIGURED, 80, source=OTHER)
    assert edge.traffic(first).packets_in == 0, "what is dropped does not count"
    assert reaches(top.client, CONFIGURED, 80)
    one, other = edge.traffic(first), edge.traffic(second)
    assert one.packets_in > 2
    assert one.packets_out > 2
    assert one.bytes_in > one.packets_in * 40
    assert other.packets_in == other.packets_out == 0


def test_a_ping_by_another_kind_is_no_error(top: Topology, edge: Edge) -> None:
    """Nobody gets through a part with an ICMP error that belongs to no connection."""
    edge.apply(edge.mapping(ON_LINK, ports=["tcp/80"]))
    with (
        top.client.socket(socket.SOCK_RAW, socket.IPPROTO_ICMP) as client,
        top.guest1.socket(socket.SOCK_RAW, socket.IPPROTO_ICMP) as guest,
    ):
        inner = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, *[bytes(4)] * 2)
        client.sendto(struct.pack("!BBHI", 3, 3, 0, 0) + inner + bytes(8), (ON_LINK, 0))
        guest.settimeout(SILENCE)
        with pytest.raises(TimeoutError):
            guest.recv(100)
