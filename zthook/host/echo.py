"""One ICMP echo from an address of this host: does whoever has the other one find back to it?"""

import asyncio
import secrets
import socket
import struct
from ipaddress import IPv4Address

ANSWER_SECONDS = 2.0
ECHO, ECHO_REPLY = 8, 0
HEADER = struct.Struct("!BBHHH")


async def answers(source: IPv4Address, target: IPv4Address) -> bool:
    """Whether an echo comes back within two seconds; false where none can be sent."""
    identifier = secrets.randbits(16)
    loop = asyncio.get_running_loop()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as link:
            link.settimeout(0)
            link.bind((str(source), 0))
            async with asyncio.timeout(ANSWER_SECONDS):
                await loop.sock_sendto(link, echo(identifier), (str(target), 0))
                while not is_reply(await loop.sock_recv(link, 1024), identifier, target):
                    continue
    except OSError:  # a timeout is one
        return False
    return True


def echo(identifier: int) -> bytes:
    """The request."""
    bare = HEADER.pack(ECHO, 0, 0, identifier, 1)
    total = sum(word for (word,) in struct.iter_unpack("!H", bare))
    return HEADER.pack(ECHO, 0, ~(total + (total >> 16)) & 0xFFFF, identifier, 1)


def is_reply(packet: bytes, identifier: int, sender: IPv4Address) -> bool:
    """Whether this IPv4 packet is the answer to it. Every raw socket sees all there are."""
    message = packet[(packet[0] & 0x0F) * 4 :] if packet else b""
    if len(message) < HEADER.size or packet[12:16] != sender.packed:
        return False
    kind, _, _, found, _ = HEADER.unpack_from(message)
    return bool(kind == ECHO_REPLY and found == identifier)
