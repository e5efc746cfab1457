"""On ZeroTier a host's MAC follows from its node id, whoever answers ARP for its address."""

from dataclasses import replace

from tests.edge.world import SETTINGS, Agent, Edge, address_of
from zthook.config.settings import OverlaySettings
from zthook.overlay.member_mac import member_mac

NETWORK, MEMBER = "b87d70f46bc5c578", "5d4548d482"
P, X = "203.0.113.10", "192.168.122.50"
POISONER = "02:00:00:00:66:66"


def on_zerotier() -> Edge:
    return Edge(settings=replace(SETTINGS, overlay=OverlaySettings("zerotier", network=NETWORK)))


def host_of(edge: Edge) -> tuple[str | None, str]:
    (host,) = edge.service.hosts()
    return host.mac, host.fault


def poison(edge: Edge, mac: str = POISONER) -> None:
    """Another member answers ARP for home1's address."""
    edge.inside.kernel.macs[address_of("home1")] = mac  # type: ignore[attr-defined]


def test_a_members_mac_is_reckoned_not_believed() -> None:
    edge = on_zerotier()
    poison(edge, member_mac(NETWORK, MEMBER))
    agent = edge.host("home1", member=MEMBER)
    poison(edge)
    assert agent.heartbeat().fault
    agent.list()
    mac, fault = host_of(edge)
    assert mac == member_mac(NETWORK, MEMBER)
    assert POISONER in fault
    assert MEMBER in fault
    poison(edge, member_mac(NETWORK, MEMBER))
    edge.advance(61)
    assert not agent.heartbeat().fault


def test_it_is_known_before_the_neighbour_is() -> None:
    edge = on_zerotier()
    del edge.inside.kernel.macs[address_of("home1")]  # type: ignore[attr-defined]
    edge.host("home1", member=MEMBER)
    assert host_of(edge) == (member_mac(NETWORK, MEMBER), "")


def test_where_the_member_is_not_known_the_neighbour_is_believed() -> None:
    edge = on_zerotier()
    agent: Agent = edge.host("home1")
    poison(edge)
    agent.heartbeat()
    assert host_of(edge) == (POISONER, "")


def test_on_another_overlay_too() -> None:
    edge = Edge()
    agent = edge.host("home1", member=MEMBER)
    poison(edge)
    agent.heartbeat()
    assert host_of(edge) == (POISONER, "")
