"""Public addresses from inside: the edge itself, members, and guests of this and other hosts."""

import pytest

from tests.kernel.driver import (
    ARRIVES_AS,
    CONFIGURED,
    ON_LINK,
    OVERLAY_ADDRESS,
    ROUTED,
    TRANSLATED,
    Edge,
    both,
)
from tests.kernel.namespace import Namespace
from tests.kernel.questions import (
    SILENCE,
    answer,
    asks,
    connection,
    echoes,
    pings,
    reaches,
    silent,
    tells,
)
from tests.kernel.topology import Topology
from zthook.model.publication import Egress, Mode

pytestmark = pytest.mark.netns

WAYS = [CONFIGURED, ON_LINK, ROUTED, TRANSLATED]
MODES = pytest.mark.parametrize("mode", list(Mode))
OTHER_GUEST = "192.168.122.60"
"""The private address of the guest behind the second home, where both are mapped in nat."""


@pytest.fixture
def home(top: Topology) -> Topology:
    """Hosts know that public addresses are reached through the edge, and have a guest each."""
    for one in (top.home1, top.home2):
        for prefix in ("203.0.113.0/24", "192.0.2.0/24", TRANSLATED):
            one.run(f"ip route add {prefix} via {OVERLAY_ADDRESS}")
    top.guest2.run(f"ip addr add {OTHER_GUEST}/24 dev eth0 preferred_lft 0")
    return top


def sources(top: Topology) -> set[str]:
    """From where the first guest is asked."""
    return {source for source, _ in top.server1.peers}


def masqueraded(home: Namespace) -> None:
    """What a host does with what its guests send to other public addresses."""
    home.nft(
        "table ip home { chain out { type nat hook postrouting priority srcnat;"
        " oifname zt0 ct direction original ip saddr 192.168.122.0/24 masquerade; }; }"
    )


def served(top: Topology, edge: Edge, public: str, mode: Mode, **kind: object) -> None:
    """The first guest on ``public``, and what its host does for it."""
    if mode is Mode.ROUTED:
        top.translate(top.home1, ARRIVES_AS.get(public, public))
    edge.apply(
        edge.mapping(public, mode=mode, **kind), edge.mapping("203.0.113.60", 2, OTHER_GUEST)
    )


@MODES
@pytest.mark.parametrize("public", WAYS)
def test_from_the_edge_itself(home: Topology, edge: Edge, public: str, mode: Mode) -> None:
    served(home, edge, public, mode)
    assert tells(edge.inside, public).startswith(b"guest1 ")
    assert asks(edge.inside, public).startswith(b"guest1 ")
    assert pings(edge.inside, public)
    assert sources(home) == {str(OVERLAY_ADDRESS)}
    edge.change(withdraw=[edge.mapping(public, mode=mode)])
    if public == CONFIGURED:
        assert tells(edge.inside, public).startswith(b"edge ")
    else:
        assert silent(tells, edge.inside, public)


@MODES
@pytest.mark.parametrize("public", WAYS)
def test_from_a_member(home: Topology, edge: Edge, public: str, mode: Mode) -> None:
    served(home, edge, public, mode)
    assert tells(home.home2, public).startswith(b"guest1 ")
    assert asks(home.home2, public).startswith(b"guest1 ")
    assert pings(home.home2, public)
    assert sources(home) == {str(OVERLAY_ADDRESS)}, "so that the answer comes back this way"
    edge.change(withdraw=[edge.mapping(public, mode=mode)])
    home.server1.peers.clear()
    assert not tells(home.home2, public, wait=SILENCE).startswith(b"guest")
    assert not home.server1.peers


@MODES
def test_from_a_guest_that_leaves_by_the_home_line(home: Topology, edge: Edge, mode: Mode) -> None:
    masqueraded(home.home2)
    served(home, edge, ON_LINK, mode)
    assert tells(home.guest2, ON_LINK).startswith(b"guest1 ")
    assert sources(home) == {str(OVERLAY_ADDRESS)}


@both
@MODES
@pytest.mark.parametrize("hide", [False, True], ids=["keep", "hide"])
def test_from_a_guest_that_leaves_by_the_edge(
    home: Topology, edge: Edge, mode: Mode, hide: bool
) -> None:
    if mode is Mode.ROUTED:
        home.translate(home.home1, ON_LINK)
    edge.apply(
        edge.mapping(ON_LINK, mode=mode, hide=hide),
        edge.mapping("203.0.113.60", 2, OTHER_GUEST, egress=Egress.PUBLIC),
    )
    with connection(home.guest2, ON_LINK, 80, source=OTHER_GUEST) as one:
        assert answer(one).startswith(b"guest1 ")
    hidden = hide and mode is Mode.NAT
    assert sources(home) == {str(OVERLAY_ADDRESS) if hidden else "203.0.113.60"}


