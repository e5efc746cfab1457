"""Neighbours' MAC addresses, and entries that make the kernel answer ARP for an address."""

import errno
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Any

from zthook.kernel.netlink import ROUTE, Netlink, attributes
from zthook.kernel.rtnetlink import PROTOCOL, IPRoute, NetlinkError, asking
from zthook.model.addresses import IPAddress

USE, PROXY = 0x01, 0x08
PERMANENT = 0x80
PROBING, ASKED = 0x10, 0x10 | PERMANENT
# NUD_INCOMPLETE, NUD_FAILED, NUD_NOARP say nothing of who has the address.
KNOWN = 0x02 | 0x04 | 0x08 | 0x10 | PERMANENT
# pyroute2 0.9.7 can not ask for proxy entries alone, and the kernel lists them no other way.
GET_NEIGHBOUR = 30
DESTINATION, PROTOCOL_OF = 1, 12
ENTRY = struct.Struct("=BxxxiHBB")
ONLY_PROXIES = ENTRY.pack(socket.AF_INET, 0, 0, PROXY, 0)
GONE = {errno.ENOENT, errno.ENODEV, errno.ENXIO}


@dataclass(frozen=True, slots=True)
class ProxyEntry:
    """The kernel answers ARP for ``address`` on the device with that index.

    It does so only where the route to the address leaves by another device.
    """

    address: IPv4Address
    device: int


def neighbours(ip: IPRoute, device: int) -> dict[IPAddress, str]:
    """Address → MAC (lower case) of every neighbour that is known on ``device``."""
    with asking(f"listing the neighbours on device {device}"):
        return {
            ip_address(one.get("dst")): one.get("lladdr")
            for one in ip.neigh("dump", ifindex=device)
            if one["ifindex"] == device and one["state"] & KNOWN and one.get("lladdr")
        }


def neighbour_mac(ip: IPRoute, address: IPAddress, device: int) -> str | None:
    """The MAC that ``address`` was last seen with on ``device``, None where it is not known."""
    with asking(f"looking for the neighbour {address}"):
        found = next(iter(_entry(ip, {"dst": str(address), "ifindex": device})), None)
    return found.get("lladdr") if found is not None and found["state"] & KNOWN else None


def probe(ip: IPRoute, address: IPAddress, device: int) -> None:
    """Make the kernel ask now who has ``address``, whatever it believes.

    Without an answer a known entry fails within three seconds, and is in use until then; one
    that somebody made permanent stays.
    """
    request = {"dst": str(address), "ifindex": device}
    with asking(f"probing the neighbour {address}"):
        state = next((one["state"] for one in _entry(ip, request)), 0)
        if state & KNOWN == 0:
            ip.neigh("replace", flags=USE, **request)
        elif state & ASKED == 0:  # one that runs already would begin anew
            ip.neigh("change", state=PROBING, **request)


def _entry(ip: IPRoute, request: Mapping[str, object]) -> Iterable[Any]:
    try:
        return list(ip.neigh("get", **request))
    except NetlinkError as error:
        if error.code in GONE:
            return ()
        raise


def proxy_entries() -> frozenset[ProxyEntry]:
    """Every IPv4 proxy entry of ours: like routes, they carry protocol 123."""
    with Netlink(ROUTE) as kernel:
        listed = kernel.dump(GET_NEIGHBOUR, ONLY_PROXIES, about="listing proxy entries")
    entries = ((attributes(one, ENTRY.size), ENTRY.unpack_from(one)[1]) for one in listed)
    return frozenset(
        ProxyEntry(IPv4Address(found[DESTINATION]), device)
        for found, device in entries
        if found.get(PROTOCOL_OF) == bytes([PROTOCOL])
    )


def set_proxy(ip: IPRoute, entry: ProxyEntry) -> None:
    """Make the kernel answer for the address on that device."""
    with asking(f"answering for {entry.address}"):
        ip.neigh("replace", **_request(entry))


def remove_proxy(ip: IPRoute, entry: ProxyEntry) -> None:
    """Stop answering; the entry may be gone already."""
    try:
        ip.neigh("del", **_request(entry))
    except NetlinkError as error:
        if error.code not in GONE:
            with asking(f"no longer answering for {entry.address}"):
                raise


def _request(entry: ProxyEntry) -> dict[str, object]:
    return {
        "family": socket.AF_INET,
        "dst": str(entry.address),
        "ifindex": entry.device,
        "flags": PROXY,
        "state": PERMANENT,
        "protocol": PROTOCOL,
    }
