"""Every state in which a ZeroTier network is not usable, as recorded: said, with what to do."""

import json
import threading
from ipaddress import IPv4Address, IPv6Address
from socket import create_server

import pytest

from tests.overlay.conftest import Kernel
from tests.overlay.fake_zerotier import NETWORK, RECORDED, FakeZeroTier, recorded
from zthook.errors import OverlayDown, Refused, UsageError
from zthook.overlay import ZeroTierOverlay, zerotier_api

DEVICE = "ztjqllkmit"
ADDRESS = "192.168.193.242"


@pytest.fixture
def overlay(zerotier: FakeZeroTier, kernel: Kernel) -> ZeroTierOverlay:
    return ZeroTierOverlay(NETWORK, zerotier.home, kernel)


def down(overlay: ZeroTierOverlay) -> str:
    """Message and hint of the OverlayDown that ``observe`` raises."""
    with pytest.raises(OverlayDown) as caught:
        overlay.observe()
    assert caught.value.hint
    return f"{caught.value.message} | {caught.value.hint}"


@pytest.mark.parametrize(
    "recording",
    ["network-ok", "network-ok-root-lost", "network-after-restart-controller-down"],
)
def test_ok_is_believed_where_the_kernel_has_the_address(
    overlay: ZeroTierOverlay, zerotier: FakeZeroTier, kernel: Kernel, recording: str
) -> None:
    zerotier.network = recording
    zerotier.status = "status-offline"
    kernel.add(DEVICE, ADDRESS)
    assert overlay.observe() == kernel.devices[DEVICE]


def test_the_address_is_the_kernels_whatever_the_daemon_assigned(
    overlay: ZeroTierOverlay, zerotier: FakeZeroTier, kernel: Kernel
) -> None:
    zerotier.network = "network-ok"
    kernel.add(DEVICE, "10.147.17.5")
    assert overlay.observe().addresses == (IPv4Address("10.147.17.5"),)


@pytest.mark.parametrize(
    ("recording", "said", "todo"),
    [
        (
            "network-access-denied",
            f"node 5d4548d482 is not authorised in network {NETWORK}",
            "zthook edge host approve 5d4548d482",
        ),
        ("network-deauthorised", "is not authorised", "at the controller, node b87d70f46b"),
        (
            "network-requesting",
            f"the controller of network {NETWORK}, node b87d70f46b, has not answered yet",
            "reach the internet",
        ),
        ("network-requesting-forever", "has not answered yet", "does that node run?"),
        (
            "network-not-found",
            f"the controller, node b87d70f46b, knows no network {NETWORK}",
            "is overlay.network the right id?",
        ),
    ],
)
def test_a_network_that_is_not_ok(
    overlay: ZeroTierOverlay,
    zerotier: FakeZeroTier,
    kernel: Kernel,
    recording: str,
    said: str,
    todo: str,
) -> None:
    # The address stays on the device after deauthorisation, and is nothing to go by.
    kernel.add(DEVICE, ADDRESS)
    zerotier.network = recording
    found = down(overlay)
    assert said in found.split(" | ")[0]
    assert todo in found.split(" | ")[1]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("PORT_ERROR", "/dev/net/tun"),
        ("CLIENT_TOO_OLD", "upgrade zerotier-one"),
        ("AUTHENTICATION_REQUIRED", "wants somebody to log in"),
        ("SOMETHING_{NEW}", "zerotier-one says 'SOMETHING_{NEW}'"),
        ("", "zerotier-one says ''"),
    ],
)
def test_states_that_were_not_recorded(
    overlay: ZeroTierOverlay,
    zerotier: FakeZeroTier,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    words: str,
) -> None:
    body = recorded("network-ok")[1].replace(b'"OK"', f'"{status}"'.encode())
    monkeypatch.setattr(zerotier, "_network", lambda *_: (200, body))
    assert words in down(overlay)


def test_not_joined(overlay: ZeroTierOverlay) -> None:
    assert f"has not joined network {NETWORK} | zerotier-cli join {NETWORK}" in down(overlay)


def test_joining(overlay: ZeroTierOverlay, zerotier: FakeZeroTier) -> None:
    overlay.join()
    assert "has not answered yet" in down(overlay)
    zerotier.network = None
    zerotier.tun = False
    with pytest.raises(OverlayDown) as caught:
        overlay.join()
    assert "it made no device" in caught.value.message
    assert "/dev/net/tun" in caught.value.hint


