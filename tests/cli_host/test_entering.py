"""`zthook join` with a token that names a ZeroTier network, and `leave`, on the recorded API."""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.cli_host.conftest import Agent
from tests.cli_host.test_status import CREDENTIAL
from tests.overlay.conftest import Kernel
from tests.overlay.fake_zerotier import NETWORK, FakeZeroTier, running
from zthook.cli import entering, progress
from zthook.cli import join as joining
from zthook.config.loading import load_host
from zthook.config.places import Places
from zthook.config.settings import OverlaySettings
from zthook.errors import ConfigError, EdgeUnreachable
from zthook.host.credential import Credential, save_credential
from zthook.kernel.links import OnLink
from zthook.overlay import ZeroTierOverlay
from zthook.wire.token import Token, write_token

Zthook = Callable[..., tuple[int, str, str]]
DEVICE, MOON = "ztjqllkmit", "b87d70f46b"
IN = Token("e1", "0" * 64, "192.168.193.222", 9443, "s3cret", NETWORK, "", "home1")
TOKEN = write_token(IN)
WITH_MOON = write_token(Token("e1", "0" * 64, "192.168.193.222", 9443, "s3cret", NETWORK, MOON))


@pytest.fixture
def zerotier(tmp_path: Path) -> Iterator[FakeZeroTier]:
    with running(tmp_path / "zerotier-one") as fake:
        yield fake


class Edge:
    """It answers, and enrols who asks: what it says on the wire has tests of its own."""

    def __init__(self) -> None:
        self.answers = True
        self.spent: list[str] = []

    def join(self, path: Path, token: str) -> Credential:
        self.spent.append(token)
        save_credential(path, CREDENTIAL)
        return CREDENTIAL

    async def goodbye(self, *_: object) -> None:
        """Gladly."""

    def fetch_ca(self, *_: object, **__: object) -> str:
        if not self.answers:
            raise EdgeUnreachable("no edge answers at 192.168.193.222:9443", hint="ping it")
        return "the CA"


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch, agent: Agent) -> Edge:
    kernel, edge = Kernel(), Edge()
    kernel.add(DEVICE, "192.168.193.242")
    monkeypatch.setattr(entering, "ZeroTierOverlay", lambda *known: ZeroTierOverlay(*known, kernel))
    monkeypatch.setattr(entering, "fetch_ca", edge.fetch_ca)
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(entering, "DENIED_SECONDS", 0.0)
    monkeypatch.setattr("zthook.host.enrolment.join", edge.join)
    monkeypatch.setattr("zthook.host.enrolment.fingerprint", lambda _pem: IN.ca)
    monkeypatch.setattr("zthook.host.enrolment._say_goodbye", edge.goodbye)
    return edge


@pytest.fixture
def join(zthook: Zthook, zerotier: FakeZeroTier, places: Places, edge: Edge) -> Zthook:
    def run(token: str = TOKEN, *options: str) -> tuple[int, str, str]:
        return zthook("join", token, "--zerotier-home", str(zerotier.home), *options)

    return run


def test_it_joins_shows_its_node_waits_to_be_let_in_and_enrols(
    join: Zthook, zerotier: FakeZeroTier, places: Places
) -> None:
    steps = ("network-requesting", "network-access-denied", "network-ok")
    zerotier.coming = [step for step in steps for _ in range(2)]
    code, out, err = join()
    assert (code, err) == (0, "")
    assert out.splitlines()[:5] == [
        "node    this machine is ZeroTier node 5d4548d482",
        f"waits   for network {NETWORK} to answer",
        f"waits   to be let in: node 5d4548d482 is not authorised in network {NETWORK} yet",
        "        on the edge: zthook edge host approve 5d4548d482 --host home1   (if another node"
        " is the controller, there: b87d70f46b, or my.zerotier.com)",
        f"joined  network {NETWORK}: this machine is 192.168.193.242 on {DEVICE}",
    ]
    assert "this host is home1 at the edge" in out
    overlay = load_host(places.host_config).overlay
    assert overlay == OverlaySettings("zerotier", network=NETWORK, home=zerotier.home)


def test_who_was_let_in_before_does_not_wait(
    join: Zthook, zerotier: FakeZeroTier, places: Places
) -> None:
    zerotier.coming = ["network-ok"]
    code, out, _ = join()
    assert code == 0
    assert "not authorised" not in out


