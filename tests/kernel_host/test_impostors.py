"""A member of the overlay who says that the edge's address is his draws no guest's answers."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.kernel_host.home import (
    CLIENT,
    EDGE,
    EDGE_MAC,
    GUEST,
    HOST_ON_OVERLAY,
    MEMBER,
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
from tests.lab.commands import wait_until
from tests.lab.impostor import Impostor, opened
from zthook.model.publication import Egress

pytestmark = pytest.mark.netns

ALL = plane(rule(GUEST, public=PUBLIC[GUEST], egress=Egress.PUBLIC), routed(SIBLING))
ASKED = replace(ALL, pinned=False)
"""With whoever answers ARP for the edge's address, as it was at first."""


@pytest.fixture
def impostor(home: Home) -> Iterator[Impostor]:
    one = Impostor(home.inside["member"](opened, "zt0"))
    # Else the kernel believes nobody for a second after it has believed somebody.
    home.spaces["host"].sysctl(ipv4__neigh__zt0__locktime=0)
    yield one
    one.close()
    home.spaces["host"].ip(f"neigh flush to {EDGE}")


def mac(home: Home, place: str) -> str:
    return home.spaces[place].run("cat", "/sys/class/net/zt0/address").stdout.strip()


def test_nobody_draws_a_guests_packets_to_himself(
    home: Home, dataplane: Spoken, impostor: Impostor
) -> None:
    inside, host = home.inside["host"], mac(home, "host")
    inside(dataplane.apply, ALL)
    with home.tcp("client", PUBLIC[GUEST]) as one:
        for _ in range(3):
            impostor.claim(EDGE, host)
            impostor.redirect(CLIENT, by=EDGE, to=MEMBER, router=HOST_ON_OVERLAY, victim=host)
            assert echoes(one)
        assert home.answers("client", ROUTED[SIBLING])
        assert home.answers("guest", CLIENT), "what it begins itself leaves by the edge"
        assert impostor.drawn() == []
        inside(dataplane.apply, ASKED)
        assert echoes(one), "the edge is known by asking again"
        impostor.claim(EDGE, host)
        one.settimeout(0.5)
        assert not echoes(one), "so that the test can fail"
        assert (GUEST, CLIENT) in impostor.drawn()
        inside(dataplane.apply, ALL)
        impostor.drawn()
        wait_until(lambda: echoes(one), 10, "the connection goes on when it is mended")
        assert impostor.drawn() == []


def test_whether_the_edge_is_where_it_was_its_own_mac_tells(
    home: Home, dataplane: Spoken, impostor: Impostor
) -> None:
    """Whoever else says that he has its address, and though the kernel would ask nobody."""
    inside, there = home.inside["host"], ip_address(EDGE)
    inside(dataplane.apply, ALL)
    home.spaces["member"].ip(f"addr add {EDGE}/32 dev zt0")
    try:
        assert inside(dataplane.answers, there, EDGE_MAC, "zt0")
        assert inside(dataplane.answers, there, impostor.mac.hex(":"), "zt0")
        assert not inside(dataplane.answers, there, "02:00:00:00:03:33", "zt0")
    finally:
        home.spaces["member"].ip(f"addr del {EDGE}/32 dev zt0")
