"""The rules' shape changes while packets pass: none of them is lost, and none passes unseen."""

import pytest

from tests.kernel.driver import CONFIGURED, ON_LINK, ROUTED, Edge
from tests.kernel.questions import reaches, silent, tells
from tests.kernel.second_provider import ON_LINK as BY_SECOND
from tests.kernel.second_provider import SecondProvider, join, ways
from tests.kernel.second_provider import mapping as by_either
from tests.kernel.test_edge_replacing import CROSSING, Flow, flows
from tests.kernel.topology import Topology
from zthook.model.mappings import Forwarding
from zthook.model.publication import Mode

pytestmark = pytest.mark.netns

UNTRANSLATED = "192.0.2.11"
TIMES = 2
BOTH = pytest.mark.parametrize("version", [4, pytest.param(6, marks=pytest.mark.long)])
SHELTER, UNTRACKED, CLAMP = "jump cookies", "@untracked", "maxseg size set oifname"
"""What rules say that are only there for some edges."""


def crossed(edge: Edge) -> list[Forwarding]:
    """A whole address, and one port of another: what everybody may reach is known by two sets."""
    return [
        edge.mapping(ON_LINK),
        edge.mapping(ROUTED, private="192.168.122.51", ports=["udp/7003"]),
    ]


def rules_of(edge: Edge) -> str:
    return edge.inside.run("nft -s list chain inet zthook forward") + "".join(
        edge.inside.run(f"nft -s list chain inet zthook {name}")
        for name in ("untrack", "to_whole", "to_guests")
    )


def passing(some: list[Flow]) -> None:
    for one in some:
        one.goes_on()


@BOTH
def test_no_packet_is_lost_when_the_first_of_a_kind_comes_and_the_last_goes(
    top: Topology, edge: Edge
) -> None:
    hides = edge.mapping(CONFIGURED, hide=True)
    routed = edge.mapping(UNTRANSLATED, private=UNTRANSLATED, mode=Mode.ROUTED)
    edge.apply(*crossed(edge))
    with flows(top, *CROSSING) as some:
        for _ in range(TIMES):
            assert not [word for word in (SHELTER, UNTRACKED) if word in rules_of(edge)]
            edge.change(grant=[hides])
            assert SHELTER in rules_of(edge)
            assert tells(top.client, CONFIGURED).startswith(b"guest1 ")
            passing(some)
            edge.change(grant=[routed])
            assert UNTRACKED in rules_of(edge)
            passing(some)
            edge.change(withdraw=[hides])
            assert SHELTER not in rules_of(edge)
            passing(some)
            edge.change(withdraw=[routed])
            passing(some)
    assert edge.apply() == []


@BOTH
def test_no_packet_is_lost_when_another_daemon_finds_another_edge(
    top: Topology, edge: Edge
) -> None:
    """The one before had died after it stored what came, or what went."""
    hides = edge.mapping(CONFIGURED, hide=True)
    edge.apply(*crossed(edge))
    with flows(top, *CROSSING) as some:
        for mappings in ([*crossed(edge), hides], crossed(edge)):
            for mtu in (1400, 2800):
                edge.stop()
                edge.inside.run(f"ip link set zt0 mtu {mtu}")
                edge.apply(*mappings)
                assert (CLAMP in rules_of(edge)) is (mtu == 1400)
                assert (SHELTER in rules_of(edge)) is (hides in mappings)
                assert edge.apply() == []
                passing(some)


@pytest.fixture
def second(top: Topology) -> SecondProvider:
    return SecondProvider(top)


@BOTH
def test_no_packet_is_lost_when_a_second_uplink_comes_and_goes(
    top: Topology, edge: Edge, second: SecondProvider
) -> None:
    alone = edge.plane
    edge.apply(*crossed(edge))
    with flows(top, *CROSSING) as some:
        for _ in range(TIMES):
            assert 'iifname "eth0"' in rules_of(edge)
            join(edge)
            edge.apply(*crossed(edge), by_either(edge, BY_SECOND))
            assert "iifname @uplinks" in rules_of(edge)
            assert ways(edge.inside)
            assert tells(top.client, BY_SECOND).startswith(b"guest1 ")
            passing(some)
            edge.plane = alone
            edge.apply(*crossed(edge))
            passing(some)
    assert second.strays() == []
    assert edge.apply() == []


def test_a_change_and_a_pass_come_to_the_same_rules(top: Topology, edge: Edge) -> None:
    kinds = [
        edge.mapping(ON_LINK),
        edge.mapping("203.0.113.31", hide=True),
        edge.mapping(UNTRANSLATED, private=UNTRANSLATED, mode=Mode.ROUTED),
        edge.mapping(ROUTED, private="192.168.122.52", host_hides=True),
    ]
    edge.apply(kinds[0])
    for one in kinds[1:]:
        edge.change(grant=[one])
        assert not edge.drifted()
        assert edge.apply() == []
    for one in kinds:
        edge.change(withdraw=[one])
        assert silent(reaches, top.client, str(one.public))
        assert edge.apply() == []
