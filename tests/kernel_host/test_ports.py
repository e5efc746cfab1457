"""Only the ports of a mapping, in mode NAT: the edge has translated them already."""

import socket

import pytest

from tests.kernel_host.home import (
    CLIENT,
    GUEST,
    LONELY,
    OTHER_PORT,
    PORT,
    PUBLIC,
    SHARED,
    SIBLING,
    Home,
    Spoken,
    echoes,
    plane,
    rule,
)

pytestmark = [pytest.mark.netns, pytest.mark.parametrize("version", [4, 6])]

TCP, UDP = f"tcp/{PORT}", f"udp/{PORT}"


def test_what_is_not_mapped_is_not_there(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(rule(GUEST, ports=[TCP])))
    public = PUBLIC[GUEST]
    assert home.reaches(GUEST)
    assert not home.answers("client", public, port=OTHER_PORT, seconds=0.5)
    with home.udp("client", public) as one:
        one.send(b"hello")
    assert not home.pings("client", public, seconds=0.5)
    assert home.heard("guest") == [CLIENT]
    assert home.other_echo.heard == []


def test_also_where_libvirt_would_reject_nothing(home: Home, dataplane: Spoken) -> None:
    """On an open network, where the host's owner lets everything pass."""
    host = home.spaces["host"]
    host.run("nft", "flush", "ruleset")
    try:
        home.inside["host"](dataplane.apply, plane(rule(GUEST, ports=[TCP])))
        assert home.reaches(GUEST)
        assert not home.answers("client", PUBLIC[GUEST], port=OTHER_PORT, seconds=0.5)
        assert not home.pings("client", PUBLIC[GUEST], seconds=0.5)
        assert home.other_echo.heard == []
    finally:
        home.inside["host"](dataplane.apply, None)
        home.load_rules()


def test_ranges_of_both_protocols(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(rule(GUEST, ports=["tcp/8000-8080", "udp/8080"])))
    assert home.reaches(GUEST)
    assert not home.answers("client", PUBLIC[GUEST], port=OTHER_PORT, seconds=0.5)
    with home.udp("client", PUBLIC[GUEST]) as one:
        assert echoes(one)
    assert home.heard("guest") == [CLIENT, CLIENT]


def test_guests_share_an_address_by_ports(home: Home, dataplane: Spoken) -> None:
    """Public ports are the edge's matter; here each guest's own count."""
    shared = plane(
        rule(GUEST, public=SHARED, ports=[f"tcp/80:{PORT}"]),
        rule(SIBLING, public=SHARED, ports=[f"tcp/81:{PORT}"]),
    )
    home.inside["host"](dataplane.apply, shared)
    assert home.answers("client", SHARED, port=80)
    assert home.heard("guest") == [CLIENT]
    assert home.answers("client", SHARED, port=81)
    assert home.heard("sibling") == [CLIENT]


def test_errors_about_its_connections_reach_the_guest(home: Home, dataplane: Spoken) -> None:
    """A client that went away says so, by the edge."""
    home.inside["host"](dataplane.apply, plane(rule(GUEST, ports=[UDP, "udp/9000"])))
    with home.open("guest", socket.SOCK_DGRAM) as server:
        server.bind(home.at(GUEST, 9000))
        with home.udp("client", PUBLIC[GUEST], 9000) as one:
            one.send(b"hello")
            _, peer = server.recvfrom(10)
        server.connect(peer)
        server.send(b"too late")
        with pytest.raises(ConnectionRefusedError):
            server.recv(10)


def test_a_port_that_goes_takes_its_connections_along(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    both = [TCP, f"tcp/{OTHER_PORT}"]
    inside(dataplane.apply, plane(rule(GUEST, ports=both)))
    with (
        home.tcp("client", PUBLIC[GUEST]) as kept,
        home.tcp("client", PUBLIC[GUEST], OTHER_PORT) as ended,
    ):
        assert echoes(kept)
        assert echoes(ended)
        lines = inside(dataplane.apply, plane(rule(GUEST, ports=[TCP])))
        assert any("1 connections" in line for line in lines)
        ended.settimeout(0.5)
        assert not echoes(ended)
        assert echoes(kept)


def test_a_whole_address_becomes_ports(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(rule(GUEST)))
    with (
        home.tcp("client", PUBLIC[GUEST]) as kept,
        home.udp("client", PUBLIC[GUEST]) as ended,
    ):
        assert echoes(kept)
        assert echoes(ended)
        inside(dataplane.apply, plane(rule(GUEST, ports=[TCP])))
        ended.settimeout(0.5)
        assert not echoes(ended)
        assert echoes(kept)
        inside(dataplane.apply, plane(rule(GUEST)))
        assert echoes(kept)


def test_ports_of_a_hidden_guest(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(rule(LONELY, "virbr1", hide=True, ports=[TCP])))
    assert home.reaches(LONELY)
    assert home.heard("lonely") == ["10.99.0.1"]
    assert not home.pings("client", PUBLIC[LONELY], seconds=0.5)
