"""Who is where: the addresses of the lab, all from the ranges for documentation and private use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

OVERLAY_MTU = 2800  # as ZeroTier has it
OVERLAY_PREFIX = 24
PUBLIC = IPv4Network("203.0.113.0/24")
"""The provider's network, on which the edge's uplink is; any of its addresses may be published."""

ROUTER_ON_UPLINK = "203.0.113.1"
EDGE_ON_UPLINK = "203.0.113.2"
NEIGHBOUR_ON_UPLINK = "203.0.113.77"
EDGE_ON_OVERLAY = "192.168.193.222"
MEMBER_ON_OVERLAY = "192.168.193.4"
CLIENT = "198.51.100.7"
ROUTER_TO_CLIENT = "198.51.100.1"

UPLINK_DEVICE = "uplink0"
OVERLAY_DEVICE = "overlay0"
LINE_DEVICE = "line0"


@dataclass(frozen=True, slots=True)
class Home:
    """The addresses of the ``number``-th host and its home line; numbers from 1.

    ``guests`` is libvirt's network ``default`` on this host.
    """

    number: int
    guests: IPv4Network

    @property
    def overlay(self) -> str:
        """The host's address on the overlay."""
        return f"192.168.193.{self.number + 1}"

    @property
    def lan(self) -> IPv4Network:
        """The home LAN, where the line's router is .1 and the host .10."""
        return IPv4Network(f"192.168.{10 + self.number}.0/24")

    @property
    def router(self) -> IPv4Address:
        """The line's router as the home LAN sees it."""
        return self.lan[1]

    @property
    def host(self) -> IPv4Address:
        """The host on its home LAN."""
        return self.lan[10]

    @property
    def line(self) -> IPv4Network:
        """The line between the home's router and the provider: .1 is the provider's end."""
        return IPv4Network((int(IPv4Address("192.0.2.0")) + 16 * self.number, 28))


def homes(names: Iterable[str], *, same_guests: bool) -> dict[str, Home]:
    """A home for each host, its guests on 192.168.122.0/24, .123 and so on, or all on .122."""
    return {
        name: Home(number, IPv4Network(f"192.168.{122 if same_guests else 121 + number}.0/24"))
        for number, name in enumerate(names, 1)
    }


def hosts_file(homes: Mapping[str, Home]) -> str:
    """An /etc/hosts in which machines are known by their addresses on the overlay."""
    rows = {"127.0.0.1": "localhost", EDGE_ON_OVERLAY: "edge", CLIENT: "client"}
    rows |= {home.overlay: name for name, home in homes.items()}
    return "".join(f"{address} {name}\n" for address, name in rows.items())
