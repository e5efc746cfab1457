"""Devices, own addresses and on-link prefixes, read from the kernel each time."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from zthook.kernel.route_listing import listed_routes
from zthook.kernel.rtnetlink import PROTOCOL, IPRoute, NetlinkError, asking
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.mappings import OverlayDevice

UNICAST = "1"
DEFAULT = "default"
IFF_UP = 1
FAMILIES: dict[int, int] = {4: socket.AF_INET, 6: socket.AF_INET6}
# Only asked how to get there, never sent to: documentation addresses lie outside every real prefix.
FAR_AWAY: dict[int, str] = {4: "192.0.2.1", 6: "2001:db8::1"}


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """An address configured on this machine, and the device that has it."""

    address: IPAddress
    device: str


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
    return tuple(
        OnLink(ip_network(route["dst"]), route["dev"])
        for version in FAMILIES
        for route in _others_routes(version)
        if route["dst"] != DEFAULT and "dev" in route and not {"gateway", "via"} & route.keys()
    )


def _others_routes(version: int) -> list[dict[str, Any]]:
    """The unicast routes of the main table that are not ours."""
    listed = listed_routes(version, "table", "main")
    return [one for one in listed if one["type"] == UNICAST and one["protocol"] != str(PROTOCOL)]


def gateways() -> frozenset[IPAddress]:
    """The next hops of the main table's routes, our own routes not counted."""
    return frozenset(
        ip_address(hop["gateway"])
        for version in FAMILIES
        for route in _others_routes(version)
        for hop in route.get("nexthops", [route])
        if "gateway" in hop
    )


def next_hop(ip: IPRoute, address: IPAddress) -> IPAddress | None:
    """The router by which ``address`` is reached; None where it is on-link or not reached."""
    try:
        for route in ip.route("get", family=FAMILIES[address.version], dst=str(address)):
            if gateway := route.get("gateway"):
                return ip_address(gateway)
    except NetlinkError:
        return None  # no route leads there
    return None


def default_devices() -> frozenset[str]:
    """The devices by which default routes of the main table leave."""
    return frozenset(device for _, device in _default_routes())


def default_source(ip: IPRoute) -> frozenset[IPAddress]:
    """The addresses that this machine's own connections to the internet have as their source."""
    indexes = {name: index for index, name in device_names(ip).items()}
    return frozenset(
        source
        for version, device in _default_routes()
        if device in indexes
        for source in _source_toward(ip, version, indexes[device])
    )


def _default_routes() -> list[tuple[int, str]]:
    return [
        (version, hop["dev"])
        for version in FAMILIES
        for route in _others_routes(version)
        if route["dst"] == DEFAULT
        for hop in route.get("nexthops", [route])
        if "dev" in hop
    ]


def _source_toward(ip: IPRoute, version: int, index: int) -> Iterator[IPAddress]:
    try:
        for route in ip.route("get", family=FAMILIES[version], dst=FAR_AWAY[version], oif=index):
            if route.get("prefsrc"):
                yield ip_address(route.get("prefsrc"))
    except NetlinkError:
        # A default route without a usable source address has no source to protect.
        return
