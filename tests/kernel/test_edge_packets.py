"""Where packets end, with the real kernel: who reaches a guest, and who does not."""

import errno
import socket
import time

import pytest

from tests.kernel.driver import CONFIGURED, ON_LINK, OVERLAY_ADDRESS, ROUTED, TRANSLATED, Edge, both
from tests.kernel.namespace import Namespace
from tests.kernel.questions import (
    FIRST_TRY,
    SILENCE,
    answer,
    asks,
    connection,
    eventually,
    pings,
    reaches,
    silent,
)
from tests.kernel.topology import Topology
from zthook.kernel.edge.chains.own import KNOCKS_A_SECOND, KNOCKS_AT_ONCE

pytestmark = pytest.mark.netns

RECEIVE_ERRORS = 11
HOME1 = "192.168.193.2"
WAYS = [CONFIGURED, ON_LINK, ROUTED, TRANSLATED]


def without_our_rules(edge: Edge) -> None:
    """What reaches then, and did not before, was dropped by them and by nothing else."""
    for chain in ("forward", "own_ports"):
        edge.inside.run(f"nft flush chain inet zthook {chain}")


@both
@pytest.mark.parametrize("public", WAYS)
@pytest.mark.parametrize("hide", [False, True], ids=["keep", "hide"])
def test_client_reaches_guest(top: Topology, edge: Edge, public: str, hide: bool) -> None:
    edge.apply(edge.mapping(public, hide=hide))
    with connection(top.client, public, 80) as one:
        assert answer(one, b"hello") == b"guest1 hello"
    assert asks(top.client, public).startswith(b"guest1 ")
    assert pings(top.client, public)
    sources = {source for source, _ in top.server1.peers}
    assert sources == {"192.168.193.222" if hide else "198.51.100.7"}


@both
@pytest.mark.parametrize("public", WAYS)
def test_unmapped_address_reaches_no_guest(top: Topology, edge: Edge, public: str) -> None:
    edge.apply(edge.mapping("203.0.113.50"))
    assert reaches(top.client, "203.0.113.50")
    top.server1.peers.clear()
    if public == CONFIGURED:
        assert reaches(top.client, public), "the edge's own, and only that"
    else:
        assert silent(reaches, top.client, public)
    assert not top.server1.peers


def test_mapped_addresses_share_a_guest(top: Topology, edge: Edge) -> None:
    first, second = edge.mapping(CONFIGURED), edge.mapping(ROUTED)
    edge.apply(first, second)
    edge.change(withdraw=[first])
    assert reaches(top.client, ROUTED), "its route stays while one mapping is left"
    edge.change(withdraw=[second])
    assert silent(reaches, top.client, ROUTED)
    assert "192.168.122.50" not in edge.inside.run("ip route")


def neighbour_knows_the_way(top: Topology) -> None:
    top.neighbour.run("ip route add 192.168.0.0/16 via 203.0.113.2")


@both
@pytest.mark.parametrize("others_route", ["0", "1"])
def test_neighbour_reaches_nobody_by_the_private_address(
    top: Topology, edge: Edge, others_route: str
) -> None:
    edge.inside.run(f"sysctl -qw net.ipv4.ip_forward={others_route}")
    edge.apply(edge.mapping(CONFIGURED), edge.mapping(ON_LINK, hide=True))
    neighbour_knows_the_way(top)
    assert reaches(top.neighbour, CONFIGURED)
    top.server1.peers.clear()
    assert silent(reaches, top.neighbour, "192.168.122.50")
    assert silent(asks, top.neighbour, "192.168.122.50")
    assert not top.server1.peers
    without_our_rules(edge)
    assert reaches(top.neighbour, "192.168.122.50")


@both
def test_only_the_holders_member_answers(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(CONFIGURED, home=1))
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
        peer = client.getsockname()
        client.settimeout(SILENCE)
        other.sendto(b"from another member", peer)
        with pytest.raises(TimeoutError):
            client.recv(100)
        holder.sendto(b"from the holder", peer)
        assert client.recv(100) == b"from the holder"
        without_our_rules(edge)
        other.sendto(b"from another member", peer)
        assert client.recv(100) == b"from another member"


