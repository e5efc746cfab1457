"""Routes that are ours: they carry protocol 123, in whichever table."""

import errno
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from zthook.kernel.links import DEFAULT, device_names
from zthook.kernel.route_listing import listed_routes
from zthook.kernel.rtnetlink import PROTOCOL, IPRoute, NetlinkError, asking
from zthook.model.addresses import IPAddress, IPNetwork

MAIN_TABLE = 254
LINK_SCOPE = 253
ONLINK = 4
# What the kernel answers where a route, or the device it went by, has gone.
GONE = {errno.ESRCH, errno.ENODEV, errno.ENETUNREACH}


@dataclass(frozen=True, slots=True)
class Route:
    """``destination`` by the device with that index, via a gateway or on-link (None).

    A gateway is taken as on-link: the route can be set before the overlay has its address.
    """

    destination: IPNetwork
    device: int
    via: IPAddress | None = None
    table: int = MAIN_TABLE

    def __str__(self) -> str:
        return f"{self.destination} via {self.via}" if self.via else str(self.destination)


def own_routes(ip: IPRoute, table: int = MAIN_TABLE) -> frozenset[Route]:
    """Every IPv4 route of protocol 123 in ``table``."""
    indexes = {name: index for index, name in device_names(ip).items()}
    return frozenset(
        Route(
            ip_network("0.0.0.0/0" if one["dst"] == DEFAULT else one["dst"]),
            indexes[one["dev"]],
            ip_address(one["gateway"]) if "gateway" in one else None,
            table,
        )
        for one in listed_routes(4, "table", "all", "proto", str(PROTOCOL))
        if one.get("table", str(MAIN_TABLE)) == str(table) and one.get("dev") in indexes
    )


def set_route(ip: IPRoute, route: Route) -> None:
    """Make the route be there, replacing one of ours to the same destination."""
    with asking(f"setting the route {route}"):
        ip.route("replace", **_request(route))


def remove_route(ip: IPRoute, route: Route) -> None:
    """Make the route not be there; it may be gone already."""
    try:
        ip.route("del", **_request(route))
    except NetlinkError as error:
        if error.code not in GONE:
            with asking(f"removing the route {route}"):
                raise


def _request(route: Route) -> dict[str, object]:
    request: dict[str, object] = {
        "dst": str(route.destination),
        "oif": route.device,
        "table": route.table,
        "proto": PROTOCOL,
    }
    if route.via is None:
        return request | {"scope": LINK_SCOPE}
    return request | {"gateway": str(route.via), "flags": ONLINK}
