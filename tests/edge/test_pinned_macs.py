"""Of a host with mappings nobody is asked who has its address, while its MAC is known."""

import msgspec
import pytest

from tests.edge.test_member_macs import (
    MEMBER,
    NETWORK,
    POISONER,
    P,
    X,
    host_of,
    on_zerotier,
    poison,
)
from tests.edge.world import Agent, Edge, address_of, overlay_mac
from zthook.errors import NotFound
from zthook.overlay.member_mac import member_mac
from zthook.wire.messages import HeartbeatRequest

HOME = address_of("home1")
OWN, OTHER = overlay_mac(HOME), "02:00:00:00:01:99"
OTHER_MEMBER = "89e92ceee5"


def pinned(edge: Edge) -> dict[str, str]:
    kernel = edge.inside.kernel  # type: ignore[attr-defined]
    return {str(one.address): one.mac for one in kernel.pinned}


def mapped(edge: Edge, own_mac: str = "", **more: object) -> Agent:
    """home1, which says that it has that MAC, with a mapping."""
    agent = edge.host("home1", own_mac, **more)
    agent.claim(1, P, X)
    return agent


# Where the overlay makes sure of it.


def test_a_members_is_for_as_long_as_it_has_mappings() -> None:
    edge = on_zerotier()
    poison(edge, member_mac(NETWORK, MEMBER))
    agent = mapped(edge, member=MEMBER)
    there = {str(HOME): member_mac(NETWORK, MEMBER)}
    assert pinned(edge) == there
    poison(edge)
    assert not agent.heartbeat().fault, "nobody is believed any more"
    edge.advance(61)
    assert host_of(edge)[0] == member_mac(NETWORK, MEMBER)
    assert pinned(edge) == there, "also while it is silent"
    edge.boot()
    assert pinned(edge) == there
    edge.advance(700)
    assert pinned(edge) == {}, "its mappings ended"


def test_who_comes_back_as_another_member_is_reached_as_that_one() -> None:
    """Else he would not be heard: what he is answered went to the one before."""
    edge = on_zerotier()
    mapped(edge, member=MEMBER)
    edge.service.add_host("home1", member=OTHER_MEMBER)
    assert pinned(edge) == {str(HOME): member_mac(NETWORK, OTHER_MEMBER)}
    assert edge.state(P, "home1") == "active"


def test_whose_node_it_is_can_be_said_later() -> None:
    """As `zthook edge host approve NODEID --host home1` does."""
    edge = on_zerotier()
    mapped(edge)
    edge.service.name_member("home1", MEMBER)
    assert pinned(edge) == {str(HOME): member_mac(NETWORK, MEMBER)}
    assert edge.state(P, "home1") == "active"
    with pytest.raises(NotFound, match="no host 'home7'"):
        edge.service.name_member("home7", MEMBER)


def test_a_member_that_says_it_is_another_is_named_and_asked_for() -> None:
    """A wrong --member would keep the host away for good."""
    edge = on_zerotier()
    agent = mapped(edge, OWN, member=MEMBER)
    assert pinned(edge) == {}
    mac, fault = host_of(edge)
    assert mac == member_mac(NETWORK, MEMBER)
    assert OWN in fault
    assert MEMBER in fault
    agent.own_mac = member_mac(NETWORK, MEMBER)
    agent.heartbeat()
    assert pinned(edge) == {str(HOME): member_mac(NETWORK, MEMBER)}


# Where only ARP tells, and the host itself.


@pytest.mark.parametrize("said", ["", OWN], ids=["says nothing", "says it"])
def test_a_hosts_is_until_it_falls_silent(said: str) -> None:
    edge = Edge()
    agent = mapped(edge, said)
    assert pinned(edge) == {str(HOME): OWN}
    poison(edge)
    agent.heartbeat()
    agent.list()
    assert host_of(edge)[0] == OWN, "a later impostor is powerless"
    steps = len(edge.kernel.log)
    edge.advance(30)
    agent.heartbeat()
    edge.advance(59)
    assert pinned(edge) == {str(HOME): OWN}
    edge.advance(2)
    assert pinned(edge) == {}
    assert edge.state(P, "home1") == "active"
    assert edge.kernel.log[steps:].count("-203.0.113.10") == 0, "and its connections go on"


@pytest.mark.parametrize("said", [False, True], ids=["says nothing", "says it"])
def test_one_with_another_mac_is_back_after_a_lease(said: bool) -> None:
    edge = Edge()
    agent = mapped(edge, OWN if said else "")
    edge.advance(61)
    poison(edge, OTHER)
    agent.own_mac = OTHER if said else ""
    agent.heartbeat()
    assert host_of(edge) == (OTHER, "")
    assert pinned(edge) == {str(HOME): OTHER}
    assert edge.state(P, "home1") == "active"


def test_a_daemon_that_starts_anew_pins_it_for_another_lease() -> None:
    edge = Edge()
    mapped(edge)
    edge.advance(61)
    edge.boot()
    assert pinned(edge) == {str(HOME): OWN}
    edge.advance(61)
    assert pinned(edge) == {}


def test_an_impostor_is_not_believed_where_the_host_says_otherwise() -> None:
    """Nor at its first word, nor when it comes back after it was silent."""
    edge = Edge()
    poison(edge)
    agent = mapped(edge, OWN)
    assert pinned(edge) == {}
    assert "waits for the overlay's neighbour entry" in edge.mappings()[P, "home1"].reason
    mac, fault = host_of(edge)
    assert mac is None
    assert POISONER in fault
    assert OWN in fault
    poison(edge, OWN)
    edge.advance(3)
    assert pinned(edge) == {str(HOME): OWN}, "nor is it waited for to be heard again"
    edge.advance(60)
    poison(edge)
    agent.heartbeat()
    assert host_of(edge)[0] == OWN
    assert pinned(edge) == {str(HOME): OWN}


def test_what_a_host_says_alone_is_not_believed() -> None:
    """It would have its guests' packets sent to another member."""
    edge = Edge()
    agent = mapped(edge, OWN)
    agent.own_mac = OTHER
    agent.heartbeat()
    assert host_of(edge)[0] == OWN
    assert pinned(edge) == {}, "but it is asked again"
    agent.own_mac = OWN
    agent.heartbeat()
    assert pinned(edge) == {str(HOME): OWN}


def test_one_that_moves_is_known_there_at_once_where_it_says_who_it_is() -> None:
    edge = Edge()
    agent = mapped(edge, OWN)
    agent.source = HOME + 100
    del edge.inside.kernel.macs[agent.source]  # type: ignore[attr-defined]
    agent.heartbeat()
    assert pinned(edge) == {str(HOME + 100): OWN}


@pytest.mark.parametrize("said", ["02:00", "02:00:00:00:01:0B", "a" * 17, "02:00:00:00:01:0b\n"])
def test_only_a_mac_can_be_said(said: str) -> None:
    body = msgspec.json.encode({"session": 1, "sequence": 1, "overlay_mac": said})
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=HeartbeatRequest)
