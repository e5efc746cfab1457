"""What a real agent stands on: libvirt, this machine's kernel, its overlay."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from zthook.config.settings import HostSettings
from zthook.host.opening import HostPlaneAndNeighbours, Parts
from zthook.hypervisor.leases import LeaseWatch, read_leases
from zthook.hypervisor.libvirt_hypervisor import LibvirtHypervisor
from zthook.hypervisor.starting import failed_autostarts, start_autostart
from zthook.kernel.hearing import OnHeard, hear_arp
from zthook.kernel.host.dataplane import KernelHostDataplane
from zthook.kernel.watch import Watch
from zthook.model.clock import SystemClock
from zthook.overlay import open_overlay, paths_of

log = logging.getLogger("zthook.agent")

WATCHED = ("link", "address", "route", "rule", "nft")
"""Not neighbours: a busy LAN tells of them all the time, and passes look at them anyway."""


def system_parts() -> Parts:
    """The real ones, of this process's network namespace."""
    return Parts(
        hypervisor=lambda settings, hint: LibvirtHypervisor(settings.libvirt_uri, hint),
        leases=LeaseWatch,
        kernel_watch=_watching,
        arp=_hearing,
        dataplane=host_dataplane,
        overlay=open_overlay,
        read_leases=read_leases,
        start_autostart=start_autostart,
        failed_autostarts=failed_autostarts,
        clock=SystemClock(),
        paths=paths_of,
    )


def host_dataplane(settings: HostSettings) -> HostPlaneAndNeighbours:
    """This machine's kernel, with the mark and table of host.toml."""
    return KernelHostDataplane(
        mark=settings.mark, table=settings.table, preference=settings.preference
    )


@asynccontextmanager
async def _watching(nudge: Callable[[str], None]) -> AsyncIterator[None]:
    watch = Watch(nudge, WATCHED)
    try:
        yield
    finally:
        watch.close()


@asynccontextmanager
async def _hearing(on_heard: OnHeard) -> AsyncIterator[None]:
    """Without it guests' own addresses are known a little later: no reason to stop."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(hear_arp(on_heard))
        except OSError as error:
            log.warning("guests are not heard by ARP: %s", error.strerror)
        yield
