"""Devices, own addresses and on-link prefixes, read from the kernel each time."""

import errno
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from zthook.kernel import sysctl
from zthook.kernel.device_listing import Device, listed_addresses, listed_devices
from zthook.kernel.netlink import ROUTE, Netlink, attribute, attributes
from zthook.kernel.route_listing import OthersRoute, others_routes
from zthook.kernel.routes import DESTINATION, DEVICE, FAMILIES, GET, HEADER, NUMBER
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.mappings import OverlayDevice

BY_ROUTER = 9
"""The protocol number of routes that were learned from router advertisements."""
LATER_DEVICES = "default"
"""Whose IPv6 settings a device gets when it comes, such as a line that was redialled."""
PERMANENT = 0x80
LINK_LOCAL = bytes([0xFE, 0x80, *bytes(6)])
UNIVERSAL = 0x02
SOURCE = 7
NO_WAY = {
    getattr(errno, name)
    for name in ("ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "ENODEV", "EINVAL", "EACCES", "EAGAIN")
}
"""What the kernel answers of a device that is no way out, or of a route that says so."""
# Only asked how to get there, never sent to: documentation addresses lie outside every real prefix.
FAR_AWAY: dict[int, str] = {4: "192.0.2.1", 6: "2001:db8::1"}


@dataclass(frozen=True, slots=True)
class DefaultRoute:
    """Where the main table sends what nothing else leads to; a dialled line has no gateway."""

    version: int
    device: str
    gateway: IPAddress | None


@dataclass(frozen=True, slots=True)
class OnLink:
    """A prefix whose addresses are reached on ``device`` without a gateway."""

    prefix: IPNetwork
    device: str


def find_device(name: str) -> OverlayDevice | None:
    """The device called ``name`` with its addresses, or None where there is none or it is down."""
    return device_called(name, listed_devices(), listed_addresses())


def device_called(
    name: str, devices: Iterable[Device], addresses: Iterable[tuple[int, IPAddress]]
) -> OverlayDevice | None:
    """The same of these devices and addresses."""
    link = next((one for one in devices if one.name == name), None)
    if link is None or not link.up:
        return None
    own = tuple(address for index, address in addresses if index == link.index)
    return OverlayDevice(name, link.index, link.mac, link.mtu, own)


def device_names() -> dict[int, str]:
    """Index → name of every device."""
    return dict(socket.if_nameindex())


def devices_up() -> dict[str, int]:
    """Name → index of every device that is up: routes can go by no other."""
    return {one.name: one.index for one in listed_devices() if one.up}


def own_addresses() -> tuple[IPAddress, ...]:
    """Every address of this machine, both families."""
    return tuple(address for _, address in listed_addresses())


def connected_prefixes(routes: Iterable[OthersRoute] | None = None) -> tuple[OnLink, ...]:
    """What is reached without a gateway, by the main table; our own /32 routes not counted.

    A default route without a gateway (a dialled line) makes nothing on-link. ``routes`` are all
    of them, where they are at hand.
    """
    names = device_names()
    return tuple(
        OnLink(route.destination, names[hop.device])
        for route in (others_routes() if routes is None else routes)
        for hop in route.hops
        if route.destination.prefixlen and hop.gateway is None and hop.device in names
    )


def gateways() -> frozenset[IPAddress]:
    """The next hops of the main table's routes, our own routes not counted."""
    hops = (hop for route in others_routes() for hop in route.hops)
    return frozenset(hop.gateway for hop in hops if hop.gateway)


def default_routes(routes: Iterable[OthersRoute] | None = None) -> tuple[DefaultRoute, ...]:
    """Each default route of the main table, of each family the one that is used first first.

    ``routes`` are all of them, where they are at hand.
    """
    names, listed = device_names(), others_routes() if routes is None else routes
    defaults = (route for route in listed if not route.destination.prefixlen)
    return tuple(
        DefaultRoute(route.destination.version, names[hop.device], hop.gateway)
        for route in sorted(defaults, key=lambda one: (one.destination.version, one.metric))
        for hop in route.hops
        if hop.device in names
    )


def default_devices() -> frozenset[str]:
    """The devices by which default routes of the main table leave."""
    return frozenset(one.device for one in default_routes())


def default_routers(routes: Iterable[OthersRoute] | None = None) -> frozenset[IPAddress]:
    """The next hops of the main table's default routes. ``routes`` as in ``default_routes``."""
    listed = others_routes() if routes is None else routes
    hops = (hop for route in listed if not route.destination.prefixlen for hop in route.hops)
    return frozenset(hop.gateway for hop in hops if hop.gateway)


def default_source(routes: Iterable[OthersRoute] | None = None) -> frozenset[IPAddress]:
    """The addresses that this machine's own connections to the internet have as their source.

    ``routes`` are all of the main table, where they are at hand.
    """
    hops = [
        (route.destination.version, hop.device)
        for route in (others_routes() if routes is None else routes)
        for hop in route.hops
        if not route.destination.prefixlen
    ]
    with Netlink(ROUTE) as kernel:
        sources = [_source_toward(kernel, *hop) for hop in hops]
    return frozenset(one for one in sources if one is not None)


def router_advertised(uplinks: Collection[str] = ()) -> frozenset[str]:
    """The devices whose routers' advertisements the kernel follows, but not as a router itself.

    Such as follow one now, and of ``uplinks`` and the devices with a default route also such
    as would follow the next one. Before net.ipv6.conf.all.forwarding is set to 1 these need
    accept_ra=2: else the kernel drops the routes it learned, and learns no more.
    """
    names, routes = device_names(), others_routes()
    learned = {hop.device for one in routes if one.protocol == BY_ROUTER for hop in one.hops}
    likely = {names[index] for index in learned & names.keys()} | _configured_by_routers()
    return frozenset(one for one in likely | default_devices() | set(uplinks) if _follows(one))


def _follows(device: str) -> bool:
    """Whether the kernel itself, and no daemon in its place, listens for routers there."""
    settings = (("accept_ra", "1"), ("forwarding", "0"), ("disable_ipv6", "0"))
    return all(sysctl.read(f"net/ipv6/conf/{device}/{name}") == value for name, value in settings)


def _configured_by_routers() -> set[str]:
    """The devices with an IPv6 address that is not for ever: it was learned."""
    try:
        lines = Path("/proc/thread-self/net/if_inet6").read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return set()  # this kernel has no IPv6
    return {name for *_, flags, name in map(str.split, lines) if not int(flags, 16) & PERMANENT}


def link_local_of(mac: str) -> IPv6Address:
    """The link-local address that a device with this MAC has by itself (EUI-64, RFC 4291)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    return IPv6Address(
        LINK_LOCAL + bytes([octets[0] ^ UNIVERSAL]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    )


def _source_toward(kernel: Netlink, version: int, device: int) -> IPAddress | None:
    """None where a default route has no usable source: then there is none to protect."""
    packed = ip_address(FAR_AWAY[version]).packed
    wanted = HEADER.pack(FAMILIES[version], 8 * len(packed), *bytes(7))
    wanted += attribute(DESTINATION, packed) + attribute(DEVICE, NUMBER.pack(device))
    about = f"asking for the way to {FAR_AWAY[version]}"
    found = kernel.ask(GET, 0, wanted, about=about, fine=NO_WAY)
    source = attributes(found, HEADER.size).get(SOURCE) if found else None
    return ip_address(source) if source else None
