"""Devices, own addresses and on-link prefixes, read from the kernel each time."""

import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from zthook.kernel import sysctl
from zthook.kernel.route_listing import others_routes
from zthook.kernel.rtnetlink import IPRoute, NetlinkError, asking
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.mappings import OverlayDevice

IFF_UP = 1
BY_ROUTER = 9
"""The protocol number of routes that were learned from router advertisements."""
LATER_DEVICES = "default"
"""Whose IPv6 settings a device gets when it comes, such as a line that was redialled."""
PERMANENT = 0x80
LINK_LOCAL = bytes([0xFE, 0x80, *bytes(6)])
UNIVERSAL = 0x02
FAMILIES: dict[int, int] = {4: socket.AF_INET, 6: socket.AF_INET6}
# Only asked how to get there, never sent to: documentation addresses lie outside every real prefix.
FAR_AWAY: dict[int, str] = {4: "192.0.2.1", 6: "2001:db8::1"}


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """An address configured on this machine, and the device that has it."""

    address: IPAddress
    device: str


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


def find_device(ip: IPRoute, name: str) -> OverlayDevice | None:
    """The device called ``name`` with its addresses, or None where there is none or it is down."""
    with asking(f"looking for device {name}"):
        link = next((one for one in ip.link("dump") if one.get("ifname") == name), None)
        if link is None or not link["flags"] & IFF_UP:
            return None
        addresses = tuple(
            ip_address(one.get("local") or one.get("address"))
            for one in ip.addr("dump", index=link["index"])
        )
    mac = link.get("address") or ""
    return OverlayDevice(name, link["index"], mac, link.get("mtu"), addresses)


def device_names(ip: IPRoute) -> dict[int, str]:
    """Index → name of every device."""
    with asking("listing devices"):
        return {link["index"]: link.get("ifname") for link in ip.link("dump")}


def devices_up(ip: IPRoute) -> dict[str, int]:
    """Name → index of every device that is up: routes can go by no other."""
    with asking("listing devices"):
        return {
            link.get("ifname"): link["index"] for link in ip.link("dump") if link["flags"] & IFF_UP
        }


def addresses(ip: IPRoute) -> tuple[OwnAddress, ...]:
    """Every address of this machine, both families."""
    names = device_names(ip)
    with asking("listing own addresses"):
        return tuple(
            OwnAddress(
                ip_address(one.get("local") or one.get("address")), names.get(one["index"], "")
            )
            for one in ip.addr("dump")
        )


def connected_prefixes() -> tuple[OnLink, ...]:
    """What is reached without a gateway, by the main table; our own /32 routes not counted.

    A default route without a gateway (a dialled line) makes nothing on-link.
    """
    names = _names()
    return tuple(
        OnLink(route.destination, names[hop.device])
        for route in others_routes()
        for hop in route.hops
        if route.destination.prefixlen and hop.gateway is None and hop.device in names
    )


def gateways() -> frozenset[IPAddress]:
    """The next hops of the main table's routes, our own routes not counted."""
    hops = (hop for route in others_routes() for hop in route.hops)
    return frozenset(hop.gateway for hop in hops if hop.gateway)


def next_hop(ip: IPRoute, address: IPAddress) -> IPAddress | None:
    """The router by which ``address`` is reached; None where it is on-link or not reached."""
    try:
        for route in ip.route("get", family=FAMILIES[address.version], dst=str(address)):
            if gateway := route.get("gateway"):
                return ip_address(gateway)
    except NetlinkError:
        return None  # no route leads there
    return None


def default_routes() -> tuple[DefaultRoute, ...]:
    """Each default route of the main table, of each family the one that is used first first."""
    names = _names()
    defaults = (route for route in others_routes() if not route.destination.prefixlen)
    return tuple(
        DefaultRoute(route.destination.version, names[hop.device], hop.gateway)
        for route in sorted(defaults, key=lambda one: (one.destination.version, one.metric))
        for hop in route.hops
        if hop.device in names
    )


def device_toward(ip: IPRoute, address: IPAddress) -> str | None:
    """The device by which ``address`` is reached, None where no route leads there."""
    try:
        for route in ip.route("get", family=FAMILIES[address.version], dst=str(address)):
            return device_names(ip).get(route.get("oif"))
    except NetlinkError:
        return None
    return None


def default_devices() -> frozenset[str]:
    """The devices by which default routes of the main table leave."""
    return frozenset(one.device for one in default_routes())


def default_source(ip: IPRoute) -> frozenset[IPAddress]:
    """The addresses that this machine's own connections to the internet have as their source."""
    return frozenset(
        source
        for route in others_routes()
        for hop in route.hops
        if not route.destination.prefixlen
        for source in _source_toward(ip, route.destination.version, hop.device)
    )


def router_advertised(uplinks: Collection[str] = ()) -> frozenset[str]:
    """The devices whose routers' advertisements the kernel follows, but not as a router itself.

    Such as follow one now, and of ``uplinks`` and the devices with a default route also such
    as would follow the next one. Before net.ipv6.conf.all.forwarding is set to 1 these need
    accept_ra=2: else the kernel drops the routes it learned, and learns no more.
    """
    names, routes = _names(), others_routes()
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


def _names() -> dict[int, str]:
    return dict(socket.if_nameindex())


def _source_toward(ip: IPRoute, version: int, index: int) -> Iterator[IPAddress]:
    try:
        for route in ip.route("get", family=FAMILIES[version], dst=FAR_AWAY[version], oif=index):
            if route.get("prefsrc"):
                yield ip_address(route.get("prefsrc"))
    except NetlinkError:
        # A default route without a usable source address has no source to protect.
        return
