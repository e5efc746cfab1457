"""A host in a storm: the real agent on the host's real kernel, over the fake hypervisor."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tests.faults.deaths import Fate, MortalHostDataplane
from tests.faults.ground import BRIDGE, EDGE_ADDRESS, EMPTY, OVERLAY, Place
from tests.faults.post import Post
from tests.faults.stormy_edge import StormyEdge
from tests.host.making import mac
from zthook.annotation import read_domain
from zthook.config.places import Places
from zthook.config.settings import HostSettings, OverlaySettings
from zthook.host.credential import Credential
from zthook.host.hook_socket import HookAnswer, HookCall
from zthook.host.opening import HostPlaneAndNeighbours, open_agent
from zthook.host.parts import system_parts
from zthook.hypervisor.contract import Happened
from zthook.hypervisor.fake import FakeHypervisor
from zthook.kernel.edge.fake import Crash
from zthook.kernel.hearing import OnHeard
from zthook.kernel.host.dataplane import KernelHostDataplane
from zthook.model.addresses import IPAddress
from zthook.model.guests import Domain, GuestState, Network, NetworkKind
from zthook.model.mappings import HostPlane

if TYPE_CHECKING:
    import random

    from zthook.host.agent import Agent

NETWORK = Network(
    name="default",
    kind=NetworkKind.NAT,
    bridge=BRIDGE,
    gateways=(IPv4Address("192.168.122.1"), IPv6Address("fd00:122::1")),
    prefixes=(IPv4Network("192.168.122.0/24"), IPv6Network("fd00:122::/64")),
)
SETTINGS = HostSettings(OverlaySettings("interface", interface=OVERLAY), required_seconds=1.0)


class StormyHost:
    """``agent`` is None while none runs. Guests and kernel outlive it."""

    def __init__(
        self, name: str, place: Place, edge: StormyEdge, folder: Path, chance: "random.Random"
    ) -> None:
        self.name = name
        self.place = place
        self.post = Post(edge, place.address, chance)
        self.agent: Agent | None = None
        self.running: dict[UUID, tuple[Domain, GuestState]] = {}
        self.xml: dict[UUID, bytes] = {}
        self.leases: dict[str, tuple[IPAddress, ...]] = {}
        self.prevented: list[str] = []
        self.places = Places(folder, folder, folder)
        self._edge = edge
        self._life: asyncio.Task[None] | None = None
        self._lease_hint: Callable[[], None] = lambda: None
        self._credential = self._enrol()
        self.fake = place.run(self._make_hypervisor())

    async def _make_hypervisor(self) -> FakeHypervisor:
        fake = FakeHypervisor()
        fake.add_network(NETWORK)
        return fake

    def _enrol(self) -> Credential:
        group = None if self.name == "home3" else "rack"
        service = self._edge.service
        invitation = self._edge.within(lambda: service.add_host(self.name, group=group))
        reply = self._edge.within(lambda: service.enrol(invitation.secret, self.name))
        return Credential("edge-1", str(EDGE_ADDRESS), 9443, self.name, "", reply.credential)

    # The agent.

    def start_agent(self) -> None:
        """Start it, or start it again."""
        self.place.run(self._start())

    async def _start(self) -> None:
        self.post.fate = Fate()
        opened = asyncio.Event()
        self._life = asyncio.create_task(self._live(opened, self.post.fate))
        await opened.wait()

    async def _live(self, opened: asyncio.Event, fate: Fate) -> None:
        parts = replace(
            system_parts(),
            hypervisor=self._hypervisor,
            leases=self._watch_leases,
            read_leases=lambda _folder, _bridge: self.leases,
            arp=_hear_nothing,
            dataplane=lambda settings: self._dataplane(settings, fate),
            start_autostart=lambda _uri, _guest: True,
            failed_autostarts=lambda _uri: [],
            transport=self.post,
        )
        try:
            async with open_agent(SETTINGS, self._credential, parts, self.places) as agent:
                self.agent = agent
                opened.set()
                try:
                    await agent.run()
                finally:
                    self.agent = None
        except* Crash:
            pass
        finally:
            self.agent = None
            opened.set()

    @staticmethod
    def _dataplane(settings: HostSettings, fate: Fate) -> HostPlaneAndNeighbours:
        one: Any = MortalHostDataplane(KernelHostDataplane(mark=settings.mark), fate)
        return one  # type: ignore[no-any-return]

    @asynccontextmanager
    async def _hypervisor(
        self, _settings: HostSettings, hint: Any
    ) -> AsyncIterator[FakeHypervisor]:
        self.fake.on_hint = hint
        try:
            yield self.fake
        finally:
            self.fake.on_hint = lambda _: None

    @asynccontextmanager
    async def _watch_leases(self, _folder: Path, hint: Callable[[], None]) -> AsyncIterator[None]:
        self._lease_hint = hint
        yield

    @property
    def alive(self) -> bool:
        """Whether its agent runs."""
        return self._life is not None and not self._life.done()

    def kill_agent(self) -> None:
        """Where it stands, if it has not died already."""
        self.place.run(self._kill())

    async def _kill(self) -> None:
        self.post.fate.ended = True
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    def reboot(self) -> None:
        """Its power goes and comes: no guest runs, its kernel and /run are empty."""
        self.kill_agent()
        self.place.shell(EMPTY)
        for file in (self.places.addresses, self.places.told):
            file.unlink(missing_ok=True)
        self._do(self._stop_all)
        self.start_agent()

    def _stop_all(self) -> None:
        for guest in list(self.running):
            self._stop(guest, Happened.STOPPED)

    # Its guests.

    def _do(self, act: Callable[[], None]) -> None:
        async def call() -> None:
            act()

        self.place.run(call())

    def start(self, xml: bytes) -> bool:
        """The hook is asked, as libvirt does, and it starts; whether it did."""
        domain = read_domain(xml)
        self.xml[domain.uuid] = xml
        started = self.place.run(self._may_start(domain))
        if started:
            self._do(lambda: self._begin(domain, GuestState.RUNNING))
        return started

    async def _may_start(self, domain: Domain) -> bool:
        """As the hook decides, also where no agent answers."""
        answer = await self._call(domain, "prepare")
        if answer is None:
            return not domain.required
        if not answer.allow and not domain.required:
            self.prevented.append(f"{domain.name}: {answer.reason}")
        return answer.allow

    async def _call(self, domain: Domain, operation: str) -> HookAnswer | None:
        """The hook's call, None where nobody answers."""
        if self.agent is None:
            return None
        phase = "end" if operation in {"stopped", "release"} else "begin"
        with contextlib.suppress(Crash, RuntimeError):  # it ends with the call in its hands
            call = HookCall(domain.name, operation, phase, "-", self.xml[domain.uuid])
            return await self.agent.hooks(call)
        return None

    def _begin(self, domain: Domain, state: GuestState) -> None:
        self.running[domain.uuid] = domain, state
        self.fake.run(domain, state)

    def arrive(self, domain: Domain, xml: bytes) -> None:
        """It is about to come from another host."""
        self.xml[domain.uuid] = xml
        self.place.run(self._call(domain, "migrate"))
        self._do(lambda: self._begin(domain, GuestState.INCOMING))

    def stop(self, guest: UUID, why: Happened = Happened.STOPPED) -> None:
        """It ends, or (MIGRATED) is elsewhere now."""
        domain, _ = self.running[guest]
        self._do(lambda: self._stop(guest, why))
        for operation in ("stopped", "release"):
            self.place.run(self._call(domain, operation))

    def _stop(self, guest: UUID, why: Happened) -> None:
        del self.running[guest]
        self.fake.stop(guest, why)

    def put(self, guest: UUID, state: GuestState) -> None:
        """Pause it, or let it run."""
        domain, _ = self.running[guest]
        self.running[guest] = domain, state
        self._do(lambda: self.fake.put(guest, state))

    def edit(self, xml: bytes) -> None:
        """Its annotation is another."""
        domain = read_domain(xml)
        self.xml[domain.uuid] = xml
        self.running[domain.uuid] = domain, self.running[domain.uuid][1]
        self._do(lambda: self.fake.edit(domain))

    def lease(self, number: int, addresses: tuple[IPAddress, ...]) -> None:
        """DHCP gives a guest these addresses, one of a family."""
        self.leases = {**self.leases, mac(number): addresses}
        self._do(self._lease_hint)

    def libvirt(self, what: str) -> None:
        """It hangs, recovers, disconnects or reconnects: a method of the fake."""
        self._do(getattr(self.fake, what))

    # What is so.

    def beliefs(self) -> Mapping[tuple[str, str], str]:
        """Guest and what it asked for → state, as the agent heard it last."""
        agent = self.agent
        if agent is None:
            return {}
        return {(str(key[0]), key[1]): one.state for key, one in agent.passes.said.answers.items()}

    def repairs(self) -> list[str]:
        """What a look at its kernel would put right, against what the agent wants there."""
        assert self.agent is not None
        wanted = self.agent.kernel._applied
        return self.place.run(asyncio.to_thread(_repairs, wanted))

    def rules(self) -> set[IPAddress]:
        """The private addresses that are mapped in its kernel."""
        assert self.agent is not None
        wanted = self.agent.kernel._applied
        return {rule.private for rule in wanted.rules} if wanted else set()

    def close(self) -> None:
        """End the agent, and wait for messages under way."""
        self.kill_agent()

        async def finish() -> None:
            for task in list(self.post._behind):
                task.cancel()
            await asyncio.gather(*self.post._behind, return_exceptions=True)

        self.place.run(finish())


def _repairs(wanted: HostPlane | None) -> list[str]:
    with contextlib.closing(KernelHostDataplane()) as dataplane:
        return dataplane.apply(wanted)


@asynccontextmanager
async def _hear_nothing(_on_heard: OnHeard) -> AsyncIterator[None]:
    yield
