"""Neighbours' MAC addresses, entries that make the kernel answer for an address, and pinned ones.

Those of an edge's carry protocol 123, as our routes do, and a host's 124: one machine may be both.
"""

import errno
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from zthook.kernel.netlink import (
    ACK,
    PROTOCOL,
    ROUTE,
    Netlink,
    attribute,
    attributes,
    message,
)
from zthook.kernel.routes import FAMILIES
from zthook.model.addresses import IPAddress

OF_EDGE, OF_HOST = PROTOCOL, 124
"""Whose an entry is."""
PROXY = 0x08
PERMANENT = 0x80
# NUD_INCOMPLETE, NUD_FAILED, NUD_NOARP say nothing of who has the address.
KNOWN = 0x02 | 0x04 | 0x08 | 0x10 | PERMANENT
NEW_NEIGHBOUR, DELETE_NEIGHBOUR, GET_NEIGHBOUR = 28, 29, 30
CREATE_OR_REPLACE = 0x400 | 0x100
DESTINATION, MAC, PROTOCOL_OF = 1, 2, 12
ENTRY = struct.Struct("=BxxxiHBB")
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


def neighbour_mac(kernel: Netlink, address: IPAddress, device: int) -> str | None:
    """The MAC that ``address`` was last seen with on ``device``, None where it is not known."""
    state, mac = neighbour(kernel, address, device)
    return mac if state & KNOWN else None


def neighbour(kernel: Netlink, address: IPAddress, device: int) -> tuple[int, str | None]:
    """State (NUD) and MAC of ``address`` on ``device``; 0 and None where there is no entry."""
    wanted = ENTRY.pack(FAMILIES[address.version], device, 0, 0, 0)
    wanted += attribute(DESTINATION, address.packed)
    about = f"looking for the neighbour {address}"
    found = kernel.ask(GET_NEIGHBOUR, 0, wanted, about=about, fine=GONE)
    if not found:
        return 0, None
    mac = attributes(found, ENTRY.size).get(MAC)
    return ENTRY.unpack_from(found)[2], mac.hex(":") if mac else None


def proxy_entries() -> frozenset[ProxyEntry]:
    """Every proxy entry of ours, of both families."""
    return frozenset(
        ProxyEntry(one.address, one.device) for one in _listed(PROXY) if one.owner == OF_EDGE
    )


def proxies_digest(kernel: Netlink) -> bytes:
    """Of every proxy entry, ours and others': the same as long as none of them changes."""
    return kernel.digest(GET_NEIGHBOUR, _listing(PROXY), about="listing entries")


@dataclass(frozen=True, slots=True)
class PinnedEntries:
    """Permanent entries of both families, on all devices: ours, and where others have theirs."""

    own: frozenset[Pinned]
    others: frozenset[tuple[IPAddress, int]]


def pinned_entries(owner: int) -> PinnedEntries:
    """As the kernel has them; ``owner`` says whose are own."""
    listed = [one for one in _listed(0) if one.mac]
    return PinnedEntries(
        frozenset(Pinned(one.address, one.device, one.mac) for one in listed if one.owner == owner),
        frozenset((one.address, one.device) for one in listed if one.owner != owner),
    )


class _Entry(NamedTuple):
    address: IPAddress
    device: int
    mac: str
    """Empty where it has none."""
    owner: int


def _listing(flags: int) -> bytes:
    return ENTRY.pack(0, 0, 0, flags, 0)


def _listed(flags: int) -> Iterator[_Entry]:
    """Each entry that stays, proxy entries or all others."""
    with Netlink(ROUTE) as kernel:
        listed = kernel.dump(GET_NEIGHBOUR, _listing(flags), about="listing entries")
    for one in listed:
        family, device, state, _, _ = ENTRY.unpack_from(one)
        if not flags and not state & PERMANENT:
            continue  # as most are: each of the overlay's members is somebody's neighbour
        found = attributes(one, ENTRY.size)
        if family in FAMILIES.values():
            address, mac = ip_address(found[DESTINATION]), found.get(MAC, b"").hex(":")
            yield _Entry(address, device, mac, found.get(PROTOCOL_OF, bytes(1))[0])


def set_proxy(kernel: Netlink, entry: ProxyEntry) -> None:
    """Make the kernel answer for the address on that device."""
    kernel.carry_out(
        [message(NEW_NEIGHBOUR, CREATE_OR_REPLACE | ACK, _proxy(entry))],
        about=lambda _: f"answering for {entry.address}",
    )


def remove_proxy(kernel: Netlink, entry: ProxyEntry) -> None:
    """Stop answering; the entry may be gone already."""
    kernel.carry_out(
        [message(DELETE_NEIGHBOUR, ACK, _proxy(entry))],
        about=lambda _: f"no longer answering for {entry.address}",
        fine=GONE,
    )


def set_pinned(kernel: Netlink, entries: Collection[Pinned], owner: int) -> None:
    """Make the entries be there, in the place of whatever was known of their addresses."""
    some = [*entries]
    kernel.carry_out(
        [message(NEW_NEIGHBOUR, CREATE_OR_REPLACE | ACK, _encoded(one, owner)) for one in some],
        about=lambda number: f"pinning {some[number]}",
    )


def remove_pinned(kernel: Netlink, entries: Collection[Pinned]) -> None:
    """Make the entries not be there; each, or its device, may be gone already."""
    some = [*entries]
    kernel.carry_out(
        [message(DELETE_NEIGHBOUR, ACK, _encoded(one)) for one in some],
        about=lambda number: f"no longer pinning {some[number]}",
        fine=GONE,
    )


def _encoded(entry: Pinned, owner: int = 0) -> bytes:
    mac = attribute(MAC, bytes.fromhex(entry.mac.replace(":", "")))
    return _ours(entry.address, entry.device, 0, owner) + mac


def _proxy(entry: ProxyEntry) -> bytes:
    return _ours(entry.address, entry.device, PROXY, OF_EDGE)


def _ours(address: IPAddress, device: int, flags: int, owner: int) -> bytes:
    head = ENTRY.pack(FAMILIES[address.version], device, PERMANENT, flags, 0)
    head += attribute(DESTINATION, address.packed)
    return head + attribute(PROTOCOL_OF, bytes([owner]))
