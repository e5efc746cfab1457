"""The contract for IPv6: dataplanes are told of the twins, and tell of whose twins they are."""

import re
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from tests.kernel_host.twins import four, six
from zthook.kernel.edge.dataplane import EdgeDataplane
from zthook.kernel.traffic import Traffic
from zthook.model.addresses import AddressRange, IPAddress
from zthook.model.mappings import EdgePlane, Forwarding

ULA = re.compile(r"\bfd00:[0-9a-f:]+")


def twin(address: IPAddress) -> IPAddress:
    """The address's, if it is of IPv4."""
    return ip_address(six(str(address)))


def back(address: IPAddress) -> IPv4Address:
    """Whose twin it is; of a member's link-local address its IPv4 address on the overlay."""
    if address.version == 4:
        return address
    if address.is_link_local:
        return IPv4Address(f"192.168.193.{address.packed[-1]}")
    return IPv4Address(four(str(address)))


def twin_forwarding(one: Forwarding) -> Forwarding:
    """The same for the twins."""
    return replace(
        one,
        public=twin(one.public),
        arrives_as=twin(one.arrives_as),
        private=twin(one.private),
        allow=tuple(ip_network(six(str(prefix))) for prefix in one.allow),
    )


def twin_plane(plane: EdgePlane) -> EdgePlane:
    """The same for the twins; the overlay has both."""
    own = plane.overlay_address
    return replace(
        plane,
        overlay_address6=IPv6Address(six(str(own))) if own is not None else None,
        pool_ranges=tuple(
            AddressRange(twin(one.first), twin(one.last)) for one in plane.pool_ranges
        ),
        forwardings=frozenset(map(twin_forwarding, plane.forwardings)),
        gateways=frozenset((uplink, twin(one)) for uplink, one in plane.gateways),
    )


class TwinDataplane:
    """Of what it says addresses alone are put back."""

    def __init__(self, dataplane: EdgeDataplane) -> None:
        self._dataplane = dataplane

    def apply(self, desired: EdgePlane) -> list[str]:
        lines = self._dataplane.apply(twin_plane(desired))
        return [ULA.sub(lambda found: four(found[0]), line) for line in lines]

    def change(
        self, *, withdraw: Sequence[Forwarding] = (), grant: Sequence[Forwarding] = ()
    ) -> None:
        self._dataplane.change(
            withdraw=list(map(twin_forwarding, withdraw)), grant=list(map(twin_forwarding, grant))
        )

    def drifted(self) -> bool:
        return self._dataplane.drifted()

    def misled(self) -> tuple[str, ...]:
        return self._dataplane.misled()

    def traffic(self) -> dict[tuple[IPAddress, IPAddress], Traffic]:
        found = self._dataplane.traffic()
        return {(back(public), back(private)): one for (public, private), one in found.items()}

    def close(self) -> None:
        self._dataplane.close()
