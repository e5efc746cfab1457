"""From this host and its guests to public addresses: of guests here, and of others."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.kernel_host.home import (
    CLIENT,
    ELSEWHERE,
    GUEST,
    HOST_AT_HOME,
    HOST_ON_LAN,
    HOST_ON_OVERLAY,
    LONELY,
    NEIGHBOUR,
    OTHER_PORT,
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

NAT, BY_ROUTE = rule(GUEST, public=PUBLIC[GUEST]), routed(GUEST)
BOTH_MODES = pytest.mark.parametrize(
    ("mapped", "public"), [(NAT, PUBLIC[GUEST]), (BY_ROUTE, ROUTED[GUEST])], ids=["nat", "routed"]
)
BRIDGE = "192.168.122.1"


@contextmanager
def staying(home: Home) -> Iterator[None]:
    """Nothing of what happens inside leaves the host, by whichever line."""
    overlay = home.seen("edge", "zt0")
    with closing(home.leak()) as line, closing(overlay):
        yield
        assert line.packets() == []
        assert overlay.packets() == []


@BOTH_MODES
def test_on_the_same_bridge_it_is_the_bridge_that_speaks(
    home: Home, dataplane: Spoken, mapped: GuestRule, public: str
) -> None:
    home.inside["host"](dataplane.apply, plane(mapped, pools=POOLS))
    with staying(home):
        assert home.answers("sibling", public)
        with home.udp("sibling", public) as one:
            assert echoes(one)
        assert home.pings("sibling", public)
        assert home.heard("guest") == [BRIDGE] * 2


@BOTH_MODES
def test_from_the_guest_itself(
    home: Home, dataplane: Spoken, mapped: GuestRule, public: str
) -> None:
    """Where bridged packets pass the rules, as beside Docker, by the edge: it would be lost."""
    inside = home.inside["host"]
    both = plane(mapped, rule(GUEST, public=ELSEWHERE, mode=mapped.mode), pools=POOLS)
    inside(dataplane.apply, both)
    if home.filter_bridges(1):
        inside(dataplane.apply, both)
        assert home.answers("guest", ELSEWHERE)
        assert home.heard("edge") == [HOST_ON_OVERLAY]
        home.filter_bridges(0)
        assert inside(dataplane.drifted)
        inside(dataplane.apply, both)
    try:
        with staying(home):
            assert home.answers("guest", public)
            with home.udp("guest", public) as one:
                assert echoes(one)
            assert home.pings("guest", public)
            assert home.answers("sibling", public)
        assert home.heard("guest") == [BRIDGE] * 3
    finally:
        home.filter_bridges(1)


@BOTH_MODES
def test_from_the_host_itself(
    home: Home, dataplane: Spoken, mapped: GuestRule, public: str
) -> None:
    home.inside["host"](dataplane.apply, plane(mapped, pools=POOLS))
    with staying(home):
        assert home.answers("host", public)
        with home.udp("host", public) as one:
            assert echoes(one)
    assert home.heard("guest") == [HOST_AT_HOME] * 2


def test_from_one_bridge_to_another(home: Home, dataplane: Spoken) -> None:
    """Past libvirt, which rejects what its networks have to say to each other."""
    home.ip("neighbour", f"route replace default via {HOST_ON_LAN}")
    try:
        other = rule(NEIGHBOUR, "br0", public=PUBLIC[NEIGHBOUR])
        isolated = rule(LONELY, "virbr1", hide=True, public=PUBLIC[LONELY])
        home.inside["host"](dataplane.apply, plane(BY_ROUTE, other, isolated, pools=POOLS))
        with staying(home):
            assert home.answers("neighbour", ROUTED[GUEST])
            assert home.heard("guest") == [NEIGHBOUR]
            assert home.answers("guest", PUBLIC[NEIGHBOUR])
            assert home.heard("neighbour") == [HOST_ON_LAN]
            assert home.answers("guest", PUBLIC[LONELY])
            assert home.answers("host", PUBLIC[LONELY])
            assert home.heard("lonely") == ["10.99.0.1"] * 2
    finally:
        home.ip("neighbour", "route replace default via 10.20.0.1")


@BOTH_MODES
def test_ports_are_translated_here(
    home: Home, dataplane: Spoken, mapped: GuestRule, public: str
) -> None:
    by_port = rule(GUEST, public=public, mode=mapped.mode, ports=[f"tcp/80:{PORT}"])
    home.inside["host"](dataplane.apply, plane(by_port))
    with staying(home):
        assert home.answers("sibling", public, port=80)
        assert home.answers("host", public, port=80)
    assert not home.answers("sibling", public, port=PORT, seconds=0.3)
    assert not home.answers("host", public, port=OTHER_PORT, seconds=0.3)
    assert home.heard("guest") == [BRIDGE, HOST_AT_HOME]


def test_what_is_not_active_is_the_edges_to_answer(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(rule(GUEST), rule(SIBLING)))
    assert not home.answers("sibling", PUBLIC[GUEST], seconds=0.3)
    assert home.heard("guest") == []


@pytest.mark.parametrize(
    ("allow", "sibling", "host"),
    [
        (["192.168.122.0/24"], True, False),
        (["192.0.2.0/24", f"{GUEST}/32"], False, True),
        ([f"{SIBLING}/32", f"{HOST_AT_HOME}/32"], True, True),
        (["198.51.100.0/24"], False, False),
        (["2001:db8::/32"], False, False),
    ],
)
def test_only_who_is_allowed(
    home: Home, dataplane: Spoken, allow: list[str], sibling: bool, host: bool
) -> None:
    mapped = rule(GUEST, public=PUBLIC[GUEST], allow=allow)
    home.inside["host"](dataplane.apply, plane(mapped, pools=POOLS))
    assert home.answers("sibling", PUBLIC[GUEST], seconds=0.5) is sibling
    assert home.answers("host", PUBLIC[GUEST], seconds=0.5) is host
    assert home.heard("guest") == [BRIDGE] * sibling + [HOST_AT_HOME] * host


def test_from_no_source_that_is_not_there(home: Home, dataplane: Spoken) -> None:
    """A neighbour says that it is the sibling, which is allowed."""
    mapped = rule(GUEST, public=PUBLIC[GUEST], allow=[f"{SIBLING}/32"])
    home.inside["host"](dataplane.apply, plane(mapped, rule(NEIGHBOUR, "br0"), pools=POOLS))
    home.ip(
        "neighbour",
        f"addr add {SIBLING}/32 dev eth0",
        f"route add {PUBLIC[GUEST]}/32 via {HOST_ON_LAN} src {SIBLING}",
    )
    try:
        with home.udp("neighbour", PUBLIC[GUEST]) as one:
            one.send(b"spoofed")
        assert home.answers("sibling", PUBLIC[GUEST])
        assert home.heard("guest") == [BRIDGE]
    finally:
        home.ip("neighbour", f"route del {PUBLIC[GUEST]}/32", f"addr del {SIBLING}/32 dev eth0")


@pytest.mark.parametrize(
    ("allow", "passes"), [([f"{PUBLIC[SIBLING]}/32"], True), (["192.168.122.0/24"], False)]
)
def test_a_guest_that_leaves_as_public_counts_as_that(
    home: Home, dataplane: Spoken, allow: list[str], passes: bool
) -> None:
    mapped = rule(GUEST, public=PUBLIC[GUEST], allow=allow)
    sender = rule(SIBLING, public=PUBLIC[SIBLING], egress=Egress.PUBLIC)
    home.inside["host"](dataplane.apply, plane(mapped, sender, pools=POOLS))
    assert home.answers("sibling", PUBLIC[GUEST], seconds=0.5) is passes


def test_who_is_allowed_no_more_is_heard_no_more(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(rule(GUEST, public=PUBLIC[GUEST])))
    with home.tcp("sibling", PUBLIC[GUEST]) as ended, home.tcp("host", PUBLIC[GUEST]) as kept:
        assert echoes(ended)
        assert echoes(kept)
        inside(dataplane.apply, plane(rule(GUEST, public=PUBLIC[GUEST], allow=["192.0.2.0/24"])))
        ended.settimeout(0.5)
        assert not echoes(ended)
        assert echoes(kept)


def test_a_mapping_that_goes_takes_these_along_too(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    stays = rule(SIBLING, public=PUBLIC[SIBLING])
    inside(dataplane.apply, plane(NAT, stays))
    with home.tcp("sibling", PUBLIC[GUEST]) as ended, home.tcp("guest", PUBLIC[SIBLING]) as kept:
        assert echoes(ended)
        assert echoes(kept)
        inside(dataplane.apply, plane(stays))
        ended.settimeout(0.5)
        assert not echoes(ended)
        assert echoes(kept)


def leaving(public: str, mapped: GuestRule) -> GuestRule:
    return rule(GUEST, public=public, mode=mapped.mode, egress=Egress.PUBLIC)


@BOTH_MODES
def test_elsewhere_the_edge_hears_who_it_is(
    home: Home, dataplane: Spoken, mapped: GuestRule, public: str
) -> None:
    """One that leaves as public as ever, others and the host as a member of the overlay."""
    inside = home.inside["host"]
    inside(dataplane.apply, plane(leaving(public, mapped), rule(SIBLING), pools=POOLS))
    as_which = GUEST if mapped is NAT else public
    with closing(home.leak()) as leak:
        for place in ("guest", "sibling", "host"):
            assert home.answers(place, ELSEWHERE)
            with home.udp(place, ELSEWHERE) as one:
                assert echoes(one)
            assert home.pings(place, ELSEWHERE)
        assert home.heard("edge") == [as_which] * 2 + [HOST_ON_OVERLAY] * 4
        assert leak.packets() == []


def test_elsewhere_also_from_a_neighbour_without_a_mapping(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(rule(GUEST), pools=POOLS))
    assert home.answers("sibling", ELSEWHERE)
    assert home.heard("edge") == [HOST_ON_OVERLAY]


def test_these_connections_outlive_changes_and_flushes(home: Home, dataplane: Spoken) -> None:
    inside, host = home.inside["host"], home.spaces["host"]
    inside(dataplane.apply, plane(NAT, rule(SIBLING), pools=POOLS))
    with home.tcp("host", ELSEWHERE) as own, home.tcp("sibling", ELSEWHERE) as siblings:
        assert echoes(own)
        assert echoes(siblings)
        inside(dataplane.apply, plane(rule(SIBLING), pools=POOLS))
        host.run("nft", "delete", "table", "inet", "zthook_host")
        inside(dataplane.apply, plane(rule(SIBLING), pools=POOLS))
        assert echoes(own)
        assert echoes(siblings)
        inside(dataplane.apply, plane(rule(SIBLING)))
        own.settimeout(0.5)
        assert not echoes(own)


def test_without_the_overlay_such_go_home(home: Home, dataplane: Spoken) -> None:
    """To the edge by the internet, as before there was any mapping here."""
    inside = home.inside["host"]
    inside(dataplane.apply, plane(NAT, pools=POOLS))
    lose_overlay(home)
    try:
        inside(dataplane.apply, plane(NAT, pools=POOLS))
        with closing(home.leak()) as leak:
            assert not home.answers("host", ELSEWHERE, seconds=0.3)
            assert (HOST_AT_HOME, ELSEWHERE) in leak.packets()
    finally:
        regain_overlay(home)
    inside(dataplane.apply, plane(NAT, pools=POOLS))
    assert home.answers("host", ELSEWHERE)


def test_what_is_bound_to_the_home_line_stays_on_it(home: Home, dataplane: Spoken) -> None:
    """As the sockets of the overlay's daemon are: else it would send itself through itself."""
    home.inside["host"](dataplane.apply, plane(NAT, pools=POOLS))
    with home.udp("host", "192.0.2.1") as one, closing(home.leak()) as leak:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wan0")
        one.sendto(b"hello", home.at(ELSEWHERE))
        assert home.answers("host", "192.0.2.1")
        assert (HOST_AT_HOME, ELSEWHERE) in leak.packets()
    assert home.heard("edge") == []