@pytest.mark.parametrize(
    ("recording", "todo"),
    [
        ("network-allowmanaged-false", f"zerotier-cli set {NETWORK} allowManaged=1"),
        ("network-ok-no-address", "assign this node an address at the controller"),
        ("network-ok", "systemctl restart zerotier-one sets it again"),
    ],
)
def test_a_device_without_address(
    overlay: ZeroTierOverlay, zerotier: FakeZeroTier, kernel: Kernel, recording: str, todo: str
) -> None:
    zerotier.network = recording
    kernel.add(DEVICE, IPv6Address("fe80::1"))
    found = down(overlay)
    assert found.startswith(f"the overlay's device {DEVICE} has no IPv4 address")
    assert todo in found


def test_the_recordings_are_what_they_are_taken_for() -> None:
    """The kernel's side of two answers, recorded at the same moment."""
    deauthorised = (RECORDED / "host2-addrs-deauthorised.txt").read_text()
    assert "192.168.193.163/24" in deauthorised
    unmanaged = (RECORDED / "host2-addrs-allowmanaged-false.txt").read_text()
    assert "192.168.193.163" not in unmanaged
    assert b"192.168.193.163/24" in recorded("network-allowmanaged-false")[1]


def test_a_device_that_the_daemon_names_and_the_kernel_lacks(
    overlay: ZeroTierOverlay, zerotier: FakeZeroTier
) -> None:
    zerotier.network = "network-ok"
    assert f"device {DEVICE} is missing or down" in down(overlay)


def test_a_kernel_that_does_not_answer(
    overlay: ZeroTierOverlay, zerotier: FakeZeroTier, kernel: Kernel
) -> None:
    zerotier.network = "network-ok"
    kernel.error = "looking for device: no buffer space"
    with pytest.raises(OverlayDown, match="no buffer space"):
        overlay.observe()


def test_a_wrong_token_and_a_new_one(overlay: ZeroTierOverlay, zerotier: FakeZeroTier) -> None:
    zerotier.token = "another-token"
    assert "did not take the token of" in down(overlay)
    assert "overlay.home" in down(overlay)
    (zerotier.home / "authtoken.secret").write_text("another-token\n")
    assert "has not joined" in down(overlay)


def test_a_daemon_that_stops_and_returns_on_another_port(
    overlay: ZeroTierOverlay, zerotier: FakeZeroTier, kernel: Kernel
) -> None:
    zerotier.network = "network-ok"
    kernel.add(DEVICE, ADDRESS)
    overlay.observe()
    zerotier.stop()
    assert "zerotier-one does not run: nothing answers on 127.0.0.1:" in down(overlay)
    zerotier.start()
    overlay.observe()


def test_a_daemon_that_hangs(
    overlay: ZeroTierOverlay, zerotier: FakeZeroTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zerotier_api, "TIMEOUT_SECONDS", 0.2)
    with create_server(("127.0.0.1", 0)) as silent:
        (zerotier.home / "zerotier-one.port").write_text(str(silent.getsockname()[1]))
        assert "did not answer within 0.2 s" in down(overlay)


def test_something_else_on_that_port(overlay: ZeroTierOverlay, zerotier: FakeZeroTier) -> None:
    with create_server(("127.0.0.1", 0)) as server:
        (zerotier.home / "zerotier-one.port").write_text(str(server.getsockname()[1]))

        def hang_up() -> None:
            server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        found = down(overlay)
        thread.join()
    assert "in a way that is not known" in found


