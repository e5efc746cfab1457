"""`zthook edge init --controller` against the recorded API: what is made, said, and kept."""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from tests.cli_edge.conftest import Places
from tests.overlay.conftest import Kernel
from tests.overlay.fake_zerotier import FakeZeroTier, running
from zthook.cli import edge_controller
from zthook.config.loading import load_edge
from zthook.kernel.links import OnLink
from zthook.overlay import ZeroTierOverlay

Zthook = Callable[..., tuple[int, str, str]]
NETWORK = "b87d70f46b7a7468"
DEVICE = "ztjqllkmit"


@pytest.fixture
def zerotier(tmp_path: Path) -> Iterator[FakeZeroTier]:
    with running(tmp_path / "zerotier-one") as fake:
        fake.status = "status-controller"
        yield fake


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """It has the device as soon as the daemon does."""
    kernel = Kernel()
    kernel.add(DEVICE, "10.147.20.1")
    monkeypatch.setattr(
        edge_controller, "ZeroTierOverlay", lambda *known: ZeroTierOverlay(*known, kernel)
    )
    return kernel


@pytest.fixture
def init(zthook: Zthook, zerotier: FakeZeroTier, places: Places) -> Zthook:
    def run(*options: str) -> tuple[int, str, str]:
        return zthook("edge", "init", "--zerotier-home", str(zerotier.home), *options)

    return run


def test_from_nothing_to_an_edge_on_its_own_network(
    init: Zthook, zerotier: FakeZeroTier, places: Places
) -> None:
    code, out, err = init("--controller")
    assert (code, err) == (0, "")
    assert f"made   ZeroTier network {NETWORK}: 10.147.20.0/24, controlled by this node" in out
    assert f"joined {NETWORK}: this edge is 10.147.20.1 there" in out
    overlay = load_edge(places.config / "edge.toml").overlay
    assert (overlay.driver, overlay.network, overlay.home) == ("zerotier", NETWORK, zerotier.home)
    assert {one: member["authorized"] for one, member in zerotier.members.items()} == {
        "b87d70f46b": True
    }


def test_again_it_changes_nothing(init: Zthook, zerotier: FakeZeroTier, places: Places) -> None:
    init("--controller", "--range", "10.147.20.0/24")
    before = (dict(zerotier.networks), dict(zerotier.members))
    code, out, err = init("--controller")
    assert (code, err) == (0, "")
    assert out.count("kept") == 4
    assert (zerotier.networks, zerotier.members) == before


def test_what_broke_off_half_way_goes_on(
    init: Zthook, zerotier: FakeZeroTier, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    zerotier.tun = False
    code, _, err = init("--controller")
    assert code == 1
    assert "it made no device" in err
    assert "/dev/net/tun" in err
    assert not (places.config / "edge.toml").exists()
    zerotier.tun = True
    code, out, _ = init("--controller")
    assert code == 0
    assert f"kept   ZeroTier network {NETWORK}" in out


def test_an_edge_on_another_overlay_keeps_it(
    init: Zthook, zerotier: FakeZeroTier, places: Places
) -> None:
    assert init("--zerotier", "deadbeef0000cafe")[0] == 0
    code, _, err = init("--controller")
    assert code == 1
    assert "is ZeroTier network deadbeef0000cafe, and not a network of this node's own" in err
    assert zerotier.networks == {}


def test_a_node_that_is_offline(
    init: Zthook, zerotier: FakeZeroTier, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_controller, "ONLINE_SECONDS", 0.0)
    zerotier.status = "status-offline"
    code, _, err = init("--controller")
    assert code == 1
    assert "this ZeroTier node, 5d4548d482, is offline" in err
    assert "UDP port 9993" in err
    assert zerotier.networks == {}
    assert not (places.config / "edge.toml").exists()


def test_no_zerotier_here(init: Zthook, zerotier: FakeZeroTier, places: Places) -> None:
    zerotier.stop()
    code, _, err = init("--controller")
    assert code == 1
    assert "zerotier-one does not run" in err
    assert "systemctl start zerotier-one" in err
    (zerotier.home / "authtoken.secret").unlink()
    code, _, err = init("--controller")
    assert code == 1
    assert "install and start zerotier-one" in err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--controller", "--zerotier", NETWORK), "give one of --controller"),
        ((), "--controller makes a ZeroTier network here"),
        (("--zerotier", NETWORK, "--range", "10.1.1.0/24"), "--range goes with --controller"),
        (("--controller", "--range", "10.1.1.7/24"), "a range begins at 10.1.1.0: 10.1.1.0/24"),
        (("--controller", "--range", "10.1.1"), "is no range of IPv4 addresses"),
        (("--controller", "--range", "fd00::/64"), "is no range of IPv4 addresses"),
        (("--controller", "--range", "8.8.8.0/24"), "is not for private networks"),
        (("--controller", "--range", "10.1.1.0/30"), "too small for an edge and its hosts"),
        (("--controller", "--range", "127.0.0.0/24"), "is not for private networks"),
    ],
)
def test_mistyped(init: Zthook, zerotier: FakeZeroTier, options: tuple[str, ...], why: str) -> None:
    code, _, err = init(*options)
    assert code == 2
    assert why in err
    assert zerotier.networks == {}


def test_a_range_that_this_machine_is_on_already(
    init: Zthook, zerotier: FakeZeroTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = (OnLink(IPv4Network("10.147.0.0/16"), "eth0"),)
    monkeypatch.setattr("zthook.kernel.links.connected_prefixes", lambda: near)
    code, _, err = init("--controller")
    assert code == 2
    assert "10.147.20.0/24 is in use on this machine: eth0 is on 10.147.0.0/16" in err
    assert zerotier.networks == {}
