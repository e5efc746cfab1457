"""Where metrics are served: to this machine alone, or to the overlay alone."""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from zthook.config.settings import Listen
from zthook.model.addresses import IPAddress
from zthook.model.mappings import OverlayDevice


@dataclass(frozen=True, slots=True)
class Port:
    """A TCP port, with ``device`` for what arrives there alone; ``index`` is which device that is,
    as ZeroTier makes another one of the same name when it restarts.
    """

    address: IPAddress
    port: int
    device: str = ""
    index: int = 0

    def __str__(self) -> str:
        return self.shown + (f" on {self.device}" if self.device else "")

    @property
    def shown(self) -> str:
        """As it stands in a URL."""
        shown = str(self.address) if self.address.version == 4 else f"[{self.address}]"
        return f"{shown}:{self.port}"

    def bound(self) -> socket.socket:
        """A socket bound to it. Raises OSError, where the port or the device can not be had."""
        family = socket.AF_INET if self.address.version == 4 else socket.AF_INET6
        link = socket.socket(family, socket.SOCK_STREAM)
        try:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self.device:
                # An address of ours is answered for at every device: a neighbour on the uplink,
                # or a guest, could reach the overlay's.
                device = self.device.encode()
                link.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            link.bind((str(self.address), self.port))
        except OSError:
            link.close()
            raise
        return link


Place = Port | Path
"""A TCP port, or a Unix socket."""


def place(listen: Listen | None, overlay: OverlayDevice | None) -> Place | None:
    """Where the settings want it; None: nowhere, or on an overlay that is not there."""
    if listen is None or isinstance(listen, Path):
        return listen
    if listen.address is not None:
        return Port(listen.address, listen.port)
    if overlay is None:
        return None
    addresses = (one for one in overlay.addresses if isinstance(one, IPv4Address))
    return next((Port(one, listen.port, overlay.name, overlay.index) for one in addresses), None)
