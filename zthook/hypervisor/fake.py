"""A hypervisor in memory: a host whose guests are started, stopped, and hung by hand."""

import asyncio
from collections.abc import Collection
from types import TracebackType
from typing import Self
from uuid import UUID

from zthook.errors import HypervisorUnavailable
from zthook.hypervisor.contract import Happened, Hint, OnHint
from zthook.model.addresses import IPAddress
from zthook.model.guests import Domain, Guest, GuestState, Network


class FakeHypervisor:
    """See ``contract.Hypervisor``; each change hints as libvirt's events do.

    ``deadline`` is in seconds, and how long a call takes while ``hang()`` lasts.
    """

    def __init__(self, on_hint: OnHint = lambda _: None, *, deadline: float = 0.05):
        self.on_hint = on_hint
        self._deadline = deadline
        self._answering = asyncio.Event()
        self._answering.set()
        self._reachable = True
        self._late = False
        self._defined: dict[UUID, Domain] = {}
        self._running: dict[UUID, Guest] = {}
        self._endings: dict[UUID, Happened] = {}
        self._networks: dict[str, Network] = {}
        self._agents: dict[UUID, list[tuple[str, IPAddress]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.on_hint = lambda _: None

    async def guests(self) -> list[Guest]:
        await self._answer()
        return list(self._running.values())

    async def networks(self) -> dict[str, Network]:
        await self._answer()
        return dict(self._networks)

    async def definitions(self, guests: Collection[UUID]) -> dict[UUID, Domain]:
        await self._answer()
        return {guest: self._defined[guest] for guest in guests if guest in self._defined}

    async def ending(self, guest: UUID) -> Happened | None:
        await self._answer()
        return self._endings.get(guest) if guest in self._defined else None

    async def agent_addresses(self, uuid: UUID) -> list[tuple[str, IPAddress]]:
        await self._answer()
        return list(self._agents.get(uuid, ())) if uuid in self._running else []

    def define(self, domain: Domain) -> None:
        """The definition that counts from the next start."""
        self._defined[domain.uuid] = domain
        self.on_hint(Hint(domain.uuid, Happened.DEFINED))

    def start(self, uuid: UUID, state: GuestState = GuestState.RUNNING) -> None:
        """Start a defined guest; with INCOMING it waits for its memory from another host."""
        self.run(self._defined[uuid], state)

    def run(self, domain: Domain, state: GuestState = GuestState.RUNNING) -> None:
        """Start a guest that need not be defined: a transient one, or one that migrates here."""
        self._running[domain.uuid] = Guest(domain, state)
        self._endings.pop(domain.uuid, None)
        self.on_hint(Hint(domain.uuid))

    def stop(self, uuid: UUID, why: Happened = Happened.STOPPED) -> None:
        """The guest ends here; with MIGRATED it runs elsewhere."""
        del self._running[uuid]
        self._endings[uuid] = why
        self.on_hint(Hint(uuid, why))

    def put(self, uuid: UUID, state: GuestState) -> None:
        """Pause a running guest, or resume it."""
        self._running[uuid] = Guest(self._running[uuid].domain, state)
        self.on_hint(Hint(uuid))

    def edit(self, domain: Domain) -> None:
        """Change a running guest's live XML: its annotation, an interface."""
        self._running[domain.uuid] = Guest(domain, self._running[domain.uuid].state)
        self.on_hint(Hint(domain.uuid, Happened.DEFINED))

    def add_network(self, network: Network) -> None:
        self._networks[network.name] = network
        self.on_hint(Hint())

    def remove_network(self, name: str) -> None:
        del self._networks[name]
        self.on_hint(Hint())

    def say(self, uuid: UUID, *addresses: tuple[str, IPAddress]) -> None:
        """What the agent inside the guest tells from now on."""
        self._agents[uuid] = list(addresses)
        self.on_hint(Hint())

    def hang(self) -> None:
        """Libvirt takes calls and answers none, until ``recover``."""
        self._answering.clear()

    def recover(self) -> None:
        self._answering.set()
        if self._late:
            self._late = False
            self.on_hint(Hint())

    def disconnect(self) -> None:
        """Libvirt is not there, until ``reconnect``; its guests run on."""
        self._reachable = False
        self.on_hint(Hint())

    def reconnect(self) -> None:
        self._reachable = True
        self.on_hint(Hint())

    async def _answer(self) -> None:
        if not self._reachable:
            raise HypervisorUnavailable("the fake libvirt is not reached", hint="reconnect() it")
        if self._late:
            raise HypervisorUnavailable("the fake libvirt hangs", hint="recover() it")
        try:
            async with asyncio.timeout(self._deadline):
                await self._answering.wait()
        except TimeoutError:
            self._late = True
            raise HypervisorUnavailable("the fake libvirt hangs", hint="recover() it") from None
