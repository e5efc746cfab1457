"""The edge of the lab."""

import shutil
from pathlib import Path

from tests.lab.daemons import EdgeDaemon
from tests.lab.machine import Machine
from tests.lab.namespace import Namespace, cable
from tests.lab.topology import (
    EDGE_ON_OVERLAY,
    EDGE_ON_UPLINK,
    OVERLAY_DEVICE,
    OVERLAY_MTU,
    OVERLAY_PREFIX,
    PUBLIC,
    ROUTER_ON_UPLINK,
    UPLINK_DEVICE,
)

STRICT = {"ipv4__conf__default__rp_filter": 1, "ipv4__conf__all__rp_filter": 0}
"""Set before a machine's devices come: the strictest that distributions have for new ones."""

MACS = {UPLINK_DEVICE: "02:00:cb:00:71:02", OVERLAY_DEVICE: "02:00:c0:a8:c1:de"}
"""The same after a reboot, as on any machine: the others remember them for a while."""


class Edge(Machine):
    """The machine with the public addresses; its zthook is ``daemon``."""

    def __init__(self, namespace: Namespace, folder: Path, hub: Namespace) -> None:
        super().__init__("edge", namespace, folder)
        self.daemon = EdgeDaemon(self)
        self._hub = hub
        self._configured: list[str] = []
        self._cable()

    @property
    def overlay_address(self) -> str:
        """The edge's address on the overlay."""
        return EDGE_ON_OVERLAY

    def configure_address(self, public: str) -> None:
        """Configure a public address on the uplink, as people do (it survives reboot())."""
        self._configured.append(public)
        self.ip(f"addr add {public}/32 dev {UPLINK_DEVICE}")

    def reboot(self) -> None:
        """Take the power away: processes, tables, routes and /run are gone; disks stay.

        The machine comes back with its own addresses, and nothing of zthook running.
        """
        self.namespace.end_processes()
        self.close()
        self.namespace.remove()
        self.namespace = Namespace.create(self.namespace.name)
        shutil.rmtree(self.daemon.runtime)
        self.daemon.runtime.mkdir()
        self._cable()

    def _cable(self) -> None:
        self.namespace.sysctl(**STRICT)
        cable(self.namespace, UPLINK_DEVICE, self._hub, "edge-u")
        cable(self.namespace, OVERLAY_DEVICE, self._hub, "edge-o", OVERLAY_MTU)
        self._hub.ip("link set edge-u master uplink", "link set edge-o master overlay")
        self.ip(
            *(f"link set {device} address {mac}" for device, mac in MACS.items()),
            f"addr add {EDGE_ON_UPLINK}/{PUBLIC.prefixlen} dev {UPLINK_DEVICE}",
            f"addr add {EDGE_ON_OVERLAY}/{OVERLAY_PREFIX} dev {OVERLAY_DEVICE}",
            f"route add default via {ROUTER_ON_UPLINK}",
            *(f"addr add {public}/32 dev {UPLINK_DEVICE}" for public in self._configured),
        )
