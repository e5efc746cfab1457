"""A guest that came by live migration speaks first: this host never saw the connection begin."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from tests.kernel_host.home import (
    CLIENT,
    EDGE,
    GUEST,
    HOST_AT_HOME,
    PORT,
    PUBLIC,
    ROUTED,
    SIBLING,
    Home,
    Spoken,
    echoes,
    plane,
    routed,
    rule,
)
from zthook.model.mappings import GuestRule, HostPlane
from zthook.model.publication import Egress

pytestmark = [pytest.mark.netns, pytest.mark.parametrize("version", [4, 6])]

PORTS = [f"tcp/7000:{PORT + 10}"]
MAPPED = {
    "nat": (rule(GUEST), PUBLIC[GUEST], PORT + 10),
    "nat ports": (rule(GUEST, ports=PORTS), PUBLIC[GUEST], PORT + 10),
    "nat egress": (
        rule(GUEST, public=PUBLIC[GUEST], egress=Egress.PUBLIC),
        PUBLIC[GUEST],
        PORT + 10,
    ),
    "routed": (routed(GUEST), ROUTED[GUEST], PORT + 10),
    "routed ports": (routed(GUEST, ports=PORTS), ROUTED[GUEST], 7000),
    "routed egress": (routed(GUEST, egress=Egress.PUBLIC), ROUTED[GUEST], PORT + 10),
}


def cases(*names: str) -> pytest.MarkDecorator:
    """With these mappings, and the address and port that the client asks."""
    return pytest.mark.parametrize(
        ("mapped", "public", "port"), [pytest.param(*MAPPED[name], id=name) for name in names]
    )


@contextmanager
def connected(home: Home, public: str, port: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The guest's end of a connection, and the client's."""
    with home.open("guest", socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(home.at(GUEST, PORT + 10))
        listener.listen()
        with home.tcp("client", public, port) as client:
            server, _ = listener.accept()
            with server:
                server.settimeout(3)
                yield server, client


def forget(home: Home) -> None:
    """What the host knows of connections: as of one that has just got the guest."""
    home.spaces["host"].run("conntrack", "-F", "-f", {4: "ipv4", 6: "ipv6"}[home.version])


@cases(*MAPPED)
def test_it_goes_on_by_the_edge(
    home: Home, dataplane: Spoken, mapped: GuestRule, public: str, port: int
) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(mapped))
    with connected(home, public, port) as (server, client), closing(home.leak()) as leak:
        for _ in range(2):
            forget(home)
            server.sendall(b"first")
            assert client.recv(10) == b"first"
            client.sendall(b"second")
            assert server.recv(10) == b"second"
        forget(home)
        client.sendall(b"third")
        assert server.recv(10) == b"third"
        server.sendall(b"fourth")
        assert client.recv(10) == b"fourth"
        assert CLIENT not in {destination for _, destination in leak.packets()}


@cases("nat", "routed", "routed ports")
def test_its_end_goes_by_the_edge_though_nothing_went_before(
    home: Home, dataplane: Spoken, mapped: GuestRule, public: str, port: int
) -> None:
    """Conntrack makes no connection of a packet that ends one."""
    inside = home.inside["host"]
    inside(dataplane.apply, plane(mapped))
    with connected(home, public, port) as (server, client), closing(home.leak()) as leak:
        forget(home)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # in one segment
        server.sendall(b"last")
        server.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b"last"
        assert client.recv(10) == b""
        client.sendall(b"bye")
        assert server.recv(10) == b"bye"
        assert CLIENT not in {destination for _, destination in leak.packets()}


def test_a_change_of_others_does_not_end_it(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    egress = routed(GUEST, egress=Egress.PUBLIC)
    inside(dataplane.apply, plane(egress))
    with (
        connected(home, ROUTED[GUEST], PORT + 10) as (server, client),
        home.tcp("guest", CLIENT) as own,
    ):
        forget(home)
        server.sendall(b"first")
        assert client.recv(10) == b"first"
        inside(dataplane.apply, plane(routed(GUEST)))
        server.sendall(b"second")
        assert client.recv(10) == b"second"
        assert echoes(own)  # nobody could tell it from the other any more


def test_what_the_guest_begins_goes_home(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(rule(GUEST, ports=PORTS)))
    with home.tcp("guest", CLIENT) as one:
        forget(home)
        assert echoes(one)
        assert home.answers("guest", CLIENT)
    assert home.heard("client") == [HOST_AT_HOME] * 2


def test_what_is_near_is_found_there(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(rule(GUEST)))
    with home.tcp("guest", "10.20.0.1") as one:
        forget(home)
        assert echoes(one)


def test_unmapped_it_ends(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(rule(GUEST)))
    with connected(home, PUBLIC[GUEST], PORT + 10) as (server, client):
        forget(home)
        server.sendall(b"first")
        assert client.recv(10) == b"first"
        inside(dataplane.apply, None)
        server.sendall(b"second")
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(10)


def test_the_edge_as_the_client(home: Home, dataplane: Spoken) -> None:
    """Where it hides clients behind its own overlay address."""
    home.inside["host"](dataplane.apply, plane(rule(GUEST)))
    edge = home.spaces["edge"]
    edge.run("nft", "-f", "-", stdin=HIDING)
    try:
        with connected(home, PUBLIC[GUEST], PORT + 10) as (server, client):
            assert home.name(server.getpeername())[0] == EDGE
            forget(home)
            server.sendall(b"first")
            assert client.recv(10) == b"first"
    finally:
        edge.run("nft", "delete", "table", "inet", "hiding")


HIDING = """
table inet hiding {
    chain leaving {
        type nat hook postrouting priority srcnat - 1;
        oifname "zt0" ct status dnat masquerade
    }
}
"""


@pytest.mark.parametrize("others", [(), (rule(SIBLING),)], ids=["alone", "beside another"])
def test_while_its_address_is_not_known_it_does_not_go_on_by_the_home_line(
    home: Home, dataplane: Spoken, others: tuple[GuestRule, ...]
) -> None:
    """The client never heard of that address and would end it; later it goes on by the edge."""
    inside = home.inside["host"]
    inside(dataplane.apply, plane(rule(GUEST)))
    with (
        connected(home, PUBLIC[GUEST], PORT + 10) as (server, client),
        closing(home.leak()) as leak,
    ):
        inside(dataplane.apply, newcomer(home, *others))
        forget(home)
        server.sendall(b"first")
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(10)
        client.settimeout(3)
        inside(dataplane.apply, plane(rule(GUEST), *others))
        assert client.recv(10) == b"first"
        assert CLIENT not in {destination for _, destination in leak.packets()}


def test_what_a_newcomer_begins_goes_home_as_ever(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, newcomer(home))
    with home.tcp("guest", CLIENT) as one:
        assert echoes(one)
        assert home.answers("guest", CLIENT)
    assert home.heard("client") == [HOST_AT_HOME] * 2


def newcomer(home: Home, *others: GuestRule) -> HostPlane:
    """The guest came, and nobody knows its address."""
    mac = home.spaces["guest"].run("cat", "/sys/class/net/eth0/address").stdout.strip()
    return replace(plane(*others), newcomers=frozenset({("virbr0", mac)}))
