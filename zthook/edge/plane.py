"""What the edge's kernel should have, and what it is known to have."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from zthook.config.settings import EdgeSettings
from zthook.errors import KernelError
from zthook.model.addresses import IPAddress, Pool, pool_of
from zthook.model.mappings import EdgePlane, Forwarding, OverlayDevice, Rewriter
from zthook.model.publication import Client, Egress, Mode, PortRange
from zthook.store.rows import ClaimRow, HostRow

if TYPE_CHECKING:  # what decides does not load what speaks netlink
    from zthook.kernel.edge.dataplane import EdgeDataplane

log = logging.getLogger(__name__)

Key = tuple[IPAddress, IPAddress]
"""``Forwarding.key``."""


def forwarding(
    row: ClaimRow, host: HostRow | None, pools: Iterable[Pool], *, pinned: bool
) -> Forwarding | None:
    """What the kernel must have for a row that holds; None while something of it is unknown.

    ``pinned`` as in Forwarding.
    """
    public = ip_address(row.public)
    pool = pool_of(public, pools)
    if pool is None or host is None or not (row.private and host.address and host.mac):
        return None
    mode, allow = Mode(row.mode), map(ip_network, row.allow)
    rewriter = row.rewriter if (mode, row.client) == (Mode.NAT, Client.HIDE) else None
    return Forwarding(
        public=public,
        arrives_as=pool.arrival(public),
        private=ip_address(row.private),
        next_hop=IPv4Address(host.address),
        next_hop_mac=host.mac,
        uplink=pool.uplink,
        pinned=pinned,
        hide=rewriter == Rewriter.EDGE,
        host_hides=rewriter == Rewriter.HOST,
        mode=mode,
        egress=Egress(row.egress),
        ports=tuple(map(PortRange.parse, row.ports)),
        # Never none of several: that would be everybody (``grounds`` sees to it).
        allow=tuple(source for source in allow if source.version == public.version),
    )


def overlay_address(device: OverlayDevice | None) -> IPv4Address | None:
    """The edge's own IPv4 address on the overlay."""
    found = device.addresses if device is not None else ()
    return next((one for one in found if isinstance(one, IPv4Address)), None)


def overlay_address6(device: OverlayDevice | None) -> IPv6Address | None:
    """The edge's own IPv6 address there that others can answer to from anywhere."""
    found = device.addresses if device is not None else ()
    return next(
        (one for one in found if isinstance(one, IPv6Address) and not one.is_link_local), None
    )


def edge_plane(
    settings: EdgeSettings, device: OverlayDevice | None, forwardings: Iterable[Forwarding]
) -> EdgePlane:
    """The whole of it. ``device`` is the overlay's, as it was known last."""
    return EdgePlane(
        overlay=device.name if device is not None else "",
        overlay_address=overlay_address(device),
        uplinks=frozenset(pool.uplink for pool in settings.pools),
        api_port=settings.api_port,
        pool_ranges=tuple(
            one for pool in settings.pools for one in (pool.arrives_as or pool.ranges)
        ),
        forwardings=frozenset(forwardings),
        overlay_address6=overlay_address6(device),
        gateways=frozenset(
            (pool.uplink, gateway) for pool in settings.pools for gateway in pool.gateways
        ),
    )


class KernelSide:
    """Changes the kernel, and knows what it has since: a mapping is active when it is here.

    ``fault`` says why the kernel may be otherwise; until the next ``apply`` that succeeds
    nothing else is changed.
    """

    def __init__(self, dataplane: "EdgeDataplane") -> None:
        self.fault = "the edge's kernel has not been looked at yet"
        self._dataplane = dataplane
        self._has: dict[str, tuple[Forwarding, ...]] = {}
        self._is: frozenset[Forwarding] | None = frozenset()
        """The same, where it is exactly what a whole pass wanted."""

    @property
    def blind(self) -> bool:
        """Whether nothing is known that it surely has."""
        return not self._has

    def on(self, public: str) -> tuple[Forwarding, ...]:
        """What it has for this public address."""
        return self._has.get(public, ())

    def has(self, one: Forwarding) -> bool:
        """Whether it has exactly this mapping."""
        return one in self.on(str(one.public))

    def forwards(self, one: Forwarding) -> bool:
        """The same, but for whether its host's MAC is pinned: packets pass all the same."""
        return any(replace(has, pinned=one.pinned) == one for has in self.on(str(one.public)))

    def other_than(self, wanted: frozenset[Forwarding]) -> set[str]:
        """The public addresses for which it has something else."""
        if wanted is self._is:
            return set()
        missing = {str(one.public) for one in wanted if not self.has(one)}
        return missing | {str(one.public) for one in self._every() if one not in wanted}

    def _every(self) -> Iterator[Forwarding]:
        return (one for some in self._has.values() for one in some)

    def change(
        self, *, withdraw: Sequence[Forwarding] = (), grant: Sequence[Forwarding] = ()
    ) -> bool:
        """Whether the kernel did it, at once, as it must before anybody is told."""
        if self.fault:
            return False
        if not withdraw and not grant:
            return True
        try:
            self._dataplane.change(withdraw=withdraw, grant=grant)
        except KernelError as error:
            self._failed(error, withdraw, grant)
            return False
        self._forget(withdraw)
        self._remember(grant)
        return True

    def apply(self, desired: EdgePlane) -> list[str] | None:
        """Make the kernel so. The repairs that were needed, or None where it refused."""
        try:
            repairs = self._dataplane.apply(desired)
        except KernelError as error:
            self._failed(error, tuple(self._every()))
            return None
        if desired.forwardings is not self._is:
            self._has = {}
            self._remember(desired.forwardings)
            self._is = desired.forwardings
        self.fault = ""
        return repairs

    def _failed(self, error: KernelError, *unsure: Sequence[Forwarding]) -> None:
        for some in unsure:
            self._forget(some)
        if error.message != self.fault:
            log.error("the kernel refused: %s", error.message)
        self.fault = error.message

    def _remember(self, some: Iterable[Forwarding]) -> None:
        self._is = None
        for one in some:
            self._has[str(one.public)] = (*self._others(one), one)

    def _forget(self, some: Iterable[Forwarding]) -> None:
        self._is = None
        for one in some:
            left = self._others(one)
            if left:
                self._has[str(one.public)] = left
            else:
                self._has.pop(str(one.public), None)

    def _others(self, one: Forwarding) -> tuple[Forwarding, ...]:
        return tuple(other for other in self.on(str(one.public)) if other.key != one.key)
