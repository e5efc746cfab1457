"""Keeps this host's kernel as the agent wants it, and follows the way to the edge."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from typing import Protocol

from zthook.errors import KernelError, OverlayDown
from zthook.host.health import Pulse
from zthook.host.observer import Worker
from zthook.host.planes import EdgeSide, plane
from zthook.kernel.traffic import Traffic
from zthook.model.addresses import AddressRange, IPAddress
from zthook.model.clock import Clock
from zthook.model.mappings import GuestRule, HostPlane, OverlayDevice
from zthook.model.waiting import within

log = logging.getLogger("zthook.agent")

COALESCE_SECONDS = 0.1
"""After a nudge: our own changes are told to us as well, and others' come in bursts."""
CHECK_SECONDS = 1.0
"""Between two checks for drift; with the pass that follows, a repair takes under two."""
ASK_SECONDS = 5.0
"""Between two questions whether a silent edge is where it was."""


class Dataplane(Protocol):
    """The part of ``zthook.kernel.HostDataplane`` that is used here; blocking."""

    def apply(self, desired: HostPlane | None) -> list[str]: ...
    def drifted(self) -> bool: ...
    def answers(self, address: IPv4Address, mac: str, device: str) -> bool: ...
    def traffic(self) -> Mapping[IPAddress, Traffic]: ...


class Overlay(Protocol):
    """``zthook.overlay.Overlay``."""

    def observe(self) -> OverlayDevice: ...


class HostKernel:
    """``device`` is None until the overlay was seen once, ``side`` until the edge's MAC on it
    was known as well.

    What was seen last stays: while the overlay is away its rules wait for its return.
    ``repaired`` counts what others changed and was put right since the start. ``told_mac`` is
    what the edge says of its MAC itself: ARP, which any member of the overlay may answer, has
    no say in it. Nor has it in where the edge's address is, unless the edge is ``silent`` and
    no more where it was.
    """

    def __init__(
        self,
        dataplane: Dataplane,
        overlay: Overlay,
        edge: IPv4Address,
        *,
        work: Worker,
        clock: Clock,
        hint: Callable[[], None],
        on_overlay: Callable[[], None] = lambda: None,
        told_mac: Callable[[], str],
        silent: Callable[[], bool],
    ) -> None:
        self.device: OverlayDevice | None = None
        self.side: EdgeSide | None = None
        self.overlay = Pulse("overlay", clock, on_overlay)
        self.kernel = Pulse("this host's kernel", clock)
        self._dataplane = dataplane
        self._overlay = overlay
        self._edge = edge
        self._work = work
        self._hint = hint
        self._told_mac = told_mac
        self._silent = silent
        self._there = True
        self.repaired = 0
        self._applied: HostPlane | None = None
        self._right = False
        self._disturbed = False
        self._nudged = asyncio.Event()

    def nudge(self, _kind: str = "") -> None:
        """The kernel told of a change: check soon."""
        self._nudged.set()

    async def settle(
        self,
        wanted: frozenset[GuestRule],
        pools: tuple[AddressRange, ...],
        newcomers: frozenset[tuple[str, str]] = frozenset(),
        *,
        widen: bool,
    ) -> None:
        """Make the kernel have these rules; with ``widen`` those it has stay beside them.

        ``pools`` are the public addresses that are reached through the edge, ``newcomers``
        those of HostPlane.
        """
        if self.side is None and (wanted or newcomers):
            await self._follow_edge()
        if (wanted or newcomers) and self.side is None:
            return  # no way to the edge was ever seen: nothing of it can arrive either
        desired = self._plane(wanted, pools, newcomers, widen=widen)
        if self._right and desired == self._applied:
            return
        await self._apply(desired)

    def _plane(
        self,
        wanted: frozenset[GuestRule],
        pools: tuple[AddressRange, ...],
        newcomers: frozenset[tuple[str, str]],
        *,
        widen: bool,
    ) -> HostPlane | None:
        kept = self._applied.rules if widen and self._applied else frozenset()
        if self.side is None:
            return None
        return plane(self.side, wanted, kept, pools, newcomers) or None

    async def _apply(self, desired: HostPlane | None) -> None:
        self._right = False
        disturbed = self._disturbed and desired == self._applied
        self._applied = desired
        try:
            repairs = await self._work(lambda: self._dataplane.apply(desired))
        except KernelError as error:
            self.kernel.bad(error)
            return
        self.kernel.good()
        self._right, self._disturbed = True, False
        self.repaired += len(repairs) if disturbed else 0
        for line in repairs:
            log.info("kernel: %s", line)

    async def watch(self) -> None:
        """Look for drift every second and on each nudge, for ever; hints where there is any."""
        while True:
            if await within(self._nudged, CHECK_SECONDS):
                await asyncio.sleep(COALESCE_SECONDS)
            self._nudged.clear()
            side = self.side
            await self._follow_edge()
            if self._right and side == self.side and await self._drifted():
                self._disturbed, self._right = True, False
            if not self._right or side != self.side:
                self._right = False
                self._hint()

    async def _drifted(self) -> bool:
        try:
            return await self._work(self._dataplane.drifted)
        except KernelError as error:
            self.kernel.bad(error)
            return True

    async def ask(self) -> None:
        """While the edge is silent, see now and then whether it is where it was; for ever."""
        while True:
            await self.ask_once()
            await asyncio.sleep(ASK_SECONDS)

    async def ask_once(self) -> None:
        """Its machine may be there though its daemon is not: then its MAC answers.

        One that has another MAC now could not be heard for as long as its address is taken to
        be at the one before.
        """
        side, there = self.side, True
        if side is not None and self._silent():
            try:
                ask = self._dataplane.answers  # it may take a second: not in the kernel's thread
                there = await asyncio.to_thread(ask, side.edge, side.edge_mac, side.overlay)
            except KernelError as error:
                self.overlay.bad(error)
        if there != self._there:
            self._there = there
            self.nudge()

    async def _follow_edge(self) -> None:
        try:
            self.device = device = await self._work(self._overlay.observe)
        except (OverlayDown, KernelError) as error:
            self.overlay.bad(error)
            return
        self.overlay.good()
        if mac := self._told_mac():
            there = not self._silent() or self._there
            self.side = EdgeSide(device.name, self._edge, mac, pinned=there)

    async def own_mac(self) -> str:
        """This host's MAC on the overlay; empty where that was never seen."""
        if self.device is None:
            await self._follow_edge()
        return self.device.mac.lower() if self.device is not None else ""

    async def traffic(self) -> Mapping[IPAddress, Traffic]:
        """Counted by private address; empty where the kernel does not say."""
        try:
            return await self._work(self._dataplane.traffic)
        except KernelError as error:
            self.kernel.bad(error)
            return {}
