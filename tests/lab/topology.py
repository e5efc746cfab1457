"""Who is where: the addresses of the lab, all from the ranges for documentation and private use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

OVERLAY_MTU = 2800  # as ZeroTier has it
OVERLAY = IPv4Network("192.168.193.0/24")
OVERLAY_PREFIX = OVERLAY.prefixlen
PUBLIC = IPv4Network("203.0.113.0/24")
"""The provider's network, on which the edge's uplink is; any of its addresses may be published."""

ROUTER_ON_UPLINK = "203.0.113.1"
EDGE_ON_UPLINK = "203.0.113.2"
NEIGHBOUR_ON_UPLINK = "203.0.113.77"
EDGE_ON_OVERLAY = "192.168.193.222"
MEMBER_ON_OVERLAY = "192.168.193.4"
CLIENT = "198.51.100.7"
ROUTER_TO_CLIENT = "198.51.100.1"

CLIENT6 = "2001:db8:51::7"
ROUTER6_TO_CLIENT = "2001:db8:51::1"
EDGE6_ON_OVERLAY = "fd00:193::222"
OVERLAY6_PREFIX = 64

UPLINK_DEVICE = "uplink0"
SECOND_UPLINK_DEVICE = "uplink1"
OVERLAY_DEVICE = "overlay0"
LINE_DEVICE = "line0"


@dataclass(frozen=True, slots=True)
class Uplink:
    """One provider's network at the edge: .1 is the provider's router, .2 the edge, .77 or (on
    the smaller second one) .7 another customer; in IPv6 ::1, ::2 and ::77.
    """

    device: str
    network: IPv4Network
    network6: IPv6Network
    mac: str
    neighbour: IPv4Address

    @property
    def router(self) -> IPv4Address:
        """The provider's router."""
        return self.network[1]

    @property
    def edge(self) -> IPv4Address:
        """The edge's own address there."""
        return self.network[2]

    @property
    def router6(self) -> IPv6Address:
        """The provider's router."""
        return self.network6[1]

    @property
    def edge6(self) -> IPv6Address:
        """The edge's own address there."""
        return self.network6[2]

    @property
    def neighbour6(self) -> IPv6Address:
        """Another customer."""
        return self.network6[0x77]


UPLINKS = (
    Uplink(
        UPLINK_DEVICE,
        PUBLIC,
        IPv6Network("2001:db8:113::/64"),
        "02:00:cb:00:71:02",
        IPv4Address(NEIGHBOUR_ON_UPLINK),
    ),
    Uplink(
        SECOND_UPLINK_DEVICE,
        IPv4Network("192.0.2.128/26"),
        IPv6Network("2001:db8:114::/64"),
        "02:00:c0:00:02:82",
        IPv4Address("192.0.2.135"),
    ),
)
"""The second one is there where a lab is asked for it; the edge's default route is the first's."""


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
    def overlay6(self) -> str:
        """The host's IPv6 address on the overlay, where a lab has IPv6."""
        return f"fd00:193::{self.number + 1}"

    @property
    def lan6(self) -> IPv6Network:
        """The home LAN's prefix, which its router (::1) advertises; the host is ::10."""
        return IPv6Network(f"2001:db8:{10 + self.number}::/64")

    @property
    def line6(self) -> IPv6Network:
        """Between the home's router (::2) and the provider (::1)."""
        return IPv6Network(f"2001:db8:{20 + self.number}::/64")

    @property
    def guests6(self) -> IPv6Network:
        """The prefix of ``guests``' network: fd00:122::/64 for 192.168.122.0/24."""
        return IPv6Network(f"fd00:{self.guests[0].packed[2]}::/64")

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
    def gateway(self) -> IPv4Address:
        """A gateway to the overlay on the home LAN, where a lab has one."""
        return self.lan[20]

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
