"""An enrolled host's agent: what runs, and what it can be asked."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from zthook import __version__
from zthook.config.settings import Listen
from zthook.host.edge_client import EdgeClient
from zthook.host.edge_link import EdgeLink
from zthook.host.gateway import Gateway
from zthook.host.hooks import Hooks
from zthook.host.host_kernel import HostKernel
from zthook.host.metrics import readings
from zthook.host.next_starts import NextStarts
from zthook.host.observer import Observer
from zthook.host.passes import Passes
from zthook.host.planes import EdgeSide
from zthook.host.redial import FastRedial
from zthook.host.report import EdgeNow, faults, mapping_views, traffic_views, twins
from zthook.host.status import AgentStatus
from zthook.kernel.traffic import Sampling
from zthook.metrics.exposition import Exposition
from zthook.metrics.place import place
from zthook.metrics.readings import Readings
from zthook.model.addresses import IPAddress
from zthook.model.clock import Clock
from zthook.model.glance import Glance
from zthook.model.paths import OverlayPath
from zthook.overlay.ways import FindPaths

PATH_SECONDS = 0.3
"""How long a status waits for the overlay to say which way it takes."""


class Agent:
    """The running agent of one credential; ``hooks`` answers libvirt's hook, ``hint`` has it
    look soon. ``gateway`` is there where this host is behind one; ``metrics`` is where they
    are served.
    """

    def __init__(
        self,
        *,
        client: EdgeClient,
        link: EdgeLink,
        observer: Observer,
        kernel: HostKernel,
        passes: Passes,
        hooks: Hooks,
        hint: Callable[[], None],
        gateway: Gateway | None,
        next_starts: NextStarts,
        paths: FindPaths,
        redial: FastRedial,
        metrics: Listen | None,
        clock: Clock,
    ) -> None:
        self.client = client
        self.link = link
        self.observer = observer
        self.kernel = kernel
        self.passes = passes
        self.hooks = hooks
        self.hint = hint
        self._gateway = gateway
        self._next_starts = next_starts
        self._paths = paths
        self._redial = redial
        self._path = Glance(self._find_path, PATH_SECONDS)
        self._exposition = Exposition(self._readings, lambda: place(metrics, kernel.device))
        self._sampling = Sampling[IPAddress](clock)
        self._clock = clock

    async def run(self) -> None:
        """All tasks, for ever; one that fails ends them all and raises."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.kernel.watch())
            tasks.create_task(self.kernel.ask())
            tasks.create_task(self.link.follow())
            tasks.create_task(self.link.beat())
            tasks.create_task(self.passes.run())
            tasks.create_task(self._exposition.keep())
            tasks.create_task(self._redial.keep())
            tasks.create_task(self._redial.speak())

    async def look(self, seconds: float) -> None:
        """Act on what libvirt says from now on; return when that is done, or ``seconds`` later."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.passes.act_on(self._clock.boottime())

    async def status(self) -> AgentStatus:
        """Everything ``zthook status`` shows."""
        client, session = self.client, self.client.session
        healths = {
            "edge": client.pulse.health,
            "libvirt": self.observer.pulse.health,
            "overlay": self.kernel.overlay.health,
            "this host's kernel": self.kernel.kernel.health,
        }
        found = faults(healths)
        if self._gateway is not None:
            found += self._gateway.faults(edge_up=client.pulse.health.up)
        said = self.passes.said
        if said.fault is not None:
            found.append(f"the edge does not take our claims: {said.fault.message}")
        if self._exposition.fault:
            found.append(self._exposition.fault)
        if client.warning:
            found.append(f"edge: {client.warning}")
        renewed = client.renewed
        path, counted = await asyncio.gather(self._path_now(), self.kernel.traffic())
        desired, edge = self.passes.decisions.desired, self._edge_now()
        found += twins(desired, edge, client.credential.host, self._clock.now())
        return AgentStatus(
            version=__version__,
            host=client.credential.host,
            edge=client.credential.where,
            edge_health=healths["edge"],
            libvirt_health=healths["libvirt"],
            overlay_health=healths["overlay"],
            overlay_path=path,
            redial=self._redial.seen,
            kernel_health=healths["this host's kernel"],
            lease_age=None if renewed is None else self._clock.boottime() - renewed,
            lease_seconds=session.lease_seconds if session else None,
            faults=found,
            mappings=mapping_views(
                desired,
                edge,
                traffic_views(counted, self._sampling.rates(counted)),
                said.names,
                self._next_starts.differing(self.observer.guests),
            ),
        )

    async def _readings(self) -> Readings:
        repaired, passes = self.kernel.repaired, self.passes.durations
        return readings(await self.status(), passes, repaired, now=self._clock.now())

    async def _path_now(self) -> OverlayPath | None:
        side = self.kernel.side
        return await self._path.look(side) if side is not None else None

    def _find_path(self, side: EdgeSide) -> OverlayPath | None:
        return self._paths(side.overlay, [side.edge_mac]).get(side.edge_mac)

    def _edge_now(self) -> EdgeNow:
        said = self.passes.said
        return EdgeNow(said.answers, self.client.pulse.health, self.client.fault or said.fault)
