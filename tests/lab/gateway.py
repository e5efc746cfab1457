"""A machine on a home LAN that is the overlay's member for a host that is none itself."""

from pathlib import Path

from tests.lab.line import Line
from tests.lab.machine import Machine
from tests.lab.namespace import Namespace
from tests.lab.topology import OVERLAY_DEVICE, OVERLAY_PREFIX, Home

LAN_DEVICE = "lan0"

# Toward the overlay, so that the edge knows whom to answer; toward the LAN, so that guests do.
MASQUERADE = """
table ip gateway {{
    chain postrouting {{
        type nat hook postrouting priority srcnat
        oifname "{}" masquerade
    }}
}}
"""


class Gateway(Machine):
    """``.20`` on the home's LAN, with the host's address on the overlay.

    It forwards, has a route to the host's guests, and masquerades both ways, as its owner has
    set it up; forget_route() and the others undo what he could have forgotten. ``overlay`` is
    plugged in already.
    """

    def __init__(self, name: str, namespace: Namespace, folder: Path, line: Line, home: Home):
        super().__init__(name, namespace, folder)
        self._home = home
        line.plug(namespace, "gateway", LAN_DEVICE)
        self.ip(
            f"addr add {home.overlay}/{OVERLAY_PREFIX} dev {OVERLAY_DEVICE}",
            f"addr add {home.gateway}/{home.lan.prefixlen} dev {LAN_DEVICE}",
            f"route add default via {home.router}",
        )
        self.forward(on=True)
        self.route_guests(on=True)
        namespace.run("nft", "-f", "-", stdin=MASQUERADE.format(OVERLAY_DEVICE))
        self.masquerade(on=True)

    def forward(self, *, on: bool) -> None:
        """Whether it forwards at all."""
        self.namespace.sysctl(ipv4__ip_forward=int(on))

    def route_guests(self, *, on: bool) -> None:
        """Whether it knows the way to the host's guests."""
        verb = f"replace {self._home.guests} via {self._home.host}"
        self.ip(f"route {verb}" if on else f"route del {self._home.guests}")

    def masquerade(self, *, on: bool) -> None:
        """Whether the LAN sees its address instead of the edge's."""
        rule = ("gateway", "postrouting", "oifname", LAN_DEVICE, "masquerade")
        if on:
            self.run("nft", "add", "rule", "ip", *rule)
        else:
            self.run("nft", "flush", "chain", "ip", "gateway", "postrouting")
            overlay = ("oifname", OVERLAY_DEVICE, "masquerade")
            self.run("nft", "add", "rule", "ip", "gateway", "postrouting", *overlay)
