"""A member of the overlay who says that a host's address is his draws nothing of its guests'."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.kernel.driver import ON_LINK, ROUTED, Edge
from tests.kernel.namespace import PATIENCE, Namespace, mac
from tests.kernel.questions import SILENCE, connection, echoes, eventually, reaches, silent
from tests.kernel.topology import Topology
from tests.lab.impostor import Impostor, opened
from zthook.model.mappings import Forwarding

pytestmark = pytest.mark.netns

HOME, GUEST, EDGE, IMPOSTOR = (
    "192.168.193.2",
    "192.168.122.50",
    "192.168.193.222",
    "192.168.193.66",
)
CLIENT = "198.51.100.7"
DRAWN = (CLIENT, GUEST)


@pytest.fixture
def elsewhere(top: Topology) -> Namespace:
    """Where the impostor is."""
    where = top.namespace("impostor")
    top.plug_overlay(where, f"{IMPOSTOR}/24")
    return where


@pytest.fixture
def impostor(top: Topology, elsewhere: Namespace) -> Iterator[Impostor]:
    one = Impostor(elsewhere.call(lambda: opened("zt0")))
    # Else the kernel believes nobody for a second after it has believed somebody.
    top.edge.run("sysctl -qw net.ipv4.neigh.zt0.locktime=0")
    yield one
    one.close()


def asked(one: Forwarding) -> Forwarding:
    """With whoever answers ARP for its host's address, as it was at first."""
    return replace(one, pinned=False)


def test_nobody_draws_a_connection_to_himself(
    top: Topology, edge: Edge, impostor: Impostor
) -> None:
    edge.apply(edge.mapping(ON_LINK), edge.mapping(ROUTED))
    with connection(top.client, ON_LINK, 80) as one:
        for _ in range(3):
            impostor.claim(HOME, mac(edge.inside, "zt0"))
            assert echoes(one)
        assert reaches(top.client, ROUTED)
        assert impostor.drawn() == []
        edge.apply(*(asked(some) for some in edge.plane.forwardings))
        assert echoes(one), "the host is known by asking again"
        impostor.claim(HOME, mac(edge.inside, "zt0"))
        assert silent(echoes, one), "so that the test can fail"
        assert DRAWN in impostor.drawn()
        edge.apply(edge.mapping(ON_LINK), edge.mapping(ROUTED))
        assert eventually(lambda: echoes(one, wait=SILENCE)), "and it is mended"
        impostor.drawn()
        assert reaches(top.client, ON_LINK)
        assert impostor.drawn() == []


def test_who_answers_in_the_hosts_place_is_not_asked(
    top: Topology, edge: Edge, elsewhere: Namespace, impostor: Impostor
) -> None:
    """The host itself answers nobody, the impostor everybody."""
    top.home1.run("ip link set zt0 arp off")
    top.home1.run(f"ip neigh replace {EDGE} lladdr {mac(edge.inside, 'zt0')} dev zt0")
    elsewhere.run(f"ip addr add {HOME}/32 dev zt0")
    edge.apply(edge.mapping(ON_LINK))
    assert reaches(top.client, ON_LINK)
    assert impostor.drawn() == []
    edge.apply(asked(edge.mapping(ON_LINK)))
    assert silent(reaches, top.client, ON_LINK), "so that the test can fail"
    assert DRAWN in impostor.drawn()


@pytest.mark.parametrize("device", ["zt0", "eth0"])
def test_no_redirect_draws_it_away(
    top: Topology, edge: Edge, impostor: Impostor, device: str
) -> None:
    """In the host's name: what goes to the guest had better go by the impostor."""
    edge.apply(edge.mapping(ON_LINK))
    assert reaches(top.client, ON_LINK)
    speaker = impostor
    if device == "eth0":
        speaker = Impostor(top.neighbour.call(lambda: opened("eth0")))
    here = mac(edge.inside, device)

    def redirect(wait: float = PATIENCE) -> bool:
        """What becomes of it."""
        speaker.redirect(GUEST, by=HOME, to=IMPOSTOR, router=EDGE, victim=here)
        return reaches(top.client, ON_LINK, wait=wait)

    assert all(redirect() for _ in range(3))
    assert impostor.drawn() == []
    edge.inside.run(f"sysctl -qw net.ipv4.conf.{device}.accept_redirects=1")
    assert edge.drifted()
    assert eventually(lambda: not redirect(SILENCE)), "so that the test can fail"
    assert DRAWN in impostor.drawn()
    if speaker is not impostor:
        speaker.close()
