"""Hearing who says by ARP that it has an address: the kernel listens to those it talks to only.

A guest that comes from a saved state, or that takes another address, announces it to everybody;
the neighbour table learns of it only once the guest wants something of this host.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

OnHeard = Callable[[str, str, IPv4Address], None]
"""Called with the device, the MAC (lower case) and the address that it says it has."""

ETHERTYPE, OUTGOING = 0x0806, 4
HEAD = struct.Struct("!HHBBH6s4s")
ETHERNET_AND_IPV4 = (1, 0x0800, 6, 4)
LONGEST = 64
AT_ONCE = 100
"""Packets read before others have their turn."""


@asynccontextmanager
async def hear_arp(on_heard: OnHeard) -> AsyncIterator[None]:
    """Listen on every device of this process's network namespace while inside.

    Raises OSError where this process may not (CAP_NET_RAW).
    """
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETHERTYPE)) as ear:
        ear.settimeout(0)
        loop.add_reader(ear, _read, ear, on_heard)
        try:
            yield
        finally:
            loop.remove_reader(ear)


def _read(ear: socket.socket, on_heard: OnHeard) -> None:
    for _ in range(AT_ONCE):
        try:
            packet, (device, _, kind, _, _) = ear.recvfrom(LONGEST)
        except OSError:  # no more, or a device that went meanwhile
            return
        said = speaker(packet)
        if said is not None and kind != OUTGOING:
            on_heard(device, *said)


def speaker(packet: bytes) -> tuple[str, IPv4Address] | None:
    """Who sent an ARP packet, and the address it names as its own; None where it names none."""
    if len(packet) < HEAD.size:
        return None
    *kind, _, mac, address = HEAD.unpack_from(packet)
    if tuple(kind) != ETHERNET_AND_IPV4 or not any(address):
        return None
    return mac.hex(":"), IPv4Address(address)
