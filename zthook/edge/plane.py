"""What the edge's kernel should have, and what it is known to have."""

import logging
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING

from zthook.config.settings import EdgeSettings
from zthook.errors import KernelError
from zthook.model.addresses import Pool, pool_of
from zthook.model.mappings import EdgePlane, Forwarding, OverlayDevice, Rewriter
from zthook.model.publication import Client
from zthook.store.rows import ClaimRow, HostRow

if TYPE_CHECKING:  # what decides does not load what speaks netlink
    from zthook.kernel.edge import EdgeDataplane

log = logging.getLogger(__name__)


def forwarding(row: ClaimRow, host: HostRow | None, pools: Iterable[Pool]) -> Forwarding | None:
    """What the kernel must have for a row that holds; None while something of it is unknown."""
    public, private = ip_address(row.public), ip_address(row.private or "::")
    pool = pool_of(public, pools)
    if pool is None or host is None or host.address is None or host.mac is None:
        return None
    arrives_as = pool.arrival(public)
    if not (
        isinstance(public, IPv4Address)
        and isinstance(private, IPv4Address)
        and isinstance(arrives_as, IPv4Address)
    ):
        return None
    return Forwarding(
        public=public,
        arrives_as=arrives_as,
        private=private,
        next_hop=IPv4Address(host.address),
        next_hop_mac=host.mac,
        uplink=pool.uplink,
        hide=row.client == Client.HIDE and row.rewriter == Rewriter.EDGE,
    )


def overlay_address(device: OverlayDevice | None) -> IPv4Address | None:
    """The edge's own IPv4 address on the overlay."""
    found = device.addresses if device is not None else ()
    return next((one for one in found if isinstance(one, IPv4Address)), None)


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
    )


class KernelSide:
    """Changes the kernel, and knows what it has since: a mapping is active when it is here.

    ``has`` is by public address (text). ``fault`` says why the kernel may be otherwise;
    until the next ``apply`` that succeeds nothing else is changed.
    """

    def __init__(self, dataplane: "EdgeDataplane") -> None:
        self.has: dict[str, Forwarding] = {}
        self.fault = "the edge's kernel has not been looked at yet"
        self._dataplane = dataplane

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
        self.has |= {str(one.public): one for one in grant}
        return True

    def apply(self, desired: EdgePlane) -> list[str] | None:
        """Make the kernel so. The repairs that were needed, or None where it refused."""
        try:
            repairs = self._dataplane.apply(desired)
        except KernelError as error:
            self._failed(error, tuple(self.has.values()))
            return None
        self.has = {str(one.public): one for one in desired.forwardings}
        self.fault = ""
        return repairs

    def _failed(self, error: KernelError, *unsure: Sequence[Forwarding]) -> None:
        for some in unsure:
            self._forget(some)
        if error.message != self.fault:
            log.error("the kernel refused: %s", error.message)
        self.fault = error.message

    def _forget(self, some: Sequence[Forwarding]) -> None:
        for one in some:
            self.has.pop(str(one.public), None)
