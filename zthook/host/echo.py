"""One ICMP echo from an address of this host: does whoever has the other one find back to it?"""

import asyncio
import secrets
import socket
import struct
from ipaddress import IPv4Address

ANSWER_SECONDS = 2.0
ECHO, ECHO_REPLY = 8, 0
HEADER = struct.Struct("!BBHHH")
IP_HEADER = 20
SHORTEST = IP_HEADER + HEADER.size
"""Bytes of a request without a load, with the IPv4 header before it."""
IP_MTU_DISCOVER, NEVER_IN_PIECES = 10, 3
"""linux/in.h: IP_PMTUDISC_PROBE sets the don't-fragment bit, and believes nothing it was told."""


async def answers(
    source: IPv4Address,
    target: IPv4Address,
    *,
    size: int = SHORTEST,
    seconds: float = ANSWER_SECONDS,
) -> bool:
    """Whether an echo comes back in time; false where none can be sent.

    ``size`` is of the whole IPv4 packet in bytes, which nobody may take apart on its way there.
    """
    identifier = secrets.randbits(16)
    loop = asyncio.get_running_loop()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as link:
            link.settimeout(0)
            link.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, NEVER_IN_PIECES)
            link.bind((str(source), 0))
            request = echo(identifier, size - SHORTEST)
            async with asyncio.timeout(seconds):
                await loop.sock_sendto(link, request, (str(target), 0))
                while not is_reply(await loop.sock_recv(link, 1024), identifier, target):
                    continue
    except OSError:  # a timeout is one
        return False
    return True


def echo(identifier: int, load: int = 0) -> bytes:
    """The request, with so many zeros behind it."""
    bare = HEADER.pack(ECHO, 0, 0, identifier, 1)
    total = sum(word for (word,) in struct.iter_unpack("!H", bare))
    return HEADER.pack(ECHO, 0, ~(total + (total >> 16)) & 0xFFFF, identifier, 1) + bytes(load)


def is_reply(packet: bytes, identifier: int, sender: IPv4Address) -> bool:
    """Whether this IPv4 packet is the answer to it. Every raw socket sees all there are."""
    message = packet[(packet[0] & 0x0F) * 4 :] if packet else b""
    if len(message) < HEADER.size or packet[12:16] != sender.packed:
        return False
    kind, _, _, found, _ = HEADER.unpack_from(message)
    return bool(kind == ECHO_REPLY and found == identifier)
