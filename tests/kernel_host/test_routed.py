"""Mode ROUTED: what the edge sends with its public address, this host translates."""

import socket
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.kernel_host.home import (
    CLIENT,
    GUEST,
    HOST_ON_OVERLAY,
    NEIGHBOUR,
    OTHER_PORT,
    POOLS,
    PORT,
    ROUTED,
    SIBLING,
    Home,
    Spoken,
    echoes,
    plane,
    read_exactly,
    routed,
    rule,
)
from tests.lab.commands import wait_until

pytestmark = [pytest.mark.netns, pytest.mark.parametrize("version", [4, 6])]

PUBLIC = ROUTED[GUEST]


def test_the_guest_sees_the_client_and_answers_by_the_edge(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(routed(GUEST), pools=POOLS))
    with closing(home.leak()) as leak:
        assert home.answers("client", PUBLIC)
        with home.udp("client", PUBLIC) as one:
            assert echoes(one)
        assert home.heard("guest") == [CLIENT, CLIENT]
        assert leak.packets() == []


def test_a_long_transfer_and_a_ping(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(routed(GUEST)))
    words = bytes(range(256)) * 2048
    with home.tcp("client", PUBLIC) as one:
        one.sendall(words)
        assert read_exactly(one, len(words)) == words
    assert home.pings("client", PUBLIC)


def test_fragments_come_through(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(routed(GUEST, ports=[f"udp/80:{PORT}"])))
    with home.udp("client", PUBLIC, 80) as one:
        one.send(b"x" * 4000)
        assert one.recv(4096) == b"x" * 4000


def test_ports_translated_and_not(home: Home, dataplane: Spoken) -> None:
    ports = [f"tcp/80:{PORT}", "udp/8000-8090"]
    home.inside["host"](dataplane.apply, plane(routed(GUEST, ports=ports), pools=POOLS))
    with closing(home.leak()) as leak:
        assert home.answers("client", PUBLIC, port=80)
        with home.udp("client", PUBLIC, PORT) as one:
            assert echoes(one)
        assert home.heard("guest") == [CLIENT, CLIENT]
        for port in (PORT, OTHER_PORT, 443):
            assert not home.answers("client", PUBLIC, port=port, seconds=0.3)
        assert home.heard("guest") == home.other_echo.heard == []
        assert leak.packets() == []


def test_guests_of_this_host_share_an_address(home: Home, dataplane: Spoken) -> None:
    one, other = routed(GUEST, ports=[f"tcp/80:{PORT}"]), rule(
        SIBLING, public=PUBLIC, mode=routed(GUEST).mode, ports=[f"tcp/81:{PORT}"]
    )  # fmt: skip
    home.inside["host"](dataplane.apply, plane(one, other))
    assert home.answers("client", PUBLIC, port=80)
    assert home.answers("client", PUBLIC, port=81)
    assert (home.heard("guest"), home.heard("sibling")) == ([CLIENT], [CLIENT])


def test_nat_and_routed_side_by_side(home: Home, dataplane: Spoken) -> None:
    """Also for one guest, which has two addresses."""
    home.inside["host"](dataplane.apply, plane(rule(GUEST), routed(GUEST), routed(SIBLING)))
    assert home.reaches(GUEST)
    assert home.answers("client", ROUTED[GUEST])
    assert home.answers("client", ROUTED[SIBLING])


def test_what_the_provider_translated_arrives_with_another_address(
    home: Home, dataplane: Spoken
) -> None:
    known = replace(routed(GUEST), public=ip_address("192.0.2.200"), arrives_as=ip_address(PUBLIC))
    home.inside["host"](dataplane.apply, plane(known))
    assert home.answers("client", PUBLIC)


def test_what_is_not_mapped_is_not_routed_on(home: Home, dataplane: Spoken) -> None:
    """The home line's router would carry it off."""
    home.inside["host"](dataplane.apply, plane(routed(GUEST), pools=POOLS))
    with closing(home.leak()) as leak:
        assert not home.answers("client", ROUTED[SIBLING], seconds=0.5)
        with home.udp("client", ROUTED[SIBLING]) as one:
            one.send(b"hello")
        assert home.answers("client", PUBLIC)
        assert leak.packets() == []


