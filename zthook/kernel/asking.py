"""Asking by ARP who has an address, past the kernel: it asks nobody of what it knows for good."""

import socket
import struct
import time
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Address

from zthook.errors import KernelError
from zthook.kernel.announce import ARP, BROADCAST, ETHERNET, IPV4, REQUEST
from zthook.kernel.hearing import LONGEST, OUTGOING, speaker

ANSWER_SECONDS, AGAIN_SECONDS = 1.0, 0.4
"""How long answers are waited for, and after how much of that those left are asked again."""
NOBODY = bytes(4)

Answers = Mapping[IPv4Address, Collection[str]]
"""Address → the MACs (lower case) that said they have it."""


def ask_all(
    device: str,
    addresses: Collection[IPv4Address],
    is_enough: Callable[[Answers], bool] = lambda _: False,
) -> Answers:
    """Who on ``device`` says that he has which of these: for a second, or until it is enough.

    It is asked in nobody's name, so that nobody takes us for another (RFC 5227). Raises
    KernelError.
    """
    found: dict[IPv4Address, set[str]] = {one: set() for one in addresses}
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ARP)) as link:
            link.bind((device, ARP))
            began = time.monotonic()
            for until in (AGAIN_SECONDS, ANSWER_SECONDS):
                for address in (one for one, macs in found.items() if not macs):
                    link.sendto(_request(link, address), (device, ARP, 0, 0, BROADCAST))
                while not is_enough(found) and (left := began + until - time.monotonic()) > 0:
                    _hear(link, left, found)
    except OSError as error:
        raise KernelError(f"asking by ARP on {device}: {error.strerror}") from error
    return found


def _request(link: socket.socket, address: IPv4Address) -> bytes:
    own: bytes = link.getsockname()[4]
    head = struct.pack("!HHBBH", ETHERNET, IPV4, 6, 4, REQUEST)
    return head + own + NOBODY + bytes(6) + address.packed


def _hear(link: socket.socket, seconds: float, found: dict[IPv4Address, set[str]]) -> None:
    link.settimeout(seconds)
    try:
        packet, (_, _, kind, _, _) = link.recvfrom(LONGEST)
    except TimeoutError:
        return
    said = speaker(packet)
    if said is not None and kind != OUTGOING and said[1] in found:
        found[said[1]].add(said[0])
