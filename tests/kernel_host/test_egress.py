"""egress="public": what a guest begins leaves by the edge, and nothing else of the host does."""

import socket
from contextlib import closing

import pytest

from tests.kernel_host.home import (
    CLIENT,
    EDGE,
    GUEST,
    HOST_AT_HOME,
    HOST_ON_LAN,
    HOST_ON_OVERLAY,
    MEMBER,
    NEIGHBOUR,
    POOLS,
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
from tests.kernel_host.overlay import lose_overlay, regain_overlay
from zthook.model.mappings import GuestRule
from zthook.model.publication import Egress

pytestmark = [pytest.mark.netns, pytest.mark.parametrize("version", [4, 6])]

NAT = rule(GUEST, public=PUBLIC[GUEST], egress=Egress.PUBLIC)
ONLY_ROUTED = routed(GUEST, egress=Egress.PUBLIC)
BOTH_MODES = pytest.mark.parametrize(
    ("mapped", "public"),
    [(NAT, PUBLIC[GUEST]), (ONLY_ROUTED, ROUTED[GUEST])],
    ids=["nat", "routed"],
)


@BOTH_MODES
def test_the_internet_sees_the_public_address(
    home: Home, dataplane: Spoken, mapped: GuestRule, public: str
) -> None:
    home.inside["host"](dataplane.apply, plane(mapped, pools=POOLS))
    with closing(home.leak()) as leak:
        assert home.answers("guest", CLIENT)
        with home.udp("guest", CLIENT) as one:
            assert echoes(one)
        assert home.pings("guest", CLIENT)
        assert home.heard("client") == [public, public]
        assert home.answers("client", public)
        assert leak.packets() == []


@BOTH_MODES
def test_what_is_near_stays_near(
    home: Home, dataplane: Spoken, mapped: GuestRule, public: str
) -> None:
    """The LAN, the host, the sibling, members of the overlay and the edge's own address."""
    home.inside["host"](dataplane.apply, plane(mapped, pools=POOLS))
    assert home.answers("guest", "10.20.0.1")
    assert home.heard("router") == [HOST_ON_LAN]
    assert home.answers("guest", "192.168.122.1")
    assert home.answers("guest", HOST_AT_HOME)
    assert home.heard("host") == [GUEST, GUEST]
    assert home.answers("guest", SIBLING)
    assert home.answers("guest", MEMBER)
    assert home.heard("member") == [HOST_ON_OVERLAY]
    assert home.answers("guest", EDGE)
    assert home.heard("edge") == [HOST_ON_OVERLAY]


def test_what_is_on_the_home_lines_own_network_stays_there(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(NAT))
    assert home.answers("guest", "192.0.2.1")
    assert home.heard("client") == [HOST_AT_HOME]


def test_others_go_home(home: Home, dataplane: Spoken) -> None:
    """A sibling, one whose address it takes for a moment, and the host itself."""
    home.inside["host"](dataplane.apply, plane(NAT, rule(SIBLING, public=PUBLIC[SIBLING])))
    assert home.answers("sibling", CLIENT)
    assert home.answers("host", CLIENT)
    assert home.heard("client") == [HOST_AT_HOME, HOST_AT_HOME]


def test_before_it_is_active_the_guest_goes_home(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(rule(GUEST, egress=Egress.PUBLIC)))
    assert home.answers("guest", CLIENT)
    assert home.heard("client") == [HOST_AT_HOME]


def test_what_had_begun_by_the_home_line_goes_on_there(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(rule(GUEST, public=PUBLIC[GUEST])))
    with home.tcp("guest", CLIENT) as tcp, home.udp("guest", CLIENT) as udp:
        assert echoes(tcp)
        assert echoes(udp)
        inside(dataplane.apply, plane(NAT))
        assert echoes(tcp)
        assert echoes(udp)
        assert set(home.heard("client")) == {HOST_AT_HOME}
        assert home.answers("guest", CLIENT)
        assert home.heard("client") == [PUBLIC[GUEST]]


@BOTH_MODES
def test_turned_off_it_ends_exactly_its_connections(
    home: Home, dataplane: Spoken, mapped: GuestRule, public: str
) -> None:
    """No packet of theirs leaves by either way, though the guest goes on speaking."""
    inside = home.inside["host"]
    stays = rule(SIBLING, public=PUBLIC[SIBLING], egress=Egress.PUBLIC)
    inside(dataplane.apply, plane(mapped, stays, pools=POOLS))
    off = rule(GUEST, public=public) if mapped is NAT else routed(GUEST)
    with (
        home.tcp("guest", CLIENT) as tcp,
        home.udp("guest", CLIENT) as udp,
        home.tcp("sibling", CLIENT) as kept,
        home.tcp("client", public) as brought,
        closing(home.leak()) as leak,
    ):
        for one in (tcp, udp, kept, brought):
            assert echoes(one)
        home.heard("client")
        lines = inside(dataplane.apply, plane(off, stays, pools=POOLS))
        assert any("2 connections" in line for line in lines)
        tcp.settimeout(1)
        assert not echoes(tcp)
        assert echoes(kept)
        assert echoes(brought)
        assert leak.packets() == []
        assert inside(dataplane.apply, plane(off, stays, pools=POOLS)) == []
        udp.send(b"a new one now")
        assert udp.recv(20) == b"a new one now"
        assert home.heard("client") == [HOST_AT_HOME]
        successor = home.dataplane()
        inside(successor.apply, plane(off, stays, pools=POOLS))
        inside(successor.close)
        assert not echoes(tcp)


def test_unmapping_ends_what_the_guest_began(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    stays = rule(SIBLING, public=PUBLIC[SIBLING], egress=Egress.PUBLIC)
    inside(dataplane.apply, plane(NAT, stays))
    with home.udp("guest", CLIENT) as one, home.tcp("sibling", CLIENT) as kept:
        assert echoes(one)
        inside(dataplane.apply, plane(stays))
        assert echoes(kept)
        home.heard("client")
        assert echoes(one)
        assert home.heard("client") == [HOST_AT_HOME]


def test_without_the_overlay_it_goes_nowhere(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(NAT))
    with home.tcp("guest", CLIENT) as old, closing(home.leak()) as leak:
        assert echoes(old)
        lose_overlay(home)
        try:
            assert not home.answers("guest", CLIENT, seconds=0.5)
            inside(dataplane.apply, plane(NAT))
            assert not home.answers("guest", CLIENT, seconds=0.5)
            old.settimeout(0.5)
            assert not echoes(old)
            assert home.answers("sibling", CLIENT)
            assert {destination for _, destination in leak.packets()} == {CLIENT}
            assert home.heard("client") == [PUBLIC[GUEST], HOST_AT_HOME]
        finally:
            regain_overlay(home)
        inside(dataplane.apply, plane(NAT))
        old.settimeout(10)
        assert old.recv(5) == b"hello"
        assert home.answers("guest", CLIENT)


def test_flushed_rules_and_routes_let_nothing_out_that_had_begun(
    home: Home, dataplane: Spoken
) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(NAT))
    with home.udp("guest", CLIENT) as one, closing(home.leak()) as leak:
        assert echoes(one)
        one.settimeout(0.3)
        for command in ("rule del preference 12302", "route flush table 12300"):
            home.ip("host", command)
            assert not echoes(one)
            assert leak.packets() == []
            assert inside(dataplane.drifted)
            assert inside(dataplane.apply, plane(NAT))
            assert echoes(one)


def test_with_ports_its_own_connections_have_any(home: Home, dataplane: Spoken) -> None:
    mapped = routed(GUEST, ports=[f"tcp/80:{PORT}"], egress=Egress.PUBLIC)
    home.inside["host"](dataplane.apply, plane(mapped))
    assert home.answers("guest", CLIENT)
    assert home.heard("client") == [ROUTED[GUEST]]
    assert home.answers("client", ROUTED[GUEST], port=80)


def test_nobody_else_answers(home: Home, dataplane: Spoken) -> None:
    """A member that knows addresses and ports sends what the other side would."""
    home.inside["host"](dataplane.apply, plane(ONLY_ROUTED))
    with home.udp("guest", CLIENT) as one:
        assert echoes(one)
        home.ip(
            "member",
            f"addr add {CLIENT}/32 dev lo",
            f"route add {ROUTED[GUEST]} via {HOST_ON_OVERLAY}",
        )
        try:
            port = one.getsockname()[1]
            with home.open("member", socket.SOCK_DGRAM) as forger:
                forger.bind(home.at(CLIENT, PORT + 1))
                forger.sendto(b"forged", home.at(ROUTED[GUEST], port))
                forger.sendto(b"forged", home.at(GUEST, port))
            one.send(b"true")
            assert one.recv(10) == b"true"
        finally:
            home.ip("member", f"addr del {CLIENT}/32 dev lo", f"route del {ROUTED[GUEST]}/32")


def test_a_spoofed_source_leaves_by_no_other_mapping(home: Home, dataplane: Spoken) -> None:
    """A neighbour on another bridge that takes the guest's address for its own."""
    home.inside["host"](dataplane.apply, plane(NAT, rule(NEIGHBOUR, "br0")))
    home.ip(
        "neighbour",
        f"addr add {GUEST}/32 dev eth0",
        f"route add {CLIENT}/32 via {HOST_ON_LAN} src {GUEST}",
    )
    try:
        with home.udp("neighbour", CLIENT) as one:
            one.send(b"spoofed")
        assert home.answers("guest", CLIENT)
        assert home.heard("client").count(PUBLIC[GUEST]) == 1
    finally:
        home.ip("neighbour", f"route del {CLIENT}/32", f"addr del {GUEST}/32 dev eth0")


def test_it_is_counted(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(NAT))
    with home.udp("guest", CLIENT) as one:
        one.send(b"x" * 100)
        one.recv(200)
    assert home.answers("guest", "10.20.0.1")
    [counted] = inside(dataplane.traffic).values()
    size = 100 + {4: 28, 6: 48}[home.version]
    assert (counted.packets_out, counted.bytes_out) == (1, size)
    assert (counted.packets_in, counted.bytes_in) == (1, size)