@pytest.mark.parametrize(
    "answer",
    [
        (200, b""),
        (200, b"[]"),
        (200, b'{"status":1}'),
        (200, b'{"status":"OK"'),
        (200, b"\xff"),
        (500, b"{}"),
        (302, b""),
        (204, b""),
    ],
)
def test_answers_that_make_no_sense(
    overlay: ZeroTierOverlay, zerotier: FakeZeroTier, answer: tuple[int, bytes]
) -> None:
    zerotier.broken = answer
    assert "in a way that is not known" in down(overlay)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("zerotier-one.port", None, "zerotier-one has not run with this home"),
        ("authtoken.secret", None, "install and start zerotier-one, or set overlay.home"),
        ("zerotier-one.port", b"", "is empty or damaged"),
        ("zerotier-one.port", b"99999", "holds no port"),
        ("zerotier-one.port", b"0", "holds no port"),
        ("zerotier-one.port", b"9" * 5000, "holds no port"),
        ("zerotier-one.port", b"\xff", "can not be read"),
        ("authtoken.secret", b"", "is empty or damaged"),
        ("authtoken.secret", b"a\nb", "is empty or damaged"),
    ],
)
def test_files_of_the_home(
    overlay: ZeroTierOverlay, zerotier: FakeZeroTier, name: str, content: bytes | None, words: str
) -> None:
    path = zerotier.home / name
    path.unlink() if content is None else path.write_bytes(content)
    assert words in down(overlay)


def test_the_environments_proxy_is_not_asked(
    overlay: ZeroTierOverlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert "has not joined" in down(overlay)


def test_the_nodes_own_id(overlay: ZeroTierOverlay) -> None:
    assert overlay.node_id() == "5d4548d482"


def test_a_node_that_is_no_controller_lets_nobody_in(overlay: ZeroTierOverlay) -> None:
    for action in (lambda: overlay.authorise("4e41020f73"), overlay.knocking):
        with pytest.raises(Refused) as caught:
            action()
        assert "is not the controller of network" in caught.value.message
        assert "node b87d70f46b" in caught.value.hint


@pytest.mark.parametrize("member", ["", "4e41020f7", "4E41020F73", "4e41020f73/../x", "home1"])
def test_what_is_no_node_id(overlay: ZeroTierOverlay, zerotier: FakeZeroTier, member: str) -> None:
    zerotier.controller = True
    with pytest.raises(UsageError, match="is not a ZeroTier node's id"):
        overlay.authorise(member)
    assert zerotier.members == {}


def test_who_knocks_is_told_with_time_and_physical_address(
    overlay: ZeroTierOverlay, zerotier: FakeZeroTier
) -> None:
    zerotier.controller = True
    zerotier.knock("25d65e9f35")
    zerotier.knock("00000000aa")
    far, near = overlay.knocking()
    assert (near.member, near.address, near.shut_out) == ("25d65e9f35", "192.0.2.36/25757", None)
    assert near.since == 1795380466.007
    assert (far.member, far.address) == ("00000000aa", None), "it comes relayed"
    overlay.authorise("25d65e9f35")
    overlay.shut_out("25d65e9f35")
    assert overlay.knocking()[1].shut_out == 1795380531.999


@pytest.mark.parametrize(
    ("member", "why"),
    [("4e41020f73", "is no member of network"), ("5d4548d482", "is this machine's own node")],
)
def test_who_is_not_shut_out(
    overlay: ZeroTierOverlay, zerotier: FakeZeroTier, member: str, why: str
) -> None:
    with pytest.raises(Refused):
        overlay.shut_out(member)
    zerotier.controller = True
    with pytest.raises(Refused, match=why):
        overlay.shut_out(member)
    assert zerotier.members == {}


def test_a_node_is_a_moon_where_it_goes_by_its_own(
    overlay: ZeroTierOverlay, zerotier: FakeZeroTier
) -> None:
    assert overlay.moon() == ""
    for moon in json.loads(recorded("moon-list")[1]):
        zerotier.moons[moon["id"]] = moon
    assert overlay.moon() == "5d4548d482"
    zerotier.status = "status-controller"
    assert overlay.moon() == ""


def test_a_controller_that_does_not_do_it(overlay: ZeroTierOverlay, zerotier: FakeZeroTier) -> None:
    zerotier.broken = recorded("controller-member-unauthorised")
    with pytest.raises(Refused, match="did not authorise"):
        overlay.authorise("4e41020f73")


def test_a_member_that_goes_while_it_is_looked_at(
    overlay: ZeroTierOverlay, zerotier: FakeZeroTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    zerotier.controller = True
    zerotier.knock("4e41020f73")
    monkeypatch.setattr(
        zerotier,
        "_controller",
        lambda _method, _network, rest, _body: (404, b"") if rest else (200, b'{"4e41020f73":4}'),
    )
    assert overlay.knocking() == []
