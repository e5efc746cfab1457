"""An edge and some hosts as network namespaces, without libvirt: kernels to be damaged."""

import asyncio
import ctypes
import os
import threading
from collections.abc import Coroutine
from ipaddress import IPv4Address
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.kernel_host.inside import CLONE_NEWNET
from tests.lab.namespace import Namespace, cable

T = TypeVar("T")

OVERLAY, UPLINK, BRIDGE = "zt0", "up0", "virbr0"
EDGE_ADDRESS = IPv4Address("10.147.0.1")
EDGE_MAC = "02:00:00:00:01:01"
CONFIGURED = IPv4Address("203.0.113.17")
"""An address of the pool that the edge has itself."""
DEADLINE = 30.0


class Place:
    """A namespace, and an event loop in a thread that lives in it."""

    def __init__(self, name: str, mac: str, address: IPv4Address) -> None:
        self.namespace = Namespace.create(name)
        self.mac = mac
        self.address = address
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with self.namespace.path.open("rb") as file:
            if libc.setns(file.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, job: Coroutine[Any, Any, T]) -> T:
        """Have it done on the loop, and return what it returns."""
        return asyncio.run_coroutine_threadsafe(job, self.loop).result(DEADLINE)

    def shell(self, script: str) -> None:
        """What somebody else does there; where it fails there was nothing to do."""
        self.namespace.run("sh", "-c", script, check=False)

    def close(self) -> None:
        """End the loop and take the namespace down."""

        async def finish() -> None:
            await self.loop.shutdown_default_executor()

        self.run(finish())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(DEADLINE)
        self.loop.close()
        self.namespace.remove()


class Ground:
    """All of them on one overlay; a context manager, for root."""

    def __init__(self, hosts: int) -> None:
        self._prefix = f"ztstorm-{os.getpid()}-"
        self._count = hosts
        self._opened: list[Place] = []

    def __enter__(self) -> Self:
        self.hub = Namespace.create(f"{self._prefix}hub")
        self.hub.unfilter_bridges()
        self.hub.ip("link add overlay type bridge", "link set overlay up")
        self.edge = self._place("edge", EDGE_MAC, EDGE_ADDRESS)
        cable(self.edge.namespace, UPLINK, self.hub, "provider")
        self.edge.namespace.ip(
            f"addr add 203.0.113.2/24 dev {UPLINK}",
            f"addr add {CONFIGURED}/32 dev {UPLINK}",
        )
        self.hosts = {
            f"home{number}": self._place(
                f"home{number}", f"02:00:00:00:02:{number:02x}", EDGE_ADDRESS + 10 + number
            )
            for number in range(1, self._count + 1)
        }
        for place in self.hosts.values():
            place.namespace.ip(
                f"link add {BRIDGE} type bridge",
                f"link set {BRIDGE} up",
                f"addr add 192.168.122.1/24 dev {BRIDGE}",
            )
        self.know_each_other(self.edge)
        return self

    def _place(self, name: str, mac: str, address: IPv4Address) -> Place:
        place = Place(self._prefix + name, mac, address)
        self._opened.append(place)
        self.plug(place)
        return place

    def plug(self, place: Place) -> None:
        """The overlay's device comes, or comes back, with nothing of before but its address."""
        port = place.namespace.name.removeprefix(self._prefix)
        cable(place.namespace, OVERLAY, self.hub, port)
        self.hub.ip(f"link set {port} master overlay")
        place.namespace.ip(
            f"link set {OVERLAY} address {place.mac}",
            f"addr add {place.address}/24 dev {OVERLAY}",
        )

    def unplug(self, place: Place) -> None:
        """The overlay's device goes."""
        place.namespace.ip(f"link del {OVERLAY}")

    def know_each_other(self, place: Place) -> None:
        """As traffic would bring about: nobody sends any here."""
        place.namespace.ip(
            *(
                f"neigh replace {one.address} lladdr {one.mac} dev {OVERLAY} nud permanent"
                for one in self.hosts.values()
            )
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for place in self._opened:
            place.close()
        self.hub.remove()
