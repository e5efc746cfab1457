"""The edge that is looked at: what several checks need, each looked for once."""

import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import msgspec

from zthook.config.loading import load_edge
from zthook.config.places import Places
from zthook.config.settings import EdgeSettings
from zthook.edge.admin_views import EdgeReport
from zthook.edge.macs import is_pinned
from zthook.edge.plane import edge_plane, forwarding
from zthook.edge.views import MappingView
from zthook.errors import DaemonUnreachable, OverlayDown
from zthook.kernel.edge.inspecting import Drift, drift
from zthook.model.mappings import EdgePlane, OverlayDevice
from zthook.overlay import open_overlay
from zthook.store.reading import ReadLedger
from zthook.store.rows import HostRow, Standing
from zthook.wire.control import ask

DAEMON_SECONDS = 3.0
LOOKS, PAUSE_SECONDS = 3, 1.0
"""The daemon may be in the midst of a change, or of a repair: what lasts is told."""


@dataclass
class EdgeCase:
    """``places`` are where its files lie."""

    places: Places

    @cached_property
    def settings(self) -> EdgeSettings:
        """Raises NotEnrolled, ConfigError."""
        return load_edge(self.places.edge_config)

    @cached_property
    def heard(self) -> EdgeReport | DaemonUnreachable:
        """What the daemon says, or why it says nothing."""
        try:
            said = ask(self.places.edge_socket, "status", deadline=DAEMON_SECONDS)
        except DaemonUnreachable as error:
            return error
        return msgspec.convert(said, EdgeReport)

    @property
    def daemon(self) -> EdgeReport | None:
        """The same, None where it does not answer."""
        return self.heard if isinstance(self.heard, EdgeReport) else None

    @cached_property
    def mappings(self) -> list[MappingView]:
        """Every claim as the daemon tells it; none where it does not answer."""
        if self.daemon is None:
            return []
        said = ask(self.places.edge_socket, "mappings", deadline=DAEMON_SECONDS)
        return msgspec.convert(said, list[MappingView])

    @cached_property
    def overlay(self) -> OverlayDevice | None:
        """The overlay's device, None where it is down."""
        try:
            return open_overlay(self.settings.overlay).observe()
        except OverlayDown:
            return None

    def plane(self) -> EdgePlane:
        """What the kernel should have by the store, as it is now. Raises StoreError."""
        pools = self.settings.pools
        with closing(ReadLedger(self.places.store)) as ledger:
            hosts = {one.name: one for one in ledger.hosts()}
            pinned = self._pinned(hosts.values())
            wanted = [
                forwarding(row, hosts.get(row.host), pools, pinned=row.host in pinned)
                for row in ledger.claims(Standing.HOLDING)
            ]
        return edge_plane(self.settings, self.overlay, filter(None, wanted))

    def _pinned(self, hosts: Iterable[HostRow]) -> set[str]:
        """Whose MACs are. Without a daemon as with it: at its start it gives each host a lease."""
        said = self.daemon.status.hosts if self.daemon else ()
        ended, overlay = {one.name for one in said if one.lease == "ended"}, self.settings.overlay
        return {one.name for one in hosts if is_pinned(overlay, one, leased=one.name not in ended)}

    @cached_property
    def drift(self) -> Drift:
        """What differs, and goes on differing. Raises StoreError, KernelError."""
        found = drift(self.plane())
        for _ in range(LOOKS - 1 if self.daemon else 0):
            if not found.settings and not found.rest:
                break
            time.sleep(PAUSE_SECONDS)
            found = drift(self.plane())
        return found
