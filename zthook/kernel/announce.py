"""Telling an uplink's neighbours at once that an address is here now."""

import logging
import socket
import struct
from ipaddress import IPv4Address, IPv6Address

from zthook.model.addresses import IPAddress

log = logging.getLogger(__name__)

ETHERNET, ARP, IPV4, REQUEST = 1, 0x0806, 0x0800, 1
BROADCAST = b"\xff" * 6
ADVERTISEMENT, ROUTER, OVERRIDE = 136, 1 << 31, 1 << 29
OWN_MAC, EIGHT_BYTES = 2, 1
ALL_NODES = "ff02::1"
FROM_THIS_LINK = 255
"""The hop limit that neighbours believe: no router let it pass."""


def announce(address: IPAddress, device: int) -> None:
    """Tell everybody on the device with that index who has ``address`` now.

    A router that still has it at another machine's MAC would otherwise send there for as long
    as it remembers. Without it the mapping works all the same, only later: a refusal is
    logged and no error.
    """
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind((socket.if_indextoname(device), ARP))
            _, _, _, hardware, mac = sender.getsockname()
            if hardware != ETHERNET:
                return
            if isinstance(address, IPv4Address):
                sender.send(_announcement(address, mac))
            else:
                _advertise(address, device, mac)
    except OSError as error:
        log.warning("could not announce %s to the uplink's neighbours: %s", address, error.strerror)


def _announcement(address: IPv4Address, mac: bytes) -> bytes:
    """As RFC 5227 has it: an ARP request for the sender's own address."""
    ethernet = BROADCAST + mac + struct.pack("!H", ARP)
    arp = struct.pack("!HHBBH", ETHERNET, IPV4, 6, 4, REQUEST)
    return ethernet + arp + mac + address.packed + bytes(6) + address.packed


def _advertise(address: IPv6Address, device: int, mac: bytes) -> None:
    """As RFC 4861, 7.2.6; the kernel puts in the checksum, and its own link-local source."""
    head = struct.pack("!BBHI", ADVERTISEMENT, 0, 0, ROUTER | OVERRIDE)
    body = head + address.packed + bytes([OWN_MAC, EIGHT_BYTES]) + mac
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sender:
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, FROM_THIS_LINK)
        sender.sendto(body, (ALL_NODES, 0, 0, device))