def test_members_reach_nothing_past_the_edge(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(routed(GUEST)))
    home.ip("member", f"route add {PUBLIC}/32 via {HOST_ON_OVERLAY}")
    try:
        with closing(home.leak()) as leak:
            for address in (PUBLIC, GUEST):
                assert not home.answers("member", address, seconds=0.5)
                with home.udp("member", address) as one:
                    one.send(b"hello")
            assert home.heard("guest") == []
            assert leak.packets() == []
    finally:
        home.ip("member", f"route del {PUBLIC}/32")


def test_the_edge_itself_can_not_walk_around_a_mapping(home: Home, dataplane: Spoken) -> None:
    """What it sends to the private address of a guest that is only routed."""
    home.inside["host"](dataplane.apply, plane(routed(GUEST)))
    assert not home.reaches(GUEST)
    assert home.heard("guest") == []


def test_a_mapping_that_goes_takes_its_connections_along(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    both = plane(rule(GUEST), routed(GUEST), routed(SIBLING), pools=POOLS)
    inside(dataplane.apply, both)
    with (
        home.tcp("client", ROUTED[GUEST]) as ended,
        home.tcp("client", ROUTED[SIBLING]) as kept,
        closing(home.leak()) as leak,
    ):
        assert echoes(ended)
        assert echoes(kept)
        inside(dataplane.apply, plane(rule(GUEST), routed(SIBLING), pools=POOLS))
        ended.settimeout(0.5)
        assert not echoes(ended)
        assert echoes(kept)
        assert leak.packets() == []


def test_what_passed_untranslated_while_the_rules_were_away_is_translated_again(
    home: Home, dataplane: Spoken
) -> None:
    """Endless UDP: its connection would go on as it began."""
    inside, host = home.inside["host"], home.spaces["host"]
    desired = plane(routed(GUEST), pools=POOLS)
    inside(dataplane.apply, desired)
    with home.udp("client", PUBLIC) as one, closing(home.leak()) as leak:
        host.run("nft", "delete", "table", "inet", "zthook_host")
        one.send(b"lost")
        wait_until(lambda: bool(leak.packets()), 3, "it went by the home line")
        inside(dataplane.apply, desired)
        assert echoes(one)


def test_what_others_say_outlives_that(home: Home, dataplane: Spoken) -> None:
    """A sibling that nobody translates: what it says to the LAN is none of ours."""
    inside, host = home.inside["host"], home.spaces["host"]
    inside(dataplane.apply, plane(routed(GUEST)))
    family = f"ipv{home.version}"
    with home.udp("router", NEIGHBOUR) as one, home.udp("member", "10.20.0.1") as other:
        one.send(b"bridged")
        other.send(b"routed")
        wait_until(lambda: bool(home.heard("router")), 3, "the router hears the member")
        before = host.run("conntrack", "-L", "-f", family, "-p", "udp").stdout.count("dport")
        host.run("nft", "delete", "table", "inet", "zthook_host")
        inside(dataplane.apply, plane(routed(GUEST)))
        after = host.run("conntrack", "-L", "-f", family, "-p", "udp").stdout.count("dport")
        assert after >= before > 0


def test_a_connection_lives_through_a_flush(home: Home, dataplane: Spoken) -> None:
    inside, host = home.inside["host"], home.spaces["host"]
    desired = plane(routed(GUEST))
    inside(dataplane.apply, desired)
    with home.tcp("client", PUBLIC) as one:
        assert echoes(one)
        host.run("nft", "delete", "table", "inet", "zthook_host")
        inside(dataplane.apply, desired)
        assert echoes(one)


def test_the_client_hears_of_a_closed_port(home: Home, dataplane: Spoken) -> None:
    """The guest's own reports carry the public address, as its answers do."""
    home.inside["host"](dataplane.apply, plane(routed(GUEST, ports=["udp/7000:7001"])))
    with home.udp("client", PUBLIC, 7000) as one:
        one.send(b"hello")
        with pytest.raises(ConnectionRefusedError):
            one.recv(10)
    with home.open("client", socket.SOCK_STREAM) as one:
        one.settimeout(0.5)
        with pytest.raises(TimeoutError):
            one.connect(home.at(PUBLIC, 7000))
