"""The edge of the lab."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.daemons import EdgeDaemon
from tests.lab.disk import Disk
from tests.lab.machine import Machine
from tests.lab.namespace import Namespace, cable
from tests.lab.topology import (
    EDGE6_ON_OVERLAY,
    EDGE_ON_OVERLAY,
    OVERLAY6_PREFIX,
    OVERLAY_DEVICE,
    OVERLAY_PREFIX,
    Uplink,
)

STRICT = {"ipv4__conf__default__rp_filter": 1, "ipv4__conf__all__rp_filter": 0}
"""Set before a machine's devices come: the strictest that distributions have for new ones."""

OVERLAY_MAC = "02:00:c0:a8:c1:de"
"""As its uplinks' the same after a reboot, as on any machine: others remember it for a while."""


@dataclass(frozen=True, slots=True)
class Wires:
    """What an edge is plugged into: bridges of the ``hub`` named as the devices."""

    hub: Namespace
    uplinks: Sequence[Uplink]
    overlay_mtu: int
    ipv6: bool


def plug_name(machine: str, bridge: str) -> str:
    """The hub's end of a machine's cable to one of its bridges: edge-o, edge-u0, home1-s."""
    short = bridge.replace("uplink", "u").replace("overlay", "o").replace("shared", "s")
    return f"{machine}-{short}"


class Edge(Machine):
    """The machine with the public addresses; its zthook is ``daemon``."""

    def __init__(self, namespace: Namespace, folder: Path, wires: Wires) -> None:
        super().__init__("edge", namespace, folder)
        self.daemon = EdgeDaemon(self)
        self._wires = wires
        self._configured: list[tuple[str, Uplink]] = []
        self._disk: Disk | None = None
        self._cable()

    @property
    def overlay_address(self) -> str:
        """The edge's address on the overlay."""
        return EDGE_ON_OVERLAY

    def give_disk(self) -> Disk:
        """Have its store on a disk of its own from now on, an empty one; it survives reboot()."""
        self._disk = Disk(self.daemon.state.with_name("disk.image"), self.daemon.state)
        return self._disk

    def entering(self, command: Sequence[object]) -> list[object]:
        """``command`` as it must be called to run on this machine."""
        inside = super().entering(command)
        return inside if self._disk is None else self._disk.entering(inside)

    def close(self) -> None:
        """Kill what was started on it, and let go of its disk."""
        super().close()
        if self._disk is not None:
            self._disk.close()

    def configure_address(self, public: str, uplink: int = 0) -> None:
        """Configure a public address on an uplink, as people do (it survives reboot())."""
        self._configured.append((public, self._wires.uplinks[uplink]))
        self.ip(_configured(*self._configured[-1]))

    def reboot(self) -> None:
        """Take the power away: processes, tables, routes and /run are gone; disks stay.

        The machine comes back with its own addresses, and nothing of zthook running.
        """
        self.namespace.end_processes()
        super().close()
        self.namespace.remove()
        self.namespace = Namespace.create(self.namespace.name)
        shutil.rmtree(self.daemon.runtime)
        self.daemon.runtime.mkdir()
        self._cable()

    def _cable(self) -> None:
        wires = self._wires
        self.namespace.sysctl(**STRICT)
        if wires.ipv6:
            self.namespace.sysctl(ipv6__conf__default__accept_dad=0)
        for uplink in wires.uplinks:
            self._plug(uplink.device, uplink.mac)
        self._plug(OVERLAY_DEVICE, OVERLAY_MAC, wires.overlay_mtu)
        self.ip(
            *(
                f"addr add {one.edge}/{one.network.prefixlen} dev {one.device}"
                for one in wires.uplinks
            ),
            f"addr add {EDGE_ON_OVERLAY}/{OVERLAY_PREFIX} dev {OVERLAY_DEVICE}",
            f"route add default via {wires.uplinks[0].router}",
            *(_configured(*one) for one in self._configured),
        )
        if wires.ipv6:
            self.ip(
                *(f"addr add {one.edge6}/64 dev {one.device}" for one in wires.uplinks),
                f"addr add {EDGE6_ON_OVERLAY}/{OVERLAY6_PREFIX} dev {OVERLAY_DEVICE}",
                f"route add default via {wires.uplinks[0].router6}",
            )

    def _plug(self, device: str, mac: str, mtu: int = 1500) -> None:
        bridge = "overlay" if device == OVERLAY_DEVICE else device
        plug = plug_name("edge", bridge)
        cable(self.namespace, device, self._wires.hub, plug, mtu)
        self._wires.hub.ip(f"link set {plug} master {bridge}")
        # Down and up: its link-local address follows from its MAC.
        self.ip(f"link set {device} down address {mac}", f"link set {device} up")


def _configured(public: str, uplink: Uplink) -> str:
    return f"addr add {public}/{128 if ':' in public else 32} dev {uplink.device}"
