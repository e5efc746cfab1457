"""Who is where on the network of the machines; addresses for documentation and private use."""

from dataclasses import dataclass
from enum import StrEnum

from tests.lab import topology

PARCEL = "/srv"
"""Where a machine finds what it was brought: see parcel.py."""


class Role(StrEnum):
    """What a machine becomes; also its name."""

    EDGE = "edge"
    HOST = "home1"


@dataclass(frozen=True, slots=True)
class Device:
    """A network device of a machine. ``bridge`` is the network that it is on."""

    name: str
    bridge: str
    mac: str
    addresses: tuple[str, ...]
    gateways: tuple[str, ...] = ()

    def link_file(self) -> str:
        """For systemd-udevd: its name."""
        return f"[Match]\nPermanentMACAddress={self.mac}\n\n[Link]\nName={self.name}\n"

    def network_file(self) -> str:
        """For systemd-networkd: its addresses and routers."""
        lines = [f"Address={address}" for address in self.addresses]
        lines += [f"Gateway={gateway}" for gateway in self.gateways]
        return f"[Match]\nName={self.name}\n\n[Network]\n" + "\n".join(lines) + "\n"


ROUTER, ROUTER6 = "203.0.113.1", "2001:db8:113::1"
HOME_ROUTER = "192.168.1.1"
EDGE_ON_UPLINK = topology.EDGE_ON_UPLINK
EDGE_ON_OVERLAY = topology.EDGE_ON_OVERLAY
HOST_ON_OVERLAY = "192.168.193.2"

DEVICES = {
    Role.EDGE: (
        Device(
            "uplink0",
            "uplink",
            "52:54:00:7a:00:01",
            (f"{EDGE_ON_UPLINK}/24", "2001:db8:113::2/64"),
            (ROUTER, ROUTER6),
        ),
        Device("overlay0", "overlay", "52:54:00:7a:00:02", (f"{EDGE_ON_OVERLAY}/24",)),
    ),
    Role.HOST: (
        Device("line0", "line", "52:54:00:7a:00:11", ("192.168.1.10/24",), (HOME_ROUTER,)),
        Device("overlay0", "overlay", "52:54:00:7a:00:12", (f"{HOST_ON_OVERLAY}/24",)),
    ),
}
