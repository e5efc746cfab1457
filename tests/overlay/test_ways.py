"""Which way a ZeroTier node takes to another, from what 1.14.1 said."""

import json
from pathlib import Path
from socket import create_server
from typing import Any

import msgspec
import pytest

from tests.overlay.fake_zerotier import NETWORK, RECORDED, FakeZeroTier
from zthook.config.settings import OverlaySettings
from zthook.errors import OverlayDown
from zthook.model.paths import OverlayPath
from zthook.overlay import paths_of
from zthook.overlay.member_mac import member_mac, member_of
from zthook.overlay.ways import FRESH_SECONDS, ZeroTierPaths, path_of
from zthook.overlay.zerotier_api import PeerView

DEVICE = "ztjqllkmit"
HOST1, HOST2, STRANGER = (
    member_mac(NETWORK, one) for one in ("25d65e9f35", "4e41020f73", "0123456789")
)
NOW = 1795380436.0
"""When the peers were recorded."""


@pytest.fixture
def paths(zerotier: FakeZeroTier) -> ZeroTierPaths:
    return ZeroTierPaths(zerotier.home, lambda: NOW)


def test_a_peer_with_a_preferred_path_is_reached_directly(paths: ZeroTierPaths) -> None:
    found = paths(DEVICE, [HOST1, HOST2, STRANGER])
    assert found == {
        HOST1: OverlayPath(direct=True, latency=0.0, address="192.0.2.36/25757"),
        HOST2: OverlayPath(direct=True, latency=0.0, address="192.0.2.36/36487"),
    }


def test_the_network_is_that_of_the_device(zerotier: FakeZeroTier, paths: ZeroTierPaths) -> None:
    zerotier.joined = "network-list-two"
    assert HOST1 in paths(DEVICE, [HOST1])
    assert paths("ztjqlhakwg", [HOST1]) == {}, "its MAC is another one there"
    assert paths("ztnetworkX", [HOST1]) == {}


def test_of_another_kind_of_device_nothing_is_asked(
    zerotier: FakeZeroTier, paths: ZeroTierPaths
) -> None:
    assert paths("br-overlay", [HOST1]) == {}
    assert zerotier.served == []


def test_both_drivers_ask_as_the_device_may_be_zerotiers(zerotier: FakeZeroTier) -> None:
    by_network = OverlaySettings("zerotier", network=NETWORK, home=zerotier.home)
    assert paths_of(by_network)(DEVICE, [HOST1])[HOST1].direct
    assert paths_of(OverlaySettings("interface", interface="br0"))("br0", [HOST1]) == {}


def recorded_peer(recording: str, member: str, **changes: Any) -> PeerView:
    peers = json.loads((RECORDED / f"{recording}.json").read_text())
    [found] = [one for one in peers if one["address"] == member]
    return msgspec.convert(found | changes, PeerView)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (
            recorded_peer("peer-list-with-moon", "5d4548d482"),
            OverlayPath(direct=True, latency=0.002, address="192.0.2.20/40816"),
        ),
        # Its path is still called active, but no packet came by it for five minutes.
        (recorded_peer("peer-list-root-lost", "b87d70f46b"), OverlayPath(direct=False)),
        # Not recorded: what a node says of a peer without any path, or by a TCP relay.
        (
            recorded_peer("peer-list", "25d65e9f35", paths=[], latency=140),
            OverlayPath(direct=False, latency=0.14),
        ),
        (
            recorded_peer("peer-list", "25d65e9f35", tunneled=True),
            OverlayPath(direct=False, latency=0.0),
        ),
    ],
    ids=["moon", "root lost", "no path", "tunneled"],
)
def test_what_is_said_of_a_peer(peer: PeerView, expected: OverlayPath) -> None:
    assert path_of(peer, NOW) == expected


def test_a_bond_prefers_no_path_and_is_direct_while_one_is_heard() -> None:
    bond = recorded_peer("peer-list-root-lost", "b87d70f46b", isBonded=True)
    heard = bond.paths[0].last_receive / 1000
    assert path_of(bond, heard + 1).direct
    assert not path_of(bond, heard + FRESH_SECONDS + 1).direct


def test_a_mac_that_is_no_members_own() -> None:
    assert member_of(NETWORK, HOST1) == "25d65e9f35"
    assert member_of(NETWORK, "52:54:00:aa:00:01") is None


def test_a_daemon_that_hangs_is_given_up_soon(tmp_path: Path, zerotier: FakeZeroTier) -> None:
    with create_server(("127.0.0.1", 0)) as silent:
        (zerotier.home / "zerotier-one.port").write_text(str(silent.getsockname()[1]))
        with pytest.raises(OverlayDown, match=r"did not answer within 0\.5 s"):
            ZeroTierPaths(zerotier.home)(DEVICE, [HOST1])
