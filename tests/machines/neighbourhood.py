"""An edge and a host, the overlay between them, and a client of the internet."""

from collections.abc import Sequence
from pathlib import Path

from tests.lab.machine import Machine
from tests.lab.namespace import Namespace, cable
from tests.lab.premises import Premises
from tests.lab.topology import CLIENT, CLIENT6, ROUTER6_TO_CLIENT, ROUTER_TO_CLIENT
from tests.machines.computer import Computer
from tests.machines.places import HOME_ROUTER, ROUTER, ROUTER6, Role

BRIDGES = {
    "uplink": (f"{ROUTER}/24", f"{ROUTER6}/64"),
    "line": (f"{HOME_ROUTER}/24",),
    "overlay": (),
}


class Neighbourhood(Premises):
    """``client`` - router - uplink - ``edge`` - overlay - ``host``, whose home line is a third
    network. All three networks are bridges in one namespace, which is the router too.

    A context manager, for root: at its end nothing of it is left. Files in ``brings`` are on
    both machines, in PARCEL. ``hub`` is that namespace.
    """

    hub: Namespace
    client: Machine
    edge: Computer
    host: Computer

    def __init__(self, release: int, brings: Sequence[Path] = ()) -> None:
        super().__init__()
        self._release = release
        self._brings = tuple(brings)
        self.computers: list[Computer] = []

    def build(self) -> None:
        self.hub = hub = self.namespace("hub")
        hub.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        hub.sysctl(ipv6__conf__default__accept_dad=0)
        hub.unfilter_bridges()
        for bridge, addresses in BRIDGES.items():
            hub.ip(f"link add {bridge} type bridge", f"link set {bridge} up")
            hub.ip(*(f"addr add {address} dev {bridge}" for address in addresses))
        self.client = self._client(hub)
        for role in Role:
            made = Computer(role, self._release, hub, self.folder, self._brings)
            self.computers.append(made)
            self.ends.append(made.close)
        self.edge, self.host = self.computers

    def _client(self, hub: Namespace) -> Machine:
        namespace = self.namespace("client")
        namespace.sysctl(ipv6__conf__default__accept_dad=0)
        cable(namespace, "eth0", hub, "client")
        hub.ip(f"addr add {ROUTER_TO_CLIENT}/24 dev client")
        hub.ip(f"addr add {ROUTER6_TO_CLIENT}/64 dev client")
        namespace.ip(f"addr add {CLIENT}/24 dev eth0", f"route add default via {ROUTER_TO_CLIENT}")
        namespace.ip(f"addr add {CLIENT6}/64 dev eth0")
        namespace.ip(f"route add default via {ROUTER6_TO_CLIENT}")
        return Machine("client", namespace, self.folder / "client")

    def wait_booted(self) -> None:
        """Return once both machines are up."""
        for computer in self.computers:
            computer.wait_booted()
