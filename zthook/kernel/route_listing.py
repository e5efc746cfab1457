"""The main table's routes that are not ours, as the kernel lists them.

By hand: a full edge has tens of thousands of its own among them, which cost nothing here.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from zthook.kernel.netlink import PROTOCOL, ROUTE, Netlink, aligned, attribute, attributes
from zthook.kernel.routes import (
    DESTINATION,
    DEVICE,
    FAMILIES,
    GATEWAY,
    GET,
    HEADER,
    MAIN_TABLE,
    METRIC,
    NUMBER,
    TABLE,
    UNICAST,
    network_of,
)
from zthook.model.addresses import IPAddress, IPNetwork

MULTIPATH, VIA = 9, 18
# An IPv4 route's gateway may be an IPv6 address: then its family stands before it.
VIA_FAMILY = 2
HOP = struct.Struct("=HBBI")
IN_MAIN_TABLE = HEADER.pack(*bytes(9)) + attribute(TABLE, NUMBER.pack(MAIN_TABLE))


@dataclass(frozen=True, slots=True)
class Hop:
    """The index of a device by which packets leave, and the gateway there, None for on-link."""

    device: int
    gateway: IPAddress | None


@dataclass(frozen=True, slots=True)
class OthersRoute:
    """One route, whoever made it (``protocol``); of two to the same the smaller metric counts."""

    destination: IPNetwork
    hops: tuple[Hop, ...]
    protocol: int
    metric: int


def others_routes() -> list[OthersRoute]:
    """The unicast routes of the main table, of both families, that are not ours."""
    with Netlink(ROUTE) as kernel:
        listed = kernel.dump(GET, IN_MAIN_TABLE, about="listing routes")
    return [route for payload in listed for route in _read(payload)]


def _read(payload: bytes) -> Iterator[OthersRoute]:
    family, length, _, _, _, protocol, _, kind, _ = HEADER.unpack_from(payload)
    if protocol == PROTOCOL or kind != UNICAST or family not in FAMILIES.values():
        return
    found = attributes(payload, HEADER.size)
    if found.get(TABLE) == NUMBER.pack(MAIN_TABLE):
        (metric,) = NUMBER.unpack(found.get(METRIC, bytes(4)))
        destination = network_of(family, found.get(DESTINATION), length)
        yield OthersRoute(destination, tuple(_hops(found)), protocol, metric)


def _hops(found: dict[int, bytes]) -> Iterator[Hop]:
    if DEVICE in found:
        yield Hop(NUMBER.unpack(found[DEVICE])[0], _gateway(found))
    several = found.get(MULTIPATH, b"")
    while len(several) >= HOP.size:
        length, _, _, device = HOP.unpack_from(several)
        yield Hop(device, _gateway(attributes(several[HOP.size : length])))
        several = several[max(aligned(length), HOP.size) :]


def _gateway(found: dict[int, bytes]) -> IPAddress | None:
    packed = found.get(GATEWAY) or found.get(VIA, b"")[VIA_FAMILY:]
    return ip_address(packed) if packed else None
