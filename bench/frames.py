"""Ethernet frames of UDP and TCP, built for many flows at once: pure, no socket."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

IPV4 = b"\x08\x00"
TCP, UDP = 6, 17
TIME_TO_LIVE = 64
DO_NOT_FRAGMENT = 0x4000
WINDOW = 65_535
FIN, SYN, PUSH, ACK = 0x01, 0x02, 0x08, 0x10


class Flow(NamedTuple):
    """From where to where; addresses are numbers."""

    source: int
    port: int
    destination: int
    service: int


@dataclass(frozen=True, slots=True)
class Segment:
    """What one end of a TCP connection says, the same in each of many."""

    flags: int
    sequence: int
    acknowledged: int
    payload: bytes = b""


def ether(source: str, destination: str) -> bytes:
    """What an IPv4 frame between these two MACs begins with."""
    return b"".join(bytes.fromhex(one.replace(":", "")) for one in (destination, source)) + IPV4


def datagrams(start: bytes, flows: Iterable[Flow]) -> bytes:
    """An empty datagram of each flow (its checksum left out, as UDP allows), end to end."""
    return b"".join(
        start + _header(UDP, 8, one) + struct.pack(">HHHH", one.port, one.service, 8, 0)
        for one in flows
    )


def segments(start: bytes, flows: Iterable[Flow], said: Segment) -> bytes:
    """The same segment in each flow, end to end; its payload has an even number of bytes."""
    length = 20 + len(said.payload)
    middle = struct.pack(">IIBBH", said.sequence, said.acknowledged, 5 << 4, said.flags, WINDOW)
    constant = TCP + length + _words(middle) + _words(said.payload)
    return b"".join(
        start
        + _header(TCP, length, one)
        + struct.pack(">HH", one.port, one.service)
        + middle
        + struct.pack(">HH", _checksum(constant + sum(one)), 0)
        + said.payload
        for one in flows
    )


def _header(protocol: int, length: int, flow: Flow) -> bytes:
    fixed = (0x4500, 20 + length, 0, DO_NOT_FRAGMENT, TIME_TO_LIVE << 8 | protocol)
    total = sum(fixed) + flow.source + flow.destination
    return struct.pack(">HHHHHHII", *fixed, _checksum(total), flow.source, flow.destination)


def _checksum(total: int) -> int:
    """The Internet's checksum (RFC 1071) of what sums up to ``total``, in words of any size."""
    return 0xFFFF - total % 0xFFFF


def _words(some: bytes) -> int:
    return sum(struct.unpack(f">{len(some) // 2}H", some))