def test_what_it_was_told_when_it_asked_before_is_not_taken_for_an_answer(
    join: Zthook, zerotier: FakeZeroTier, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen with 1.14.1: it joins again, was let in meanwhile, and says for a moment it was not."""
    monkeypatch.setattr(entering, "DENIED_SECONDS", 60.0)
    zerotier.coming = ["network-access-denied"] * 4 + ["network-ok"]
    code, out, _ = join()
    assert code == 0
    assert "not authorised" not in out


def test_a_network_that_it_was_in_is_not_left(
    join: Zthook, zthook: Zthook, zerotier: FakeZeroTier, places: Places
) -> None:
    zerotier.network = "network-ok"
    assert join()[0] == 0
    code, out, _ = zthook("leave")
    assert code == 0
    assert "left ZeroTier" not in out
    assert zerotier.network == "network-ok"


def test_leave_undoes_what_join_did_and_join_does_it_again(
    join: Zthook, zthook: Zthook, zerotier: FakeZeroTier, places: Places
) -> None:
    for _ in range(2):
        zerotier.coming = ["network-ok"]
        assert join(WITH_MOON)[0] == 0
        assert list(zerotier.moons) == [MOON]
        code, out, _ = zthook("leave")
        assert code == 0
        assert f"left ZeroTier network {NETWORK}, which join had entered" in out
        assert f"left the moon {MOON}" in out
        assert (zerotier.network, zerotier.moons) == (None, {})
        places.host_config.unlink()
    assert zthook("leave")[0] == 1


def test_host_toml_stays_and_counts_when_it_joins_again(
    join: Zthook, zthook: Zthook, zerotier: FakeZeroTier, places: Places
) -> None:
    zerotier.coming = ["network-ok"]
    join()
    zthook("leave")
    zerotier.coming = ["network-ok"]
    code, out, _ = zthook("join", TOKEN)
    assert code == 0
    assert f"joined  network {NETWORK}" in out


def test_nobody_lets_it_in(
    join: Zthook, zthook: Zthook, zerotier: FakeZeroTier, edge: Edge, places: Places,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(entering, "LET_IN_SECONDS", 0.0)
    zerotier.coming = ["network-access-denied"]
    code, _, err = join()
    assert code == 1
    assert "waited 0 s to be let in: node 5d4548d482 is not authorised" in err
    assert "the token is not spent" in err
    assert edge.spent == []
    assert not places.host_config.exists()
    code, out, _ = zthook("leave")
    assert (code, zerotier.network) == (0, None)
    assert "left ZeroTier network" in out


def test_ctrl_c_while_it_waits_spends_nothing(
    join: Zthook, zerotier: FakeZeroTier, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zthook.cli.progress.time.sleep", press)
    code, out, _ = join()
    assert code == 130
    assert out.splitlines()[-1] == "the token is not spent: run the same command again"
    assert edge.spent == []


def test_a_network_that_is_not_there_is_not_waited_for(
    join: Zthook, zerotier: FakeZeroTier, edge: Edge
) -> None:
    zerotier.coming = ["network-not-found"]
    code, _, err = join()
    assert code == 1
    assert "knows no network" in err


def test_an_edge_that_does_not_answer_over_the_overlay(
    join: Zthook, zerotier: FakeZeroTier, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entering, "REACH_SECONDS", 0.0)
    monkeypatch.setattr(entering, "USUAL_SECONDS", 0.0)
    zerotier.network, edge.answers = "network-ok", False
    code, _, err = join()
    assert code == 1
    assert "no edge answers at 192.168.193.222:9443" in err
    assert "ping it; the token is not spent" in err


def test_no_zerotier_and_no_way_to_the_edge(
    join: Zthook, zerotier: FakeZeroTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(_address: str) -> OverlaySettings:
        raise ConfigError("no device")

    monkeypatch.setattr(joining, "overlay_toward", nowhere)
    (zerotier.home / "authtoken.secret").unlink()
    code, _, err = join()
    assert code == 1
    assert "install and start zerotier-one" in err


def test_a_host_that_is_bridged_to_the_overlay_needs_no_zerotier(
    join: Zthook, zerotier: FakeZeroTier, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = OverlaySettings("interface", interface="br0")
    monkeypatch.setattr(joining, "overlay_toward", lambda _address: found)
    (zerotier.home / "authtoken.secret").unlink()
    assert join()[0] == 0
    assert load_host(places.host_config).overlay == found
    assert zerotier.served == []


def test_a_range_that_this_machine_is_on_already(
    join: Zthook, zerotier: FakeZeroTier, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = (OnLink(IPv4Network("192.168.193.0/24"), "eth0"),)
    monkeypatch.setattr("zthook.kernel.links.connected_prefixes", lambda: near)
    code, _, err = join()
    assert code == 2
    assert "eth0 of this machine is on 192.168.193.0/24 already" in err
    assert "--interface eth0" in err
    assert (zerotier.network, edge.spent) == (None, [])


@pytest.mark.parametrize("option", ["--interface", "--via"])
def test_who_says_another_way_does_not_join(
    join: Zthook, zerotier: FakeZeroTier, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    found = OverlaySettings("interface", interface="eth0")
    monkeypatch.setattr(joining, "device_toward", lambda _address: found)
    assert join(TOKEN, option, "192.168.1.1" if option == "--via" else "br0")[0] == 0
    assert zerotier.served == []


def test_two_networks_are_one_too_many(
    join: Zthook, zthook: Zthook, zerotier: FakeZeroTier, edge: Edge, places: Places
) -> None:
    code, _, err = join(TOKEN, "--zerotier", "deadbeef0000cafe")
    assert code == 2
    assert f"names ZeroTier network deadbeef0000cafe, and the token's edge is in {NETWORK}" in err
    assert edge.spent == []


def test_a_host_of_another_edge_joins_no_network(
    join: Zthook, zerotier: FakeZeroTier, places: Places
) -> None:
    save_credential(places.credential, replace(CREDENTIAL, edge="another"))
    code, _, err = join()
    assert code == 1
    assert "belongs to the edge at" in err
    assert zerotier.network is None


def test_a_daemon_that_is_away_is_left_later(
    join: Zthook, zthook: Zthook, zerotier: FakeZeroTier, places: Places
) -> None:
    zerotier.coming = ["network-ok"]
    join()
    zerotier.stop()
    code, _, err = zthook("leave")
    assert code == 1
    assert "zerotier-one does not run" in err
    assert not places.credential.exists()
    zerotier.start()
    assert "left ZeroTier network" in zthook("leave")[1]
