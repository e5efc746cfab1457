"""The overlay as it was last seen, and why it is not there."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from msgspec.structs import replace

from zthook.edge.views import HostView
from zthook.errors import OverlayDown
from zthook.model.glance import Glance
from zthook.model.mappings import OverlayDevice
from zthook.overlay.knocks import Knocking
from zthook.overlay.ways import FindPaths, no_paths

log = logging.getLogger("zthook.edge.overlay")


PATHS_SECONDS = 0.3
"""How long a status waits for the overlay to say which ways it takes."""


class Overlay(Protocol):
    """What is asked of ``zthook.overlay``."""

    def observe(self) -> OverlayDevice: ...


@runtime_checkable
class Controller(Protocol):
    """An overlay where this machine may say who is let in."""

    def authorise(self, member: str) -> None: ...
    def shut_out(self, member: str) -> None: ...
    def knocking(self) -> list[Knocking]: ...
    def moon(self) -> str: ...


class SeenOverlay:
    """Asks the overlay in a thread of its own: a slow answer keeps nobody else waiting.
    ``find_paths`` asks it which ways it takes.

    ``device`` None and ``why`` tell that the overlay is down; both may be read from any
    thread.
    """

    def __init__(
        self, overlay: Overlay, on_change: Callable[[], None], find_paths: FindPaths = no_paths
    ) -> None:
        self.overlay = overlay
        self.find_paths = find_paths
        self.device: OverlayDevice | None = None
        self.why = "not looked at yet"
        self._on_change = on_change
        self._paths = Glance(
            lambda device, macs: self.find_paths(device, macs), seconds=PATHS_SECONDS
        )

    @property
    def controller(self) -> Controller | None:
        """The overlay, where it is of a kind that lets members in."""
        return self.overlay if isinstance(self.overlay, Controller) else None

    async def look(self) -> None:
        """Look once; ``on_change`` is called where it is another than before."""
        before, why_before = self.device, self.why
        try:
            self.device, self.why = await asyncio.to_thread(self.overlay.observe), ""
        except OverlayDown as error:
            self.device, self.why = None, error.told
        if (self.device, self.why) != (before, why_before):
            self._tell()
            self._on_change()

    async def with_paths(self, hosts: Sequence[HostView]) -> list[HostView]:
        """The hosts, each with the way the overlay takes to it, where that is said at once."""
        macs = [host.mac for host in hosts if host.mac is not None]
        if self.device is None or not macs:
            return list(hosts)
        found = await self._paths.look(self.device.name, macs) or {}
        return [replace(host, path=found.get(host.mac or "")) for host in hosts]

    def _tell(self) -> None:
        if self.device is None:
            log.warning("the overlay is down: %s", self.why)
        else:
            addresses = ", ".join(map(str, self.device.addresses)) or "no address"
            log.info("the overlay is %s with %s", self.device.name, addresses)
