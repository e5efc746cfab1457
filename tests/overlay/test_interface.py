"""Driver ``interface``, with made-up devices and with the kernel's."""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address
from os import getpid
from typing import TypeVar

import pytest
from pyroute2 import netns

from tests.overlay.conftest import Kernel
from zthook.errors import OverlayDown
from zthook.overlay import InterfaceOverlay

T = TypeVar("T")


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


@pytest.fixture
def inside() -> Iterator[Callable[[Callable[[], T]], T]]:
    """Runs calls in a thread that is in a network namespace of its own."""
    name = f"zthook-overlay-{getpid()}"
    netns.create(name)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(netns.setns, name).result()
        yield lambda call: thread.submit(call).result()
    netns.remove(name)


def ip(*arguments: str) -> None:
    name = f"zthook-overlay-{getpid()}"
    subprocess.run(["ip", "-n", name, *arguments], check=True)


@pytest.mark.netns
def test_the_kernels_own_device(inside: Callable[[Callable[[], object]], object]) -> None:
    overlay = InterfaceOverlay("br-overlay")
    with pytest.raises(OverlayDown, match="is missing or down"):
        inside(overlay.observe)
    ip("link", "add", "br-overlay", "address", "02:00:00:00:00:07", "mtu", "1420", "type", "bridge")
    ip("address", "add", "192.168.193.2/24", "dev", "br-overlay")
    with pytest.raises(OverlayDown, match="is missing or down"):
        inside(overlay.observe)
    ip("link", "set", "br-overlay", "up")
    device = inside(overlay.observe)
    assert getattr(device, "mac", None) == "02:00:00:00:00:07"
    assert getattr(device, "mtu", None) == 1420
    assert IPv4Address("192.168.193.2") in getattr(device, "addresses", ())
    ip("address", "flush", "dev", "br-overlay")
    with pytest.raises(OverlayDown, match="has no IPv4 address"):
        inside(overlay.observe)
    ip("link", "delete", "br-overlay")
    with pytest.raises(OverlayDown, match="is missing or down"):
        inside(overlay.observe)
