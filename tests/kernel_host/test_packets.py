"""Where packets end, with real ones: from the edge, from the guest, past the mapping, and home."""

import socket
from contextlib import closing

import pytest

from tests.kernel_host.home import (
    CLIENT,
    EDGE_MAC,
    GUEST,
    HOST_AT_HOME,
    HOST_ON_LAN,
    HOST_ON_OVERLAY,
    LONELY,
    MEMBER,
    NEIGHBOUR,
    PORT,
    PUBLIC,
    Home,
    plane,
    read_exactly,
    rule,
)
from zthook.kernel.host import KernelHostDataplane

IP_RECVERR = 11

pytestmark = pytest.mark.netns

ALL = plane(
    rule(GUEST), rule(NEIGHBOUR, "br0", hide=True), rule(LONELY, "virbr1", hide=True)
)  # fmt: skip


@pytest.fixture
def mapped(home: Home, dataplane: KernelHostDataplane) -> KernelHostDataplane:
    home.inside["host"](dataplane.apply, ALL)
    return dataplane


def private_at_home(seen: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What left by the home line with a source that is not the host's own there."""
    return [one for one in seen if one[0] != HOST_AT_HOME]


def test_nothing_comes_in_without_a_mapping(home: Home) -> None:
    assert not home.answers("client", PUBLIC[GUEST], seconds=1)
    assert not home.answers("client", PUBLIC[LONELY], seconds=1)
    assert home.echo["guest"].heard == []


def test_the_guest_sees_the_client_and_answers_by_the_edge(
    home: Home, mapped: KernelHostDataplane
) -> None:
    with closing(home.leak()) as leak:
        assert home.reaches(GUEST)
        with home.udp("client", PUBLIC[GUEST]) as one:
            one.send(b"hello")
            assert one.recv(10) == b"hello"
        assert home.echo["guest"].heard == [CLIENT, CLIENT]
        assert leak.packets() == []


def test_a_long_transfer_comes_through_whole(home: Home, mapped: KernelHostDataplane) -> None:
    words = bytes(range(256)) * 2048
    with home.tcp("client", PUBLIC[GUEST]) as one:
        one.sendall(words)
        assert read_exactly(one, len(words)) == words


def test_hidden_guests_see_the_host(home: Home, mapped: KernelHostDataplane) -> None:
    """One whose router is another machine, and one that has no way out at all."""
    with closing(home.leak()) as leak:
        assert home.reaches(NEIGHBOUR)
        assert home.reaches(LONELY)
        assert home.echo["neighbour"].heard == [HOST_ON_LAN]
        assert home.echo["lonely"].heard == ["10.99.0.1"]
        assert leak.packets() == []


def test_without_hiding_such_a_guest_answers_past_the_host(
    home: Home, dataplane: KernelHostDataplane
) -> None:
    """The reason why these two are hidden; were it otherwise, the test above showed nothing."""
    home.inside["host"](dataplane.apply, plane(rule(NEIGHBOUR, "br0"), rule(LONELY, "virbr1")))
    assert not home.answers("client", PUBLIC[NEIGHBOUR], seconds=1)
    assert not home.answers("client", PUBLIC[LONELY], seconds=1)


def test_what_the_guest_begins_leaves_by_the_home_line(
    home: Home, mapped: KernelHostDataplane
) -> None:
    with closing(home.leak()) as leak:
        assert home.answers("guest", "192.0.2.1")
        assert home.echo["client"].heard == [HOST_AT_HOME]
        assert leak.packets() != []
        assert private_at_home(leak.packets()) == []


def test_the_guest_reaches_members_of_the_overlay(home: Home, mapped: KernelHostDataplane) -> None:
    """Masqueraded by libvirt, as before; the answers come from the member's own MAC."""
    assert home.answers("guest", MEMBER)
    assert home.echo["member"].heard == [HOST_ON_OVERLAY]


def test_the_hosts_own_traffic_is_as_before(home: Home, mapped: KernelHostDataplane) -> None:
    assert home.answers("host", "192.0.2.1")
    assert home.answers("host", MEMBER)
    assert home.answers("host", GUEST)
    assert home.answers("host", NEIGHBOUR)
    assert home.echo["client"].heard == [HOST_AT_HOME]
    assert home.echo["guest"].heard == ["192.168.122.1"]
    assert home.echo["neighbour"].heard == [HOST_ON_LAN]


def test_the_home_lan_is_left_alone(home: Home, mapped: KernelHostDataplane) -> None:
    """Also where it speaks to a hidden guest: bridged frames pass the same hooks."""
    assert home.answers("router", NEIGHBOUR)
    assert home.answers("neighbour", "10.20.0.1")
    assert home.echo["neighbour"].heard == ["10.20.0.1"]
    assert home.echo["router"].heard == [NEIGHBOUR]


def test_members_reach_what_is_not_mapped_as_before(
    home: Home, mapped: KernelHostDataplane
) -> None:
    home.spaces["router"].ip(f"route add 192.168.193.0/24 via {HOST_ON_LAN}")
    try:
        assert home.answers("member", "10.20.0.1")
    finally:
        home.spaces["router"].ip("route del 192.168.193.0/24")


def test_members_reach_no_guest_past_its_mapping(home: Home, mapped: KernelHostDataplane) -> None:
    for guest in PUBLIC:
        assert not home.answers("member", guest, seconds=0.5)
        with home.udp("member", guest) as one:
            one.send(b"hello")
    assert all(home.echo[name].heard == [] for name in ("guest", "lonely", "neighbour"))
    assert home.reaches(GUEST)
    assert home.echo["guest"].heard == [CLIENT]


def test_a_member_cannot_join_the_edges_connection(home: Home, mapped: KernelHostDataplane) -> None:
    """It sends what the client would send, to the same port, from its own MAC."""
    with home.udp("client", PUBLIC[GUEST]) as one:
        one.send(b"first")
        assert one.recv(10) == b"first"
        port = one.getsockname()[1]
        member = home.spaces["member"]
        member.ip(f"addr add {CLIENT}/32 dev lo")
        try:
            with home.inside["member"].socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
                forger.bind((CLIENT, port))
                forger.sendto(b"forged", (GUEST, PORT))
            one.send(b"second")
            assert one.recv(10) == b"second"
        finally:
            member.ip(f"addr del {CLIENT}/32 dev lo")
    assert home.echo["guest"].heard == [CLIENT, CLIENT]


def test_marks_of_others_survive(home: Home, mapped: KernelHostDataplane) -> None:
    host = home.spaces["host"]
    others = """
        table ip others {
            chain early { type filter hook prerouting priority -160; ct mark set ct mark | 0x40
                          meta mark set meta mark | 0x20; }
            chain late { type filter hook postrouting priority 0;
                         oifname "zt0" meta mark & 0x08000020 == 0x08000020 counter
                         oifname "virbr0" meta mark & 0x08000020 == 0x00000020 counter; }
        }
    """
    host.run("nft", "-f", "-", stdin=others)
    try:
        assert home.reaches(GUEST)
        listed = host.run("nft", "list", "chain", "ip", "others", "late").stdout
        assert listed.count("packets") == 2
        assert "packets 0" not in listed
        marks = host.run("conntrack", "-L", "-d", GUEST).stdout
        assert f"mark={0x08000040}" in marks
    finally:
        host.run("nft", "delete", "table", "ip", "others")


def test_the_client_hears_of_errors_by_the_edge(home: Home, mapped: KernelHostDataplane) -> None:
    """The host itself reports a packet whose time is over: not by the home line."""
    with home.udp("client", PUBLIC[GUEST]) as one, closing(home.leak()) as leak:
        one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        one.send(b"first")
        assert one.recv(10) == b"first"
        one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 2)
        one.send(b"dies at the host")
        with pytest.raises(OSError, match="No route to host"):
            one.recv(10)
        assert leak.packets() == []


def test_traffic_is_counted_by_guest(home: Home, mapped: KernelHostDataplane) -> None:
    inside = home.inside["host"]
    with home.udp("client", PUBLIC[GUEST]) as one:
        one.send(b"x" * 100)
        one.recv(200)
    assert home.answers("host", NEIGHBOUR)
    assert home.answers("guest", "192.0.2.1")
    counted = {str(address): traffic for address, traffic in inside(mapped.traffic).items()}
    assert (counted[GUEST].packets_in, counted[GUEST].bytes_in) == (1, 128)
    assert (counted[GUEST].packets_out, counted[GUEST].bytes_out) == (1, 128)
    assert counted[NEIGHBOUR].packets_in == counted[NEIGHBOUR].packets_out == 0


def test_another_edge_takes_over(home: Home, mapped: KernelHostDataplane) -> None:
    inside = home.inside["host"]
    inside(mapped.apply, plane(rule(GUEST), edge_mac="02:00:00:00:09:99"))
    assert not home.answers("client", PUBLIC[GUEST], seconds=0.5)
    inside(mapped.apply, plane(rule(GUEST), edge_mac=EDGE_MAC))
    assert home.reaches(GUEST)
