"""An enrolled host's agent: what runs, and what it can be asked."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from zthook import __version__
from zthook.host.edge_client import EdgeClient
from zthook.host.edge_link import EdgeLink
from zthook.host.gateway import Gateway
from zthook.host.hooks import Hooks
from zthook.host.host_kernel import HostKernel
from zthook.host.next_starts import NextStarts
from zthook.host.observer import Observer
from zthook.host.passes import Passes
from zthook.host.report import EdgeNow, faults, mapping_views, twins
from zthook.host.status import AgentStatus
from zthook.model.clock import Clock


class Agent:
    """The running agent of one credential; ``hooks`` answers libvirt's hook, ``hint`` has it
    look soon. ``gateway`` is there where this host is behind one.
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
        self._clock = clock

    async def run(self) -> None:
        """All tasks, for ever; one that fails ends them all and raises."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.kernel.watch())
            tasks.create_task(self.link.follow())
            tasks.create_task(self.link.beat())
            tasks.create_task(self.passes.run())

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
        if client.warning:
            found.append(f"edge: {client.warning}")
        renewed = client.renewed
        desired, edge = self.passes.decisions.desired, self._edge_now()
        found += twins(desired, edge, client.credential.host, self._clock.now())
        return AgentStatus(
            version=__version__,
            host=client.credential.host,
            edge=client.credential.where,
            edge_health=healths["edge"],
            libvirt_health=healths["libvirt"],
            overlay_health=healths["overlay"],
            kernel_health=healths["this host's kernel"],
            lease_age=None if renewed is None else self._clock.boottime() - renewed,
            lease_seconds=session.lease_seconds if session else None,
            faults=found,
            mappings=mapping_views(
                desired,
                edge,
                await self.kernel.traffic(),
                said.names,
                self._next_starts.differing(self.observer.guests),
            ),
        )

    def _edge_now(self) -> EdgeNow:
        said = self.passes.said
        return EdgeNow(said.answers, self.client.pulse.health, self.client.fault or said.fault)
