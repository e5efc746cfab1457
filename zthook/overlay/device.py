"""What every overlay comes down to: a device that the kernel has, with an address on it."""

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Protocol

from zthook.errors import KernelError, OverlayDown
from zthook.kernel.links import find_device
from zthook.model.mappings import OverlayDevice

FindDevice = Callable[[str], OverlayDevice | None]
"""The device of that name as the kernel has it now; None where it is missing or down."""


class Overlay(Protocol):
    """The network between hosts and edge."""

    def observe(self) -> OverlayDevice:
        """The device as it is now, with at least one IPv4 address and a MAC; blocking.

        Raises OverlayDown, whose message says why there is none and whose hint what to do.
        """
        ...


def kernel_device(name: str) -> OverlayDevice | None:
    """``FindDevice`` of this thread's network namespace."""
    return find_device(name)


def usable_device(name: str, find: FindDevice, *, absent: str, bare: str) -> OverlayDevice:
    """The device ``name`` if hosts and edge can meet on it.

    Raises OverlayDown, with the hint ``absent`` where there is no such device and ``bare``
    where it has no IPv4 address.
    """
    try:
        device = find(name)
    except KernelError as error:
        raise OverlayDown(error.message, hint=error.hint) from error
    if device is None:
        raise OverlayDown(f"the overlay's device {name} is missing or down", hint=absent)
    if not any(isinstance(address, IPv4Address) for address in device.addresses):
        raise OverlayDown(f"the overlay's device {name} has no IPv4 address", hint=bare)
    if not device.mac.strip("0:"):
        raise OverlayDown(
            f"the overlay's device {name} has no MAC address: it is no layer 2 network",
            hint="use ZeroTier, a bridge, or a layer 2 tunnel (VXLAN or GRETAP over WireGuard)",
        )
    return device
