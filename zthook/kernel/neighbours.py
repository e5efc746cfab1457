"""Neighbours' MAC addresses, entries that make the kernel answer for an address, and pinned ones.

Those of ours carry protocol 123, as our routes do.
"""

import errno
import socket
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from zthook.kernel.netlink import ACK, ROUTE, Netlink, attribute, attributes, message
from zthook.kernel.rtnetlink import PROTOCOL, IPRoute, NetlinkError, asking
from zthook.model.addresses import IPAddress

USE, PROXY = 0x01, 0x08
PERMANENT = 0x80
PROBING, ASKED = 0x10, 0x10 | PERMANENT
ANSWERS = 0x02 | PERMANENT
# NUD_INCOMPLETE, NUD_FAILED, NUD_NOARP say nothing of who has the address.
KNOWN = 0x02 | 0x04 | 0x08 | 0x10 | PERMANENT
# pyroute2 0.9.7 can not ask for proxy entries alone, and the kernel lists them no other way.
NEW_NEIGHBOUR, DELETE_NEIGHBOUR, GET_NEIGHBOUR = 28, 29, 30
CREATE_OR_REPLACE = 0x400 | 0x100
DESTINATION, MAC, PROTOCOL_OF = 1, 2, 12
ENTRY = struct.Struct("=BxxxiHBB")
FAMILIES: dict[int, int] = {4: socket.AF_INET, 6: socket.AF_INET6}
GONE = {errno.ENOENT, errno.ENODEV, errno.ENXIO}


@dataclass(frozen=True, slots=True)
class ProxyEntry:
    """The kernel answers ARP, or neighbour solicitations, for ``address`` on that device.

    ARP only where the route to the address leaves by another device, solicitations only
    where the device has the settings ``forwarding`` and ``proxy_ndp``.
    """

    address: IPAddress
    device: int


@dataclass(frozen=True, slots=True)
class Pinned:
    """On the device with that index ``address`` is at ``mac`` (lower case), whoever says what.

    It goes when the device goes down.
    """

    address: IPAddress
    device: int
    mac: str

    def __str__(self) -> str:
        return f"{self.address} at {self.mac}"


def neighbours(ip: IPRoute, device: int) -> dict[IPAddress, str]:
    """Address → MAC (lower case) of every neighbour that is known on ``device``."""
    with asking(f"listing the neighbours on device {device}"):
        return {
            ip_address(one.get("dst")): one.get("lladdr")
            for one in ip.neigh("dump", ifindex=device)
            if one["ifindex"] == device and one["state"] & KNOWN and one.get("lladdr")
        }


def neighbour_mac(kernel: Netlink, address: IPAddress, device: int) -> str | None:
    """The MAC that ``address`` was last seen with on ``device``, None where it is not known.

    By hand: an edge asks at each heartbeat, and pyroute2 spends more on it than all the rest.
    """
    wanted = ENTRY.pack(FAMILIES[address.version], device, 0, 0, 0)
    wanted += attribute(DESTINATION, address.packed)
    about = f"looking for the neighbour {address}"
    found = kernel.ask(GET_NEIGHBOUR, 0, wanted, about=about, fine=GONE)
    if not found or not ENTRY.unpack_from(found)[2] & KNOWN:
        return None
    mac = attributes(found, ENTRY.size).get(MAC)
    return mac.hex(":") if mac else None


def answering_mac(ip: IPRoute, address: IPAddress, device: int) -> str | None:
    """The MAC that answers for ``address`` by the last word of it, not by an old one; else None."""
    with asking(f"looking for the neighbour {address}"):
        found = next(iter(_entry(ip, {"dst": str(address), "ifindex": device})), None)
    return found.get("lladdr") if found is not None and found["state"] & ANSWERS else None


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
    """Every proxy entry of ours, of both families: like routes, they carry protocol 123."""
    return frozenset(
        ProxyEntry(ip_address(found[DESTINATION]), device) for found, device, _ in _own(PROXY)
    )


def pinned_entries() -> frozenset[Pinned]:
    """Every permanent entry of ours, of both families and on all devices."""
    return frozenset(
        Pinned(ip_address(found[DESTINATION]), device, found[MAC].hex(":"))
        for found, device, state in _own(0)
        if state & PERMANENT and MAC in found
    )


def _own(flags: int) -> Iterator[tuple[dict[int, bytes], int, int]]:
    """Attributes, device and state of each entry of ours, proxy entries or all others."""
    with Netlink(ROUTE) as kernel:
        listed = kernel.dump(GET_NEIGHBOUR, ENTRY.pack(0, 0, 0, flags, 0), about="listing entries")
    for one in listed:
        family, device, state, _, _ = ENTRY.unpack_from(one)
        found = attributes(one, ENTRY.size)
        if found.get(PROTOCOL_OF) == bytes([PROTOCOL]) and family in FAMILIES.values():
            yield found, device, state


def set_proxy(ip: IPRoute, entry: ProxyEntry) -> None:
    """Make the kernel answer for the address on that device."""
    with asking(f"answering for {entry.address}"):
        ip.neigh("replace", **_proxy(entry))


def remove_proxy(ip: IPRoute, entry: ProxyEntry) -> None:
    """Stop answering; the entry may be gone already."""
    try:
        ip.neigh("del", **_proxy(entry))
    except NetlinkError as error:
        if error.code not in GONE:
            with asking(f"no longer answering for {entry.address}"):
                raise


def set_pinned(kernel: Netlink, entries: Collection[Pinned]) -> None:
    """Make the entries be there, in the place of whatever was known of their addresses."""
    kernel.carry_out(
        [message(NEW_NEIGHBOUR, CREATE_OR_REPLACE | ACK, _encoded(one)) for one in entries],
        about=[f"pinning {one}" for one in entries],
    )


def remove_pinned(kernel: Netlink, entries: Collection[Pinned]) -> None:
    """Make the entries not be there; each, or its device, may be gone already."""
    kernel.carry_out(
        [message(DELETE_NEIGHBOUR, ACK, _encoded(one)) for one in entries],
        about=[f"no longer pinning {one}" for one in entries],
        fine=GONE,
    )


def _encoded(entry: Pinned) -> bytes:
    head = ENTRY.pack(FAMILIES[entry.address.version], entry.device, PERMANENT, 0, 0)
    body = attribute(DESTINATION, entry.address.packed) + attribute(PROTOCOL_OF, bytes([PROTOCOL]))
    return head + body + attribute(MAC, bytes.fromhex(entry.mac.replace(":", "")))


def _proxy(entry: ProxyEntry) -> dict[str, object]:
    return {
        "family": FAMILIES[entry.address.version],
        "dst": str(entry.address),
        "ifindex": entry.device,
        "state": PERMANENT,
        "protocol": PROTOCOL,
        "flags": PROXY,
    }
