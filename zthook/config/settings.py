"""What the two configuration files say, as frozen values."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

from zthook.model.addresses import IPAddress, Pool

ZEROTIER_HOME = Path("/var/lib/zerotier-one")
"""Where Linux packages of zerotier-one keep authtoken.secret and zerotier-one.port."""


@dataclass(frozen=True, slots=True)
class OverlaySettings:
    """Which overlay, and how it is asked.

    Driver ``zerotier`` has ``network`` (16 hexadecimal digits) and ``home``, driver
    ``interface`` has ``interface``; what belongs to the other driver is None.
    ``fast_redial``: where it is ZeroTier's it is set up so that redials heal at once.
    """

    driver: Literal["zerotier", "interface"]
    network: str | None = None
    home: Path | None = None
    interface: str | None = None
    fast_redial: bool = True


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A TCP port of loopback, or with ``address`` None of the overlay: ``[::1]:9753``."""

    address: IPAddress | None
    port: int

    def __str__(self) -> str:
        if self.address is None:
            return f"overlay:{self.port}"
        shown = str(self.address) if self.address.version == 4 else f"[{self.address}]"
        return f"{shown}:{self.port}"


Listen = Endpoint | Path
"""Where metrics are served: a TCP port, or a Unix socket."""


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """edge.toml. Times are seconds. ``metrics``, ``web`` None: they are not served."""

    overlay: OverlaySettings
    api_port: int = 9443
    lease_seconds: float = 60.0
    grace_seconds: float = 600.0
    resync_seconds: float = 2.0
    pools: tuple[Pool, ...] = ()
    metrics: Listen | None = None
    web: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class HostSettings:
    """host.toml. ``via`` is the overlay address of the LAN gateway of a host that is no member.

    ``mark`` is the mask of the two bits of packet and connection marks that are ours;
    ``table`` and ``preference`` are the policy routes' first. ``metrics`` as in EdgeSettings.
    """

    overlay: OverlaySettings
    libvirt_uri: str = "qemu:///system"
    via: IPv4Address | None = None
    dnsmasq_folder: Path = Path("/var/lib/libvirt/dnsmasq")
    required_seconds: float = 5.0
    mark: int = 0x0C000000
    table: int = 12300
    preference: int = 12300
    metrics: Listen | None = None
