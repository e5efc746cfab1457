"""An edge's mappings go through whatever firewall stands on it, and nothing else does."""

import pytest

from tests.firewalls.others import FIREWALLS, OF_IPV6, Firewall
from tests.kernel.conftest import edge, top, version
from tests.kernel.driver import CONFIGURED, ON_LINK, ROUTED, Edge
from tests.kernel.questions import reaches, silent, tells
from tests.kernel.topology import Topology
from zthook.model.mappings import Forwarding
from zthook.model.publication import Egress, Mode

__all__ = ["edge", "top", "version"]
pytestmark = pytest.mark.netns
INTERNET = "198.51.100.7"


@pytest.fixture(params=FIREWALLS, ids=str)
def firewall(request: pytest.FixtureRequest, edge: Edge) -> Firewall:
    """It stands on the edge, and lets nothing through."""
    firewall: Firewall = request.param
    firewall.start(edge.inside.name, edge.top.version)
    return firewall


def mappings(top: Topology, edge: Edge) -> list[Forwarding]:
    """One of each mode, and one whose guest's own connections leave by the edge."""
    top.translate(top.home2, ON_LINK, "192.168.122.50")
    return [
        edge.mapping(CONFIGURED, 1, "192.168.122.50"),
        edge.mapping(ROUTED, 1, "192.168.122.51", egress=Egress.PUBLIC),
        edge.mapping(ON_LINK, 2, mode=Mode.ROUTED),
    ]


def check(top: Topology, edge: Edge) -> None:
    """All three ways in, and the one way out."""
    assert reaches(top.client, CONFIGURED)
    assert tells(top.client, ON_LINK).startswith(b"guest2 ")
    assert reaches(top.client, ROUTED)
    top.serve(top.client, 8080, b"client ")
    assert reaches(top.guest1, INTERNET, 8080, source="192.168.122.51")
    assert silent(reaches, top.guest1, INTERNET, 8080, source="192.168.122.50")


def traces(edge: Edge) -> str:
    """What names us in any firewall."""
    legacy = f"{'ip6tables' if edge.top.version == 6 else 'iptables'}-legacy -S"
    listed = ("iptables-save", "ip6tables-save", legacy, "nft list ruleset")
    lines = "".join(edge.inside.run(one) for one in listed).splitlines()
    return "\n".join(line for line in lines if "zthook-edge" in line)


def test_mappings_of_each_kind_pass_and_nothing_else(
    top: Topology, edge: Edge, firewall: Firewall
) -> None:
    pass_and_nothing_else(top, edge)


@pytest.mark.parametrize("version", [6])
@pytest.mark.parametrize("firewall", OF_IPV6, indirect=True, ids=str)
def test_mappings_of_ipv6_pass_and_nothing_else(
    top: Topology, edge: Edge, firewall: Firewall
) -> None:
    pass_and_nothing_else(top, edge)


def pass_and_nothing_else(top: Topology, edge: Edge) -> None:
    some = mappings(top, edge)
    edge.apply(*some)
    assert traces(edge)
    check(top, edge)
    assert silent(reaches, top.client, "192.0.2.11")
    edge.change(withdraw=some)
    assert not traces(edge)


def test_when_it_is_set_up_anew_mappings_pass_again(
    top: Topology, edge: Edge, firewall: Firewall
) -> None:
    edge.apply(*mappings(top, edge))
    firewall.start(edge.inside.name)
    assert edge.drifted()
    edge.apply()
    check(top, edge)
    edge.apply()
    assert not edge.drifted()


def test_the_first_mapping_of_all_is_let_through_at_once(
    edge: Edge, top: Topology, firewall: Firewall
) -> None:
    edge.apply()
    assert not traces(edge)
    edge.change(grant=[edge.mapping(ROUTED)])
    assert reaches(top.client, ROUTED)
    edge.change(withdraw=[edge.mapping(ROUTED)])
    assert not traces(edge)


def test_without_our_own_table_it_lets_nothing_through(
    edge: Edge, top: Topology, firewall: Firewall
) -> None:
    """What our table has not marked does not fit our rule in others."""
    edge.apply(edge.mapping(ROUTED))
    edge.inside.run("nft delete table inet zthook")
    edge.inside.run("ip route add 192.0.2.77 via 192.168.193.2 dev zt0")
    top.home1.run("ip addr add 192.0.2.77/32 dev lo")
    top.serve(top.home1, 80, b"home1 ")
    edge.inside.run("sysctl -qw net.ipv4.conf.all.forwarding=1")
    assert silent(reaches, top.client, "192.0.2.77")
