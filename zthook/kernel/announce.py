"""Telling an uplink's neighbours at once that an address is here now."""

import logging
import socket
import struct
from ipaddress import IPv4Address

log = logging.getLogger(__name__)

ETHERNET, ARP, IPV4, REQUEST = 1, 0x0806, 0x0800, 1
BROADCAST = b"\xff" * 6


def announce(address: IPv4Address, device: int) -> None:
    """Broadcast one ARP announcement of ``address`` on the device with that index.

    A router that still has the address at another machine's MAC would otherwise send there
    for as long as it remembers. Without it the mapping works all the same, only later: a
    refusal is logged and no error.
    """
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind((socket.if_indextoname(device), ARP))
            _, _, _, hardware, mac = sender.getsockname()
            if hardware == ETHERNET:
                sender.send(_announcement(address, mac))
    except OSError as error:
        log.warning("could not announce %s to the uplink's neighbours: %s", address, error.strerror)


def _announcement(address: IPv4Address, mac: bytes) -> bytes:
    ethernet = BROADCAST + mac + struct.pack("!H", ARP)
    arp = struct.pack("!HHBBH", ETHERNET, IPV4, 6, 4, REQUEST)
    return ethernet + arp + mac + address.packed + bytes(6) + address.packed