@both
@pytest.mark.parametrize("others_route", ["0", "1"])
def test_nothing_leaves_the_overlay_by_itself(top: Topology, edge: Edge, others_route: str) -> None:
    edge.inside.run(f"sysctl -qw net.ipv4.ip_forward={others_route}")
    top.router.run("ip route add 192.168.0.0/16 via 203.0.113.2")
    top.home1.run("ip route add 198.51.100.0/24 via 192.168.193.222")
    server = top.serve(top.client, 7)
    edge.apply(edge.mapping(CONFIGURED))
    for where in (top.guest1, top.guest2, top.home1):
        assert silent(reaches, where, "198.51.100.7", 7)
        assert silent(asks, where, "198.51.100.7", 7)
    assert not server.peers
    without_our_rules(edge)
    assert reaches(top.guest1, "198.51.100.7", 7)


@both
def test_members_do_not_meet_through_the_edge(top: Topology, edge: Edge) -> None:
    edge.inside.run("sysctl -qw net.ipv4.ip_forward=1", "ip route add 10.9.9.9 via 192.168.193.3")
    top.home1.run("ip route add 10.9.9.9 via 192.168.193.222")
    top.home2.run("ip addr add 10.9.9.9/32 dev lo")
    server = top.serve(top.home2, 7)
    assert reaches(top.home1, "10.9.9.9", 7), "the edge routes, so that the test can fail"
    server.peers.clear()
    edge.apply(edge.mapping(CONFIGURED))
    assert silent(reaches, top.home1, "10.9.9.9", 7)
    assert not server.peers


def test_unmapped_routed_address_does_not_go_round(top: Topology, edge: Edge) -> None:
    edge.inside.run("sysctl -qw net.ipv4.ip_forward=1")

    def goes_round() -> bool:
        with top.client.socket(socket.SOCK_DGRAM) as one:
            one.setsockopt(socket.IPPROTO_IP, RECEIVE_ERRORS, 1)
            one.settimeout(SILENCE)
            one.sendto(b"?", ("192.0.2.99", 9))
            try:
                one.recv(100)
            except OSError as error:
                return error.errno == errno.EHOSTUNREACH
            return False

    assert goes_round(), "until its time to live is over, so that the test can fail"
    edge.apply(edge.mapping(CONFIGURED))
    assert not goes_round()


def test_the_api_is_for_the_overlay(top: Topology, edge: Edge) -> None:
    top.serve(edge.inside, 9443)
    edge.apply(edge.mapping(CONFIGURED))
    neighbour_knows_the_way(top)
    assert silent(reaches, top.client, "203.0.113.2", 9443)
    assert silent(reaches, top.neighbour, "192.168.193.222", 9443)
    assert reaches(top.home1, "192.168.193.222", 9443)
    assert reaches(edge.inside, "192.168.193.222", 9443)
    assert reaches(top.client, "203.0.113.2", 80), "the edge's other services are its own"
    without_our_rules(edge)
    assert reaches(top.client, "203.0.113.2", 9443)
    assert reaches(top.neighbour, "192.168.193.222", 9443)


def test_who_knocks_too_often_waits_and_nobody_else(top: Topology, edge: Edge) -> None:
    top.serve(edge.inside, 9443)
    top.serve(edge.inside, 81)
    edge.apply(edge.mapping(CONFIGURED))
    address = str(OVERLAY_ADDRESS)
    began, knocks = time.monotonic(), 0
    while reaches(top.home1, address, 9443, wait=FIRST_TRY) and knocks < 200:
        knocks += 1
    seconds = time.monotonic() - began - FIRST_TRY
    assert KNOCKS_AT_ONCE <= knocks <= KNOCKS_AT_ONCE + KNOCKS_A_SECOND * seconds + 1
    assert reaches(top.home2, address, 9443)
    assert all(reaches(edge.inside, address, 9443) for _ in range(KNOCKS_AT_ONCE + 8))
    assert all(reaches(top.home1, address, 81) for _ in range(KNOCKS_AT_ONCE + 8))
    assert reaches(top.home1, address, 9443), "TCP tries again after a second"
    top.home2.run(f"ip addr add {HOME1}/32 dev lo")
    time.sleep(2 / KNOCKS_A_SECOND)  # until home1 may knock again
    for _ in range(KNOCKS_AT_ONCE + 8):  # none is answered there
        with top.home2.socket() as one:
            one.settimeout(0)
            one.bind((HOME1, 0))
            one.connect_ex((address, 9443))
    assert reaches(top.home1, address, 9443, wait=FIRST_TRY), "under his address nobody is him"
    without_our_rules(edge)
    assert all(reaches(top.home1, address, 9443) for _ in range(KNOCKS_AT_ONCE + 8))