@both
@MODES
def test_from_a_routed_guest_that_leaves_by_the_edge(
    home: Topology, edge: Edge, mode: Mode
) -> None:
    """Its host gives it its public address; where both are routed nothing is remembered."""
    home.translate(home.home2, "203.0.113.60")
    served(home, edge, ON_LINK, mode)
    edge.apply(
        edge.mapping(ON_LINK, mode=mode),
        edge.mapping("203.0.113.60", 2, mode=Mode.ROUTED, egress=Egress.PUBLIC),
    )
    assert tells(home.guest2, ON_LINK).startswith(b"guest1 ")
    assert asks(home.guest2, ON_LINK).startswith(b"guest1 ")
    assert sources(home) == {"203.0.113.60"}
    followed = edge.inside.run("conntrack -L -s 203.0.113.60")
    assert bool(followed.strip()) == (mode is Mode.NAT)


@MODES
def test_only_mapped_ports(home: Topology, edge: Edge, mode: Mode) -> None:
    home.serve(home.guest1, 81)
    served(home, edge, ON_LINK, mode, ports=["tcp/80"])
    for where in (edge.inside, home.home2):
        assert reaches(where, ON_LINK)
        assert silent(reaches, where, ON_LINK, 81)
        assert silent(asks, where, ON_LINK)


@MODES
@pytest.mark.parametrize("ports", [[], ["tcp/80"]], ids=["whole", "port"])
def test_the_sender_has_to_be_allowed(
    home: Topology, edge: Edge, mode: Mode, ports: list[str]
) -> None:
    """By its public address if it leaves by the edge, else by the address that it comes with."""
    if mode is Mode.ROUTED:
        home.translate(home.home1, ON_LINK)
    sender = edge.mapping("203.0.113.60", 2, OTHER_GUEST, egress=Egress.PUBLIC)

    others = {home.guest2: OTHER_GUEST, home.home2: "", edge.inside: ""}

    def reach_it(*allow: str, by: Namespace | None = None) -> bool:
        """Whether it is reached by this one, and by nobody else."""
        edge.apply(edge.mapping(ON_LINK, mode=mode, ports=ports, allow=allow), sender)
        return all(
            reaches(where, ON_LINK, source=source)
            if where is by
            else silent(reaches, where, ON_LINK, source=source)
            for where, source in others.items()
        )

    assert reach_it("203.0.113.60", by=home.guest2)
    assert reach_it("192.168.193.3", by=home.home2)
    assert reach_it("192.168.193.222", "203.0.113.2", by=edge.inside)
    assert reach_it(OTHER_GUEST)
    assert reach_it("10.0.0.0/8")


@MODES
def test_members_send_by_no_address_but_their_own(home: Topology, edge: Edge, mode: Mode) -> None:
    """A client's, another guest's private and public one, and one of nobody."""
    served(home, edge, ON_LINK, mode)
    edge.apply(
        edge.mapping(ON_LINK, mode=mode),
        edge.mapping("203.0.113.60", 2, OTHER_GUEST, egress=Egress.PUBLIC),
        edge.mapping("203.0.113.61", 2, mode=Mode.ROUTED, egress=Egress.PUBLIC),
    )
    for spoofed in ("198.51.100.7", OTHER_GUEST, "203.0.113.61", "10.9.9.9"):
        home.home1.run(f"ip addr add {spoofed}/32 dev lo")
        home.server1.peers.clear()
        assert silent(asks, home.home1, ON_LINK, source=spoofed)
        assert not home.server1.peers
        home.home1.run(f"ip addr del {spoofed}/32 dev lo")
    assert asks(home.home2, ON_LINK)


def test_members_reach_no_private_address(home: Topology, edge: Edge) -> None:
    edge.apply(edge.mapping(ON_LINK), edge.mapping("203.0.113.60", 2, OTHER_GUEST))
    home.home2.run(f"ip route add 192.168.122.50 via {OVERLAY_ADDRESS}")
    assert silent(asks, home.home2, "192.168.122.50")
    assert not home.server1.peers


def test_a_withdrawn_mapping_ends_connections_from_inside(home: Topology, edge: Edge) -> None:
    one = edge.mapping(ON_LINK)
    edge.apply(one)
    with (
        connection(edge.inside, ON_LINK, 80) as own,
        connection(home.home2, ON_LINK, 80) as member,
    ):
        assert echoes(own)
        assert echoes(member)
        edge.change(withdraw=[one])
        assert silent(echoes, own)
        assert silent(echoes, member)
