"""What the edge looks at before it gives addresses away: its own, and its neighbours."""

import logging
from collections.abc import Iterable
from ipaddress import IPv4Address, ip_network
from typing import TYPE_CHECKING

from msgspec.structs import replace

from zthook.config.settings import OverlaySettings
from zthook.edge.grounds import Ground
from zthook.edge.macs import believed_mac, doubt, reckoned_mac
from zthook.edge.outlook import Outlook
from zthook.edge.plane import KernelSide, overlay_address6
from zthook.errors import KernelError
from zthook.model.addresses import IPAddress, pool_of
from zthook.model.mappings import Auto, Claim
from zthook.store.rows import HostRow

if TYPE_CHECKING:
    from zthook.kernel.edge.dataplane import EdgeDataplane

log = logging.getLogger(__name__)


class Lookout:
    """``ground`` is as it was seen last, None where it is not known or counts no more.

    ``judged`` is the ground by which all claims were judged last, None where some may not be.
    """

    def __init__(self, dataplane: "EdgeDataplane", outlook: Outlook, kernel: KernelSide) -> None:
        self.ground: Ground | None = None
        self.judged: Ground | None = None
        self._dataplane = dataplane
        self._outlook = outlook
        self._kernel = kernel

    def see_ground(self, claims: Iterable[Claim]) -> None:
        """Know what the edge must not give away, now that these are asked for.

        Raises KernelError. A look walks all processes (for logins): too much for every
        request, so usually the last pass's counts. But at one of this machine's own
        addresses, which nobody has yet, somebody may have logged in since.
        """
        named = (one.public for one in claims if not isinstance(one.public, Auto))
        if self.ground is None or any(map(self._may_be_in_use, named)):
            self.look()
            if self.ground != self.judged:
                self.judged = None  # also where it is as before by the next pass

    def _may_be_in_use(self, public: IPAddress) -> bool:
        ground = self.ground
        pool = pool_of(public, ground.pools) if ground is not None else None
        if ground is None or pool is None or self._kernel.on(str(public)):
            return False
        return ip_network(pool.arrival(public)) in ground.connected

    def look(self) -> None:
        """See the ground as it is now. Raises KernelError."""
        device = self._outlook.device
        self.ground = Ground(
            pools=self._outlook.settings.pools,
            protected=self._dataplane.protected(),
            connected=self._dataplane.connected(),
            hides6=device is None or overlay_address6(device) is not None,
            served=self._dataplane.served(),
        )

    def looked(self) -> bool:
        """As ``look``; whether the kernel let us."""
        try:
            self.look()
        except KernelError as error:
            log.warning("the edge's own addresses can not be seen: %s", error.message)
            return False
        return True

    def mac_of(self, address: IPv4Address) -> str | None:
        """The overlay neighbour's MAC, None where the kernel does not know it now."""
        try:
            return self._dataplane.mac_of(address)
        except KernelError as error:
            log.warning("the neighbour entry of %s can not be seen: %s", address, error.message)
            return None

    def impostor(self, host: HostRow, source: IPv4Address, found: str | None) -> str:
        """What is to be said where another than the host may answer for its address, as
        ``found`` (``mac_of``) does.
        """
        return doubt(self._overlay, host, str(source), found)

    def next_hop(self, host: HostRow, source: IPv4Address, found: str | None) -> HostRow:
        """The host as ``source``, for which ``found`` (``mac_of``) answers, shows where it is
        reached.

        Who is known by ARP alone stays where he was until that tells of him there.
        """
        mac = reckoned_mac(self._overlay, host)
        if mac is None:
            if found is None and host.mac not in (None, host.own_mac):
                return host
            mac = believed_mac(host, found)
        return replace(host, address=str(source), mac=mac)

    def as_member(self, host: HostRow) -> HostRow:
        """The host by the MAC of its member, where that is known: it need not be heard for it."""
        mac = reckoned_mac(self._overlay, host)
        return host if mac is None or host.address is None else replace(host, mac=mac)

    @property
    def _overlay(self) -> OverlaySettings:
        return self._outlook.settings.overlay
