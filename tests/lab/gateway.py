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
    """``.20`` on the home's LAN, with the host's address on the overlay, where it is plugged in.

    It forwards, and masquerades both ways, as its owner has set it up: forward() and
    masquerade() undo what he could have forgotten. Networks behind the host are to be told it.
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
        namespace.run("nft", "-f", "-", stdin=MASQUERADE.format(OVERLAY_DEVICE))
        self.masquerade(on=True)

    def forward(self, *, on: bool) -> None:
        """Whether it forwards at all."""
        self.namespace.sysctl(ipv4__ip_forward=int(on))

    def learn_route(self, network: object) -> None:
        """Know the way to a network of guests that is behind the host."""
        self.ip(f"route add {network} via {self._home.host}")

    def masquerade(self, *, on: bool) -> None:
        """Whether the LAN sees its address instead of the edge's."""
        rule = ("gateway", "postrouting", "oifname", LAN_DEVICE, "masquerade")
        if on:
            self.run("nft", "add", "rule", "ip", *rule)
        else:
            self.run("nft", "flush", "chain", "ip", "gateway", "postrouting")
            overlay = ("oifname", OVERLAY_DEVICE, "masquerade")
            self.run("nft", "add", "rule", "ip", "gateway", "postrouting", *overlay)
