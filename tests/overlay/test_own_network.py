"""A network of this node's own: made once, and left as it is then."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from tests.overlay.conftest import Kernel
from tests.overlay.fake_zerotier import FakeZeroTier
from zthook.errors import OverlayDown, Refused
from zthook.overlay import ZeroTierOverlay
from zthook.overlay.own_network import USUAL_RANGE, OwnNetwork

RANGE = IPv4Network("10.86.77.0/24")


@pytest.fixture
def own(zerotier: FakeZeroTier) -> OwnNetwork:
    return OwnNetwork(zerotier.home)


def carried(rules: list[dict[str, Any]]) -> set[int]:
    """The EtherTypes that the rules let through, of all that there are.

    As the rules engine has it: a match that does not hold ends its set, and an action whose
    set held ends the walk.
    """
    let_through = set()
    for kind in range(1 << 16):
        holds = True
        for rule in rules:
            if rule["type"] == "MATCH_ETHERTYPE":
                holds &= (rule["etherType"] == kind) is not rule["not"]
            elif holds:
                let_through |= {kind} if rule["type"] == "ACTION_ACCEPT" else set()
                break
            else:
                holds = True
    return let_through


def test_it_is_private_and_carries_ip_whatever_the_addresses(
    own: OwnNetwork, zerotier: FakeZeroTier
) -> None:
    made = own.make(RANGE)
    assert (made.range, made.new) == (RANGE, True)
    network = zerotier.networks[own.id]
    assert network["private"] is True
    assert network["routes"] == [{"target": "10.86.77.0/24", "via": None}]
    assert network["ipAssignmentPools"] == [
        {"ipRangeStart": "10.86.77.2", "ipRangeEnd": "10.86.77.254"}
    ]
    assert network["v4AssignMode"] == {"zt": True}
    assert carried(network["rules"]) == {0x0800, 0x0806, 0x86DD}


def test_what_is_there_stays_as_it_is(own: OwnNetwork, zerotier: FakeZeroTier) -> None:
    assert own.range() is None
    own.make(None)
    before = dict(zerotier.networks[own.id], name="renamed by its owner")
    zerotier.networks[own.id] = before
    for wanted in (None, USUAL_RANGE):
        again = own.make(wanted)
        assert (again.range, again.new) == (USUAL_RANGE, False)
    with pytest.raises(Refused, match=f"is there already, with the range {USUAL_RANGE}"):
        own.make(RANGE)
    assert zerotier.networks == {own.id: before}


def test_a_network_without_a_range_is_named(own: OwnNetwork, zerotier: FakeZeroTier) -> None:
    own.make(None)
    others = [{"target": "10.0.0.0/8", "via": "10.147.20.7"}, {"target": "fd00::/64", "via": None}]
    zerotier.networks[own.id]["routes"] = others
    with pytest.raises(Refused, match="has no range of addresses"):
        own.make(None)


def test_it_lets_itself_in_at_the_first_address_and_nobody_else(
    own: OwnNetwork, zerotier: FakeZeroTier, kernel: Kernel
) -> None:
    own.make(RANGE)
    overlay = ZeroTierOverlay(own.id, zerotier.home, kernel)
    overlay.join()
    with pytest.raises(OverlayDown, match=f"node {own.node} is not authorised"):
        overlay.observe()
    own.let_itself_in(RANGE[1])
    assert list(zerotier.members) == [own.node]
    kernel.add("ztjqllkmit", "10.86.77.1")
    assert overlay.observe().addresses == (IPv4Address("10.86.77.1"),)
    zerotier.members[own.node]["ipAssignments"] = ["10.86.77.9"]
    own.let_itself_in(RANGE[1])
    assert zerotier.members[own.node]["ipAssignments"] == ["10.86.77.9"], "its owner's choice"


def test_a_daemon_without_a_controller(
    own: OwnNetwork, zerotier: FakeZeroTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zerotier, "_own_network", lambda *_: (404, b""))
    with pytest.raises(OverlayDown, match=f"did not make network {own.id}") as caught:
        own.make(None)
    assert "--zerotier NETWORK" in caught.value.hint


def test_whether_it_is_online(own: OwnNetwork, zerotier: FakeZeroTier) -> None:
    assert own.online()
    zerotier.status = "status-offline"
    assert not own.online()
