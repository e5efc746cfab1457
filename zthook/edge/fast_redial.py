"""Keeps the edge's ZeroTier set up for redials that heal at once, and knows how far that is."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from zthook.config.settings import EdgeSettings, OverlaySettings
from zthook.edge.macs import node_of
from zthook.edge.seen_overlay import SeenOverlay
from zthook.edge.service import EdgeService
from zthook.edge.views import HostView
from zthook.edge.worker import Worker
from zthook.errors import ZthookError
from zthook.model.redial import Redial
from zthook.overlay.fast_redial import EdgeRedial
from zthook.overlay.redial import Enrolled
from zthook.overlay.ways import home_of, network_on

log = logging.getLogger("zthook.edge.overlay")

LOOK_SECONDS = 10.0
"""Between two looks; as often as zerotier-one looks whether its settings changed."""


class RunningEdge(Protocol):
    """What of the daemon this is about."""

    settings: EdgeSettings
    seen: SeenOverlay
    service: EdgeService
    worker: Worker


class FastRedial:
    """``seen`` is how it was found last, None where the overlay is not ZeroTier's.

    The journal of what was changed is at ``path``.
    """

    def __init__(self, path: Path, edge: RunningEdge) -> None:
        self.seen: Redial | None = None
        self._path = path
        self._edge = edge
        self._overlay: OverlaySettings | None = None

    async def keep(self) -> None:
        """Look every ten seconds, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Set up what is not, in a thread: nobody waits for a slow zerotier-one."""
        device = self._edge.seen.device
        if device is None:
            return
        try:
            self.seen = await self._looked(self._edge.settings.overlay, device.name)
        except ZthookError as error:
            said = error.told
            if self.seen is None or self.seen.fault != said:
                log.warning("fast redial: %s", said)
            self.seen = Redial(wanted=self._edge.settings.overlay.fast_redial, fault=said)

    async def _looked(self, overlay: OverlaySettings, device: str) -> Redial | None:
        if overlay != self._overlay:
            self._overlay, self._redial = overlay, EdgeRedial(home_of(overlay), self._path)
        network = await asyncio.to_thread(network_on, home_of(overlay), device)
        if network is None:
            return None
        if not overlay.fast_redial:
            await asyncio.to_thread(self._redial.put_back)
            return Redial(wanted=False)
        hosts = await self._edge.worker.run(self._edge.service.hosts)
        return await asyncio.to_thread(self._redial.look, enrolled(hosts, network))


def enrolled(hosts: Sequence[HostView], network: str) -> list[Enrolled]:
    """Those that are known to be members; one member is one peer, however many hosts it has."""
    found: dict[str, Enrolled] = {}
    for host in hosts:
        member = node_of(host, network)
        if not host.enrolled or member is None:
            continue
        live = host.lease == "live" or (member in found and found[member].live)
        name = f"{found[member].name}, {host.name}" if member in found else host.name
        found[member] = Enrolled(name, member, live)
    return list(found.values())
