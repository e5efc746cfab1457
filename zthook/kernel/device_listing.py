"""Devices and their addresses, as the kernel lists them.

By hand: an edge looks at them in each of its passes, and pyroute2 took most of the time of one.
"""

import struct
from dataclasses import dataclass
from ipaddress import ip_address

from zthook.kernel.netlink import ROUTE, Netlink, attribute, attributes
from zthook.kernel.routes import FAMILIES
from zthook.model.addresses import IPAddress

GET_LINK, GET_ADDRESS = 18, 22
LINK = struct.Struct("=BxHiII")
ADDRESS = struct.Struct("=BBBBI")
IFF_UP = 1
MAC, NAME, MTU, WANTED = 1, 3, 4, 29
PEER, LOCAL = 1, 2
WITHOUT_STATISTICS = attribute(WANTED, struct.pack("=I", 1 << 3))


@dataclass(frozen=True, slots=True)
class Device:
    """A device; ``mac`` is lower case, empty where it has none."""

    index: int
    name: str
    up: bool
    mac: str
    mtu: int


def listed_devices() -> list[Device]:
    """Every device of this thread's network namespace. Raises KernelError."""
    with Netlink(ROUTE) as kernel:
        wanted = LINK.pack(*bytes(5)) + WITHOUT_STATISTICS
        listed = kernel.dump(GET_LINK, wanted, about="listing devices")
    return [_device(one) for one in listed]


def listed_addresses() -> list[tuple[int, IPAddress]]:
    """Every address of the machine, after its device's index. Raises KernelError."""
    with Netlink(ROUTE) as kernel:
        wanted = ADDRESS.pack(*bytes(5))
        listed = kernel.dump(GET_ADDRESS, wanted, about="listing own addresses")
    found = []
    for one in listed:
        family, _, _, _, index = ADDRESS.unpack_from(one)
        if family in FAMILIES.values():
            parts = attributes(one, ADDRESS.size)
            found.append((index, ip_address(parts.get(LOCAL) or parts[PEER])))
    return found


def _device(payload: bytes) -> Device:
    _, _, index, flags, _ = LINK.unpack_from(payload)
    found = attributes(payload, LINK.size)
    return Device(
        index=index,
        name=found[NAME].rstrip(b"\0").decode(errors="replace"),
        up=bool(flags & IFF_UP),
        mac=found.get(MAC, b"").hex(":"),
        mtu=int(struct.unpack("=I", found[MTU])[0]),
    )
