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
    PUBLIC,
    Home,
    Spoken,
    plane,
    read_exactly,
    rule,
)

BROUGHT = 0x08000040
TELL_ERRORS = {4: (socket.IPPROTO_IP, 11), 6: (socket.IPPROTO_IPV6, 25)}
HOPS = {4: (socket.IPPROTO_IP, socket.IP_TTL), 6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)}
UDP_HEADERS = {4: 28, 6: 48}

pytestmark = [pytest.mark.netns, pytest.mark.parametrize("version", [4, 6])]

ALL = plane(
    rule(GUEST), rule(NEIGHBOUR, "br0", hide=True), rule(LONELY, "virbr1", hide=True)
)  # fmt: skip


@pytest.fixture
def mapped(home: Home, dataplane: Spoken) -> Spoken:
    home.inside["host"](dataplane.apply, ALL)
    return dataplane


def private_at_home(seen: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What left by the home line with a source that is not the host's own there."""
    return [one for one in seen if one[0] != HOST_AT_HOME]


def test_nothing_comes_in_without_a_mapping(home: Home) -> None:
    assert not home.answers("client", PUBLIC[GUEST], seconds=1)
    assert not home.answers("client", PUBLIC[LONELY], seconds=1)
    assert home.heard("guest") == []


def test_the_guest_sees_the_client_and_answers_by_the_edge(home: Home, mapped: Spoken) -> None:
    with closing(home.leak()) as leak:
        assert home.reaches(GUEST)
        with home.udp("client", PUBLIC[GUEST]) as one:
            one.send(b"hello")
            assert one.recv(10) == b"hello"
        assert home.heard("guest") == [CLIENT, CLIENT]
        assert leak.packets() == []


def test_a_long_transfer_comes_through_whole(home: Home, mapped: Spoken) -> None:
    words = bytes(range(256)) * 2048
    with home.tcp("client", PUBLIC[GUEST]) as one:
        one.sendall(words)
        assert read_exactly(one, len(words)) == words


def test_hidden_guests_see_the_host(home: Home, mapped: Spoken) -> None:
    """One whose router is another machine, and one that has no way out at all."""
    with closing(home.leak()) as leak:
        assert home.reaches(NEIGHBOUR)
        assert home.reaches(LONELY)
        assert home.heard("neighbour") == [HOST_ON_LAN]
        assert home.heard("lonely") == ["10.99.0.1"]
        assert leak.packets() == []


def test_without_hiding_such_a_guest_answers_past_the_host(home: Home, dataplane: Spoken) -> None:
    """The reason why these two are hidden; were it otherwise, the test above showed nothing."""
    home.inside["host"](dataplane.apply, plane(rule(NEIGHBOUR, "br0"), rule(LONELY, "virbr1")))
    assert not home.answers("client", PUBLIC[NEIGHBOUR], seconds=1)
    assert not home.answers("client", PUBLIC[LONELY], seconds=1)


def test_what_the_guest_begins_leaves_by_the_home_line(home: Home, mapped: Spoken) -> None:
    with closing(home.leak()) as leak:
        assert home.answers("guest", "192.0.2.1")
        assert home.heard("client") == [HOST_AT_HOME]
        assert leak.packets() != []
        assert private_at_home(leak.packets()) == []


def test_the_guest_reaches_members_of_the_overlay(home: Home, mapped: Spoken) -> None:
    """Masqueraded by libvirt, as before; the answers come from the member's own MAC."""
    assert home.answers("guest", MEMBER)
    assert home.heard("member") == [HOST_ON_OVERLAY]


def test_the_hosts_own_traffic_is_as_before(home: Home, mapped: Spoken) -> None:
    assert home.answers("host", "192.0.2.1")
    assert home.answers("host", MEMBER)
    assert home.answers("host", GUEST)
    assert home.answers("host", NEIGHBOUR)
    assert home.heard("client") == [HOST_AT_HOME]
    assert home.heard("guest") == ["192.168.122.1"]
    assert home.heard("neighbour") == [HOST_ON_LAN]


def test_the_home_lan_is_left_alone(home: Home, mapped: Spoken) -> None:
    """Also where it speaks to a hidden guest: bridged frames pass the same hooks."""
    assert home.answers("router", NEIGHBOUR)
    assert home.answers("neighbour", "10.20.0.1")
    assert home.heard("neighbour") == ["10.20.0.1"]
    assert home.heard("router") == [NEIGHBOUR]


def test_members_reach_what_is_not_mapped_as_before(home: Home, mapped: Spoken) -> None:
    home.ip("router", f"route add 192.168.193.0/24 via {HOST_ON_LAN}")
    try:
        assert home.answers("member", "10.20.0.1")
    finally:
        home.ip("router", "route del 192.168.193.0/24")


def test_members_reach_no_guest_past_its_mapping(home: Home, mapped: Spoken) -> None:
    for guest in PUBLIC:
        assert not home.answers("member", guest, seconds=0.5)
        with home.udp("member", guest) as one:
            one.send(b"hello")
    assert all(home.heard(name) == [] for name in ("guest", "lonely", "neighbour"))
    assert home.reaches(GUEST)
    assert home.heard("guest") == [CLIENT]


def test_a_member_cannot_join_the_edges_connection(home: Home, mapped: Spoken) -> None:
    """It sends what the client would send, to the same port, from its own MAC."""
    with home.udp("client", PUBLIC[GUEST]) as one:
        one.send(b"first")
        assert one.recv(10) == b"first"
        port = one.getsockname()[1]
        home.ip("member", f"addr add {CLIENT}/32 dev lo")
        try:
            with home.open("member", socket.SOCK_DGRAM) as forger:
                forger.bind(home.at(CLIENT, port))
                forger.sendto(b"forged", home.at(GUEST))
            one.send(b"second")
            assert one.recv(10) == b"second"
        finally:
            home.ip("member", f"addr del {CLIENT}/32 dev lo")
    assert home.heard("guest") == [CLIENT, CLIENT]


def test_marks_of_others_survive(home: Home, mapped: Spoken) -> None:
    host = home.spaces["host"]
    others = """
        table inet others {
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
        listed = host.run("nft", "list", "chain", "inet", "others", "late").stdout
        assert listed.count("packets") == 2
        assert "packets 0" not in listed
        marks = host.run("conntrack", "-L", "-f", f"ipv{home.version}", "-m", str(BROUGHT)).stdout
        assert f"mark={BROUGHT}" in marks
    finally:
        host.run("nft", "delete", "table", "inet", "others")


def test_the_client_hears_of_errors_by_the_edge(home: Home, mapped: Spoken) -> None:
    """The host itself reports a packet whose time is over: not by the home line."""
    with home.udp("client", PUBLIC[GUEST]) as one, closing(home.leak()) as leak:
        one.setsockopt(*TELL_ERRORS[home.version], 1)
        one.send(b"first")
        assert one.recv(10) == b"first"
        one.setsockopt(*HOPS[home.version], 2)
        one.send(b"dies at the host")
        with pytest.raises(OSError, match="No route to host"):
            one.recv(10)
        assert leak.packets() == []


def test_traffic_is_counted_by_guest(home: Home, mapped: Spoken) -> None:
    inside = home.inside["host"]
    with home.udp("client", PUBLIC[GUEST]) as one:
        one.send(b"x" * 100)
        one.recv(200)
    assert home.answers("host", NEIGHBOUR)
    assert home.answers("guest", "192.0.2.1")
    counted = {home.told(str(one)): traffic for one, traffic in inside(mapped.traffic).items()}
    size = 100 + UDP_HEADERS[home.version]
    assert (counted[GUEST].packets_in, counted[GUEST].bytes_in) == (1, size)
    assert (counted[GUEST].packets_out, counted[GUEST].bytes_out) == (1, size)
    assert counted[NEIGHBOUR].packets_in == counted[NEIGHBOUR].packets_out == 0


def test_another_edge_takes_over(home: Home, mapped: Spoken) -> None:
    inside = home.inside["host"]
    inside(mapped.apply, plane(rule(GUEST), edge_mac="02:00:00:00:09:99"))
    assert not home.answers("client", PUBLIC[GUEST], seconds=0.5)
    inside(mapped.apply, plane(rule(GUEST), edge_mac=EDGE_MAC))
    assert home.reaches(GUEST)