def test_who_comes_by_the_home_line_is_answered_there(home: Home, dataplane: Spoken) -> None:
    """A guest elsewhere that leaves as public speaks to the host's own services."""
    home.inside["host"](dataplane.apply, plane(NAT, pools=POOLS))
    public = "203.0.113.25"
    home.ip("client", f"addr add {public}/32 dev lo")
    try:
        with home.open("client", socket.SOCK_STREAM) as one:
            one.bind(home.at(public, 0))
            one.connect(home.at(HOST_AT_HOME))
            assert echoes(one)
        assert home.heard("host") == [public]
    finally:
        home.ip("client", f"addr del {public}/32 dev lo")


def test_no_member_answers_in_the_edges_place(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(NAT, pools=POOLS))
    with home.udp("host", ELSEWHERE) as one:
        assert echoes(one)
        home.ip("member", f"addr add {ELSEWHERE}/32 dev lo")
        try:
            with home.open("member", socket.SOCK_DGRAM) as forger:
                forger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                forger.bind(home.at(ELSEWHERE))
                forger.sendto(b"forged", home.at(HOST_ON_OVERLAY, one.getsockname()[1]))
            one.send(b"true")
            assert one.recv(10) == b"true"
        finally:
            home.ip("member", f"addr del {ELSEWHERE}/32 dev lo")


def test_the_rest_of_the_internet_is_left_alone(home: Home, dataplane: Spoken) -> None:
    home.inside["host"](dataplane.apply, plane(NAT, pools=POOLS))
    assert home.answers("sibling", CLIENT)
    assert home.answers("host", CLIENT)
    assert home.answers("guest", CLIENT)
    assert home.heard("client") == [HOST_AT_HOME] * 3
