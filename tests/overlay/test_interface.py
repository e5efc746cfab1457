"""Driver ``interface``, with made-up devices and with the kernel's."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from tests.overlay.conftest import Kernel, Namespace
from zthook.errors import OverlayDown
from zthook.overlay import InterfaceOverlay


def down(overlay: InterfaceOverlay) -> OverlayDown:
    with pytest.raises(OverlayDown) as caught:
        overlay.observe()
    return caught.value


def test_no_such_device(kernel: Kernel) -> None:
    error = down(InterfaceOverlay("br-overlay", kernel))
    assert error.message == "the overlay's device br-overlay is missing or down"
    assert "overlay.interface" in error.hint


def test_no_ipv4_address(kernel: Kernel) -> None:
    kernel.add("br-overlay", IPv6Address("fd00::1"))
    error = down(InterfaceOverlay("br-overlay", kernel))
    assert error.message == "the overlay's device br-overlay has no IPv4 address"
    assert "ip address add" in error.hint


@pytest.mark.parametrize("mac", ["", "00:00:00:00:00:00"])
def test_no_layer_2(kernel: Kernel, mac: str) -> None:
    kernel.add("wg0", "10.0.0.1", mac=mac)
    assert "it is no layer 2 network" in down(InterfaceOverlay("wg0", kernel)).message


@pytest.mark.netns
def test_the_kernels_own_device(namespace: Namespace) -> None:
    overlay = InterfaceOverlay("br-overlay")

    def absent(why: str) -> None:
        with pytest.raises(OverlayDown, match=why):
            namespace.run(overlay.observe)

    absent("is missing or down")
    namespace.ip("link add br-overlay address 02:00:00:00:00:07 mtu 1420 type bridge")
    namespace.ip("address add 192.168.193.2/24 dev br-overlay")
    absent("is missing or down")
    namespace.ip("link set br-overlay up")
    device = namespace.run(overlay.observe)
    assert device.mac == "02:00:00:00:00:07"
    assert device.mtu == 1420
    assert IPv4Address("192.168.193.2") in device.addresses
    namespace.ip("address flush dev br-overlay")
    absent("has no IPv4 address")
    namespace.ip("link delete br-overlay")
    absent("is missing or down")
