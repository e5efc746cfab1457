"""Does the overlay carry addresses that are no member's, as it must to bring clients' packets?

An echo request goes to the edge from a mapped guest's private address. The edge's answer comes
back by this host, and is heard on the device, before any rule.
"""

import secrets
import socket
import struct
import time
from ipaddress import IPv4Address

from zthook.doctor.finding import Finding, fail, ok, skipped
from zthook.doctor.host.case import NO_MEMBER, HostCase
from zthook.host.echo import IP_HEADER, echo, is_reply
from zthook.model.mappings import MappingState

IPV4 = 0x0800
HEADER = struct.Struct("!BBHHHBBH4s4s")
VERSION_AND_LENGTH, HOPS = 0x45, 64
ANSWER_SECONDS = 1.0
TRIES = 2
NOBODY = "no mapping in mode nat is active, so the edge answers nobody but members"


def judge(source: IPv4Address, *, came: bool) -> Finding:
    """``came``: the edge's answer to ``source`` did."""
    if came:
        return ok(f"what comes from {source} reaches the edge, and is answered")
    return fail(
        f"the edge answers this host, and nothing that comes from {source}: the overlay drops "
        "addresses that are not its members'",
        "take `drop not chr ipauth` out of the ZeroTier network's flow rules",
    )


def check(case: HostCase) -> Finding:
    """Speak as a guest."""
    if case.settings.via is not None:
        return skipped(NO_MEMBER)
    source, device, mac = _guest(case), case.device, case.table.edge_mac
    if source is None or device is None or not mac:
        return skipped(NOBODY)
    if not case.pinged:
        return skipped(f"{case.edge} answers no pings")
    came = any(_answered(device.name, mac, source, case.edge) for _ in range(TRIES))
    return judge(source, came=came)


def _guest(case: HostCase) -> IPv4Address | None:
    found = (
        IPv4Address(one.private)
        for one in (case.agent.mappings if case.agent else [])
        if one.state is MappingState.ACTIVE and one.mode == "nat" and one.private
        if ":" not in one.private
    )
    return next(found, None)


def _answered(device: str, mac: str, source: IPv4Address, edge: IPv4Address) -> bool:
    identifier = secrets.randbits(16)
    kind = socket.htons(IPV4)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, kind) as link:
        link.bind((device, IPV4))
        there = bytes.fromhex(mac.replace(":", ""))
        link.sendto(request(identifier, source, edge), (device, IPV4, 0, 0, there))
        return _heard(link, identifier, edge, time.monotonic() + ANSWER_SECONDS)


def _heard(link: socket.socket, identifier: int, edge: IPv4Address, deadline: float) -> bool:
    while (left := deadline - time.monotonic()) > 0:
        link.settimeout(left)
        try:
            if is_reply(link.recv(1024), identifier, edge):
                return True
        except TimeoutError:
            return False
    return False


def request(identifier: int, source: IPv4Address, target: IPv4Address) -> bytes:
    """The whole IPv4 packet."""
    message = echo(identifier)

    def header(checksum: int) -> bytes:
        length = IP_HEADER + len(message)
        head = (VERSION_AND_LENGTH, 0, length, identifier, 0, HOPS, socket.IPPROTO_ICMP, checksum)
        return HEADER.pack(*head, source.packed, target.packed)

    total = sum(word for (word,) in struct.iter_unpack("!H", header(0)))
    total = (total & 0xFFFF) + (total >> 16)
    return header(~(total + (total >> 16)) & 0xFFFF) + message
