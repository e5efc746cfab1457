"""An edge's dataplane that works inside a topology's edge."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeVar

import pytest

from tests.kernel.namespace import mac
from tests.kernel.topology import Topology
from tests.kernel_host.twins import six
from zthook.kernel.edge.dataplane import KernelEdgeDataplane
from zthook.kernel.traffic import Traffic
from zthook.model.addresses import AddressRange
from zthook.model.mappings import EdgePlane, Forwarding
from zthook.model.publication import Egress, Mode, PortRange

T = TypeVar("T")
both = pytest.mark.parametrize("version", [4, 6])
"""Of a test whose topology is to speak each IP version."""

CONFIGURED, ON_LINK, ROUTED, TRANSLATED = (
    "203.0.113.20",
    "203.0.113.30",
    "192.0.2.10",
    "198.18.0.10",
)
"""One public address for each way of arrival."""
ARRIVES_AS = {TRANSLATED: "203.0.113.40"}

OVERLAY_ADDRESS = IPv4Address("192.168.193.222")
PLANE = EdgePlane(
    overlay="zt0",
    overlay_address=OVERLAY_ADDRESS,
    uplinks=frozenset({"eth0"}),
    api_port=9443,
    pool_ranges=(
        AddressRange.parse("203.0.113.20-203.0.113.63"),
        AddressRange.parse("192.0.2.0/24"),
    ),
)


def twin_of(plane: EdgePlane) -> EdgePlane:
    """The same for the twins."""
    ranges = [(six(str(one.first)), six(str(one.last))) for one in plane.pool_ranges]
    return replace(
        plane,
        overlay_address6=IPv6Address(six(str(OVERLAY_ADDRESS))),
        pool_ranges=tuple(AddressRange(ip_address(a), ip_address(b)) for a, b in ranges),
    )


class Edge:
    """Calls go to the thread inside the namespace, as the daemon has one thread for them."""

    def __init__(self, top: Topology) -> None:
        self.top = top
        self.inside = top.edge
        self.plane = PLANE if top.version == 4 else twin_of(PLANE)
        self.macs = {1: mac(top.home1, "zt0"), 2: mac(top.home2, "zt0")}
        self._dataplane: KernelEdgeDataplane | None = None

    def ask(self, do: Callable[[KernelEdgeDataplane], T]) -> T:
        """Run ``do`` on the dataplane, in its thread."""

        def inside() -> T:
            if self._dataplane is None:
                self._dataplane = KernelEdgeDataplane()
            return do(self._dataplane)

        return self.inside.call(inside)

    def mapping(
        self,
        public: str = CONFIGURED,
        home: int = 1,
        private: str = "192.168.122.50",
        *,
        hide: bool = False,
        host_hides: bool = False,
        mode: Mode = Mode.NAT,
        egress: Egress = Egress.HOME,
        ports: Iterable[str] = (),
        allow: Iterable[str] = (),
    ) -> Forwarding:
        """To the guest with that private address behind ``home``."""
        spoken = self.inside.spoken
        return Forwarding(
            public=ip_address(spoken(public)),
            arrives_as=ip_address(spoken(ARRIVES_AS.get(public, public))),
            private=ip_address(spoken(private)),
            next_hop=IPv4Address(f"192.168.193.{home + 1}"),
            next_hop_mac=self.macs[home],
            uplink="eth0",
            hide=hide,
            host_hides=host_hides,
            mode=mode,
            egress=egress,
            ports=tuple(map(PortRange.parse, ports)),
            allow=tuple(ip_network(spoken(one)) for one in allow),
        )

    def apply(self, *some: Forwarding) -> list[str]:
        """Have exactly these mappings; without any, those that the last call had."""
        if some:
            self.plane = replace(self.plane, forwardings=frozenset(some))
        plane = self.plane
        return self.ask(lambda dataplane: dataplane.apply(plane))

    def change(
        self, *, withdraw: Sequence[Forwarding] = (), grant: Sequence[Forwarding] = ()
    ) -> None:
        """A few more or less; ``apply`` keeps to it afterwards."""
        self.ask(lambda dataplane: dataplane.change(withdraw=withdraw, grant=grant))
        changed = {one.key for one in (*withdraw, *grant)}
        kept = frozenset(f for f in self.plane.forwardings if f.key not in changed)
        self.plane = replace(self.plane, forwardings=kept | frozenset(grant))

    def traffic(self, one: Forwarding) -> Traffic:
        return self.ask(lambda dataplane: dataplane.traffic())[one.public, one.private]

    def drifted(self) -> bool:
        return self.ask(lambda dataplane: dataplane.drifted())

    def stop(self) -> None:
        """The daemon ends; the kernel stays as it is. The next call starts another."""
        if self._dataplane is not None:
            self.ask(lambda dataplane: dataplane.close())
            self._dataplane = None

    def configure(self, address: str) -> None:
        """Give the uplink the address, as its owner would have."""
        self.inside.run(f"ip addr add {address}/32 dev eth0 preferred_lft 0")
