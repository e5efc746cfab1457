"""Whatever the driver, an overlay is there or says why it is not, and comes back."""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.overlay.conftest import Kernel
from tests.overlay.fake_zerotier import NETWORK, FakeZeroTier
from zthook.config.settings import OverlaySettings
from zthook.errors import OverlayDown
from zthook.model.mappings import OverlayDevice
from zthook.overlay import FakeOverlay, InterfaceOverlay, Overlay, ZeroTierOverlay, open_overlay

NAME = "ztjqllkmit"


class Subject:
    """An overlay, and how to take its device away and give it back."""

    def __init__(self, overlay: Overlay, give: Callable[[str], None], take: Callable[[], None]):
        self.overlay = overlay
        self.give = give
        self.take = take


@pytest.fixture(params=["fake", "interface", "zerotier"])
def subject(
    request: pytest.FixtureRequest, kernel: Kernel, zerotier: FakeZeroTier
) -> Iterator[Subject]:
    def give(address: str) -> None:
        kernel.add(NAME, address)

    def take() -> None:
        kernel.devices.clear()

    if request.param == "fake":
        fake = FakeOverlay()

        def set_device(address: str) -> None:
            own = (IPv4Address(address),)
            fake.device = OverlayDevice(NAME, 7, "7a:98:80:23:20:f2", 2800, own)

        yield Subject(fake, set_device, lambda: setattr(fake, "device", None))
    elif request.param == "interface":
        settings = OverlaySettings("interface", interface=NAME)
        yield Subject(open_overlay(settings, kernel), give, take)
    else:
        zerotier.network = "network-ok"
        settings = OverlaySettings("zerotier", network=NETWORK, home=zerotier.home)
        yield Subject(open_overlay(settings, kernel), give, take)


def test_the_device_as_it_is_now(subject: Subject) -> None:
    subject.give("192.168.193.242")
    device = subject.overlay.observe()
    assert device.name == NAME
    assert device.addresses == (IPv4Address("192.168.193.242"),)
    assert device.mtu == 2800
    subject.give("192.168.193.9")
    assert subject.overlay.observe().addresses == (IPv4Address("192.168.193.9"),)


def test_a_device_that_vanishes_and_returns(subject: Subject) -> None:
    with pytest.raises(OverlayDown) as caught:
        subject.overlay.observe()
    assert "is missing or down" in caught.value.message
    assert caught.value.hint
    subject.give("192.168.193.242")
    assert subject.overlay.observe().name == NAME
    subject.take()
    with pytest.raises(OverlayDown):
        subject.overlay.observe()


def test_which_driver_is_opened(tmp_path: Path) -> None:
    assert isinstance(open_overlay(OverlaySettings("interface", interface="x")), InterfaceOverlay)
    settings = OverlaySettings("zerotier", network=NETWORK, home=tmp_path)
    assert isinstance(open_overlay(settings), ZeroTierOverlay)


class Members:
    """A controller, and how to knock there."""

    def __init__(self, overlay: FakeOverlay | ZeroTierOverlay, knock: Callable[[str], None]):
        self.overlay = overlay
        self.knock = knock


@pytest.fixture(params=["fake", "zerotier"])
def members(request: pytest.FixtureRequest, zerotier: FakeZeroTier, kernel: Kernel) -> Members:
    if request.param == "fake":
        fake = FakeOverlay()
        return Members(fake, fake.knock)
    zerotier.controller = True
    return Members(ZeroTierOverlay(NETWORK, zerotier.home, kernel), zerotier.knock)


def knocking(members: Members) -> list[str]:
    return [one.member for one in members.overlay.knocking()]


def test_members_are_let_in_once_they_knock_or_before(members: Members) -> None:
    assert knocking(members) == []
    members.knock("5d4548d482")
    members.knock("25d65e9f35")
    assert knocking(members) == ["25d65e9f35", "5d4548d482"]
    members.overlay.authorise("5d4548d482")
    members.overlay.authorise("00000000aa")
    assert knocking(members) == ["25d65e9f35"]
    members.overlay.authorise("5d4548d482")
    members.knock("25d65e9f35")
    assert knocking(members) == ["25d65e9f35"]


def test_who_is_shut_out_knocks_again_if_he_ever_did(members: Members) -> None:
    members.knock("25d65e9f35")
    for member in ("25d65e9f35", "00000000aa"):
        members.overlay.authorise(member)
        members.overlay.shut_out(member)
    assert knocking(members) == ["25d65e9f35"]
