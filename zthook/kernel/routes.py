"""Routes that are ours: they carry protocol 123, in whichever table."""

import errno
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from zthook.kernel.netlink import PROTOCOL, ROUTE, Netlink, attribute, attributes
from zthook.model.addresses import IPAddress, IPNetwork

MAIN_TABLE = 254
ANYWHERE: Mapping[int, IPNetwork] = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
"""The destination of default routes."""
UNIVERSE_SCOPE, LINK_SCOPE = 0, 253
ONLINK = 4
LAST_RESORT = 0xFFFFFFFF
"""The metric of a black hole: any other route of its table to the same comes before it."""
# What the kernel answers where a route, or the device it went by, has gone.
GONE = {errno.ESRCH, errno.ENODEV, errno.ENETUNREACH}

GET = 26
UNICAST, BLACKHOLE = 1, 6
HEADER = struct.Struct("=BBBBBBBBI")
OURS = HEADER.pack(0, 0, 0, 0, 0, PROTOCOL, 0, 0, 0)
DESTINATION, DEVICE, GATEWAY, METRIC, TABLE = 1, 4, 5, 6, 15
NUMBER = struct.Struct("=I")
IPV4, IPV6 = 2, 10
FAMILIES = {4: IPV4, 6: IPV6}
SMALL_TABLES = 256


@dataclass(frozen=True, slots=True)
class Route:
    """``destination`` by the device with that index, via a gateway or on-link (None).

    A gateway is taken as on-link: the route can be set before the overlay has its address.
    Without a device it is a black hole: what no other route of the table takes to
    ``destination`` is dropped, where it would go on to the next table.
    """

    destination: IPNetwork
    device: int | None
    via: IPAddress | None = None
    table: int = MAIN_TABLE

    def __hash__(self) -> int:
        # Of tens of thousands; that of all parts takes three times as long.
        return hash((int(self.destination.network_address), self.table))

    def __str__(self) -> str:
        if self.device is None:
            return f"black hole for {self.destination}"
        return f"{self.destination} via {self.via}" if self.via else str(self.destination)


def digest(kernel: Netlink) -> bytes:
    """Of every route of protocol 123: the same as long as none of them changes."""
    return kernel.digest(GET, OURS, about="listing our routes")


def own_routes(table: int | None = MAIN_TABLE) -> frozenset[Route]:
    """Every route of protocol 123 in ``table``, of both families; None: in all tables.

    Read by hand: a full edge has tens of thousands, and pyroute2 spends 0.3 ms on each.
    """
    wanted = OURS + (attribute(TABLE, NUMBER.pack(table)) if table is not None else b"")
    with Netlink(ROUTE) as kernel:
        listed = kernel.dump(GET, wanted, about="listing our routes")
    found = (_read(one) for one in listed)
    return frozenset(one for one in found if one is not None and table in {None, one.table})


def encoded(route: Route) -> bytes:
    """The body of a request to set or remove exactly this route."""
    on_link = route.device is not None and route.via is None
    head = HEADER.pack(
        FAMILIES[route.destination.version],
        route.destination.prefixlen,
        0,
        0,
        route.table if route.table < SMALL_TABLES else 0,
        PROTOCOL,
        LINK_SCOPE if on_link else UNIVERSE_SCOPE,
        UNICAST if route.device is not None else BLACKHOLE,
        ONLINK if route.via else 0,
    )
    found = attribute(DESTINATION, route.destination.network_address.packed)
    found += attribute(TABLE, NUMBER.pack(route.table))
    if route.device is None:
        return head + found + attribute(METRIC, NUMBER.pack(LAST_RESORT))
    found += attribute(DEVICE, NUMBER.pack(route.device))
    return head + found + (attribute(GATEWAY, route.via.packed) if route.via else b"")


def single(address: IPAddress) -> IPNetwork:
    """The prefix of that address alone; by its text it takes five times as long."""
    return IPv4Network(int(address)) if address.version == 4 else IPv6Network(int(address))


def network_of(family: int, packed: bytes | None, length: int) -> IPNetwork:
    """The prefix as the kernel has it; without an address it is everything."""
    if packed and length == 8 * len(packed):
        return IPv4Network(packed) if family == IPV4 else IPv6Network(packed)
    if family == IPV4:
        return IPv4Network((packed or bytes(4), length))
    return IPv6Network((packed or bytes(16), length))


def _read(payload: bytes) -> Route | None:
    """What was listed, None where we make no such route."""
    family, length, _, _, _, protocol, _, kind, _ = HEADER.unpack_from(payload)
    if protocol != PROTOCOL or family not in {IPV4, IPV6}:
        return None
    found = attributes(payload, HEADER.size)
    (table,) = NUMBER.unpack(found[TABLE])
    destination = network_of(family, found.get(DESTINATION), length)
    if kind == BLACKHOLE and found.get(METRIC) == NUMBER.pack(LAST_RESORT):
        return Route(destination, None, None, table)
    if kind != UNICAST or DEVICE not in found:
        return None
    (device,) = NUMBER.unpack(found[DEVICE])
    gateway = found.get(GATEWAY)
    return Route(destination, device, _address(family, gateway) if gateway else None, table)


@lru_cache(maxsize=4096)
def _address(family: int, packed: bytes) -> IPAddress:
    """Of tens of thousands of routes most go by a few hosts."""
    return IPv4Address(packed) if family == IPV4 else IPv6Address(packed)