def lan_behind_the_edge(top: Topology, edge: Edge) -> Namespace:
    """Another network of the edge's owner, such as one of containers."""
    lan = top.namespace("lan")
    top.cable(edge.inside, "lan0", lan, "eth0")
    edge.inside.run("ip addr add 10.7.0.1/24 dev lan0")
    top.address(lan, "10.7.0.2/24", "10.7.0.1")
    top.serve(lan, 80)
    top.neighbour.run("ip route add 10.7.0.0/24 via 203.0.113.2")
    return lan


@both
def test_a_routing_edge_goes_on_routing(top: Topology, edge: Edge) -> None:
    edge.inside.run("sysctl -qw net.ipv4.ip_forward=1")
    lan = lan_behind_the_edge(top, edge)
    edge.apply(edge.mapping(CONFIGURED))
    assert reaches(top.neighbour, "10.7.0.2")
    top.serve(top.neighbour, 7)
    assert reaches(lan, "203.0.113.3", 7)


def test_an_edge_that_did_not_route_does_not_begin_to(top: Topology, edge: Edge) -> None:
    lan = lan_behind_the_edge(top, edge)
    edge.apply(edge.mapping(CONFIGURED))
    assert reaches(top.client, CONFIGURED)
    assert silent(reaches, top.neighbour, "10.7.0.2")
    top.serve(top.neighbour, 7)
    top.serve(top.home1, 7)
    assert silent(reaches, lan, "203.0.113.3", 7)
    assert edge.inside.run("sysctl -n net.ipv4.ip_forward").strip() == "0"


@both
def test_the_guest_may_report_errors(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(CONFIGURED))
    with top.client.socket(socket.SOCK_DGRAM) as one:
        one.connect((CONFIGURED, 9))
        one.send(b"nobody listens there")
        with pytest.raises(ConnectionRefusedError):
            one.recv(100)


def test_routers_on_the_way_may_report_errors(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(CONFIGURED, private="192.168.122.77"))
    top.home1.run(
        "ip route add unreachable 192.168.122.77",
        "ip route add 198.51.100.0/24 via 192.168.193.222",
    )
    with top.client.socket() as one, pytest.raises(OSError) as refusal:  # noqa: PT011
        one.connect((CONFIGURED, 80))
    assert refusal.value.errno == errno.EHOSTUNREACH


@both
@pytest.mark.parametrize("hide", [False, True], ids=["keep", "hide"])
def test_the_guest_learns_of_a_narrow_path(top: Topology, edge: Edge, hide: bool) -> None:
    top.serve(top.guest1, 81, b"x" * 1300)
    top.router.run("ip link set client mtu 1280")
    edge.apply(edge.mapping(ON_LINK, hide=hide))
    with top.client.socket(socket.SOCK_DGRAM) as one:
        one.connect((ON_LINK, 81))
        assert eventually(lambda: len(answer(one, wait=SILENCE)) > 1300)


@pytest.mark.parametrize("hide", [False, True], ids=["keep", "hide"])
def test_segments_fit_a_narrow_overlay(hide: bool) -> None:
    with Topology(overlay_mtu=1400) as top:
        edge = Edge(top)
        try:
            edge.apply(edge.mapping(ON_LINK, hide=hide))
            with connection(top.client, ON_LINK, 80) as one:
                assert answer(one)
                sent = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
            options = 12
            assert (sent, top.server1.segments[-1]) == (1360 - options, 1360 - options)
        finally:
            edge.stop()


def test_a_wide_overlay_leaves_segments_alone(top: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(ON_LINK))
    with connection(top.client, ON_LINK, 80) as one:
        assert answer(one)
        assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1448
