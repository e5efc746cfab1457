"""Devices, own addresses and on-link prefixes, read from the kernel each time."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from zthook.kernel.rtnetlink import PROTOCOL, IPRoute, NetlinkError, asking
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.mappings import OverlayDevice

MAIN_TABLE = 254
UNICAST = 1
IFF_UP = 1
FAMILIES: tuple[int, ...] = (socket.AF_INET, socket.AF_INET6)
# Only asked how to get there, never sent to: documentation addresses lie outside every real prefix.
FAR_AWAY: dict[int, str] = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


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


def connected_prefixes(ip: IPRoute) -> tuple[OnLink, ...]:
    """What is reached without a gateway, by the main table; our own /32 routes not counted.

    A default route without a gateway (a dialled line) makes nothing on-link.
    """
    names = device_names(ip)
    with asking("listing on-link prefixes"):
        return tuple(
            OnLink(ip_network(f"{route.get('dst')}/{route['dst_len']}"), names[route.get("oif")])
            for family in FAMILIES
            for route in ip.route("dump", family=family, table=MAIN_TABLE)
            if _is_connected(route)
        )


def _is_connected(route: Any) -> bool:
    return (
        route["type"] == UNICAST
        and route["dst_len"] > 0
        and route["proto"] != PROTOCOL
        and route.get("oif") is not None
        and route.get("gateway") is None
        and route.get("via") is None
    )


def default_devices(ip: IPRoute) -> frozenset[str]:
    """The devices by which default routes of the main table leave."""
    names = device_names(ip)
    return frozenset(names[index] for _, index in _default_routes(ip) if index in names)


def default_source(ip: IPRoute) -> frozenset[IPAddress]:
    """The addresses that this machine's own connections to the internet have as their source."""
    return frozenset(
        source
        for family, index in _default_routes(ip)
        for source in _source_toward(ip, family, index)
    )


def _default_routes(ip: IPRoute) -> list[tuple[int, int]]:
    with asking("looking for the default routes"):
        return [
            (family, hop)
            for family in FAMILIES
            for route in ip.route("dump", family=family, table=MAIN_TABLE)
            if route["dst_len"] == 0 and route["type"] == UNICAST
            for hop in _devices(route)
        ]


def _devices(route: Any) -> Iterator[int]:
    if route.get("oif") is not None:
        yield route.get("oif")
    for hop in route.get("multipath") or ():
        yield hop["oif"]


def _source_toward(ip: IPRoute, family: int, index: int) -> Iterator[IPAddress]:
    try:
        for route in ip.route("get", family=family, dst=FAR_AWAY[family], oif=index):
            if route.get("prefsrc"):
                yield ip_address(route.get("prefsrc"))
    except NetlinkError:
        # A default route without a usable source address has no source to protect.
        return
