"""An edge and some hosts as network namespaces, without libvirt: kernels to be damaged."""

import asyncio
import ctypes
import os
import threading
from collections.abc import Coroutine
from ipaddress import IPv4Address, IPv6Address
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.kernel_host.inside import CLONE_NEWNET
from tests.lab.namespace import Namespace, cable

T = TypeVar("T")

OVERLAY, UPLINK, BRIDGE = "zt0", "up0", "virbr0"
EDGE_ADDRESS = IPv4Address("10.147.0.1")
EDGE_MAC = "02:00:00:00:01:01"
EDGE6_ADDRESS = IPv6Address("fd00:147::1")
CONFIGURED = IPv4Address("203.0.113.17")
CONFIGURED6 = IPv6Address("2001:db8:113::12")
"""Addresses of pools that the edge has itself."""
DEADLINE = 30.0
EMPTY = """
nft flush ruleset
conntrack -F 2>/dev/null
for family in -4 -6; do
    ip $family route flush table 12300; ip $family route flush table 12301
    ip $family rule flush; ip $family rule add pref 32766 table main
done
ip rule add pref 32767 table default
ip -6 neigh flush nud permanent
echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
"""
"""What does not outlive a loss of power."""


class Place:
    """A namespace, and an event loop in a thread that lives in it.

    ``address6`` is None where it has no other IPv6 address on the overlay than that of its MAC.
    """

    def __init__(
        self, name: str, mac: str, address: IPv4Address, address6: IPv6Address | None = None
    ) -> None:
        self.namespace = Namespace.create(name)
        # Nobody has an address twice here, and asking takes a second.
        self.namespace.sysctl(ipv6__conf__default__accept_dad=0)
        self.mac = mac
        self.address = address
        self.address6 = address6
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
        self.hub.sysctl(ipv6__conf__default__disable_ipv6=1)
        self.hub.unfilter_bridges()
        self.hub.ip("link add overlay type bridge", "link set overlay up")
        self.edge = self._place("edge", EDGE_MAC, EDGE_ADDRESS, EDGE6_ADDRESS)
        cable(self.edge.namespace, UPLINK, self.hub, "provider")
        self.edge.namespace.ip(
            f"addr add 203.0.113.2/24 dev {UPLINK}",
            f"addr add {CONFIGURED}/32 dev {UPLINK}",
            f"addr add 2001:db8:113::2/64 dev {UPLINK}",
            f"addr add {CONFIGURED6}/128 dev {UPLINK}",
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
                f"addr add fd00:122::1/64 dev {BRIDGE}",
            )
            # A bridge without a port has no carrier, and then no IPv6.
            cable(place.namespace, "port0", self.hub, f"{self._port(place)}-port0")
            place.namespace.ip(f"link set port0 master {BRIDGE}")
        self.know_each_other(self.edge)
        return self

    def _place(
        self, name: str, mac: str, address: IPv4Address, address6: IPv6Address | None = None
    ) -> Place:
        place = Place(self._prefix + name, mac, address, address6)
        self._opened.append(place)
        self.plug(place)
        return place

    def _port(self, place: Place) -> str:
        """The hub's end of its cable to the overlay."""
        return place.namespace.name.removeprefix(self._prefix)

    def plug(self, place: Place) -> None:
        """The overlay's device comes, or comes back, with nothing of before but its address."""
        port = self._port(place)
        cable(place.namespace, OVERLAY, self.hub, port)
        self.hub.ip(f"link set {port} master overlay")
        place.namespace.ip(
            # Down and up: its link-local address follows from its MAC.
            f"link set {OVERLAY} down address {place.mac}",
            f"link set {OVERLAY} up",
            f"addr add {place.address}/24 dev {OVERLAY}",
        )
        self.give_six(place)

    @staticmethod
    def give_six(place: Place) -> None:
        """Its own IPv6 address on the overlay, where it has one."""
        if place.address6 is not None:
            place.namespace.ip(f"addr replace {place.address6}/64 dev {OVERLAY}")

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
