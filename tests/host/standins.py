"""Stand-ins for libvirt and the kernel, and an agent that runs on them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import httpx

from tests.host.edge import CREDENTIAL, EDGE_MAC, EdgeTransport, FakeEdge, mac_of
from tests.host.making import MAC, NETWORKS
from zthook.config.settings import HostSettings, OverlaySettings
from zthook.errors import HypervisorUnavailable, KernelError, OverlayDown
from zthook.host.agent import Agent
from zthook.host.credential import Credential
from zthook.host.opening import Parts, open_agent
from zthook.hypervisor.contract import Happened, Hint, OnHint
from zthook.kernel.hearing import OnHeard
from zthook.kernel.traffic import Traffic
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.clock import SystemClock
from zthook.model.guests import Domain, Guest, Network
from zthook.model.mappings import GuestRule, HostPlane, OverlayDevice

if TYPE_CHECKING:
    from zthook.config.places import Places

DEADLINE = 10.0


class Libvirt:
    """Running guests; ``hung`` makes every call wait, ``down`` fail. ``read`` are the guests
    whose definitions were asked for.
    """

    def __init__(self) -> None:
        self.running: list[Guest] = []
        self.defined: dict[UUID, Domain] = {}
        self.read: list[UUID] = []
        self.endings: dict[UUID, Happened] = {}
        self.agents: dict[UUID, list[tuple[str, IPAddress]]] = {}
        self.hung = False
        self.down = False
        self.calls = 0

    async def _answer(self) -> None:
        self.calls += 1
        if self.hung:
            await asyncio.Event().wait()
        if self.down:
            raise HypervisorUnavailable("libvirtd does not answer")

    async def guests(self) -> list[Guest]:
        await self._answer()
        return list(self.running)

    async def networks(self) -> dict[str, Network]:
        await self._answer()
        return dict(NETWORKS)

    async def definitions(self, guests: Collection[UUID]) -> dict[UUID, Domain]:
        await self._answer()
        self.read += [guest for guest in guests if guest in self.defined]
        return {guest: self.defined[guest] for guest in guests if guest in self.defined}

    async def ending(self, guest: UUID) -> Happened | None:
        await self._answer()
        return self.endings.get(guest)

    async def agent_addresses(self, uuid: UUID) -> list[tuple[str, IPAddress]]:
        await self._answer()
        return self.agents.get(uuid, [])


@dataclass
class Kernel:
    """The host's kernel; ``broken`` refuses changes. ``events`` is shared with the edge's.
    ``answering`` is who answers a probe: device and address → MAC; ``edge_mac`` who answers
    ARP for the edge, ``own_mac`` the host's on the overlay.
    """

    events: list[str] = field(default_factory=list)
    plane: HostPlane | None = None
    seen: dict[str, dict[IPAddress, str]] = field(default_factory=dict)
    answering: dict[tuple[str, IPAddress], str] = field(default_factory=dict)
    own: frozenset[IPAddress] = frozenset()
    routers: frozenset[IPAddress] = frozenset()
    prefixes: dict[str, tuple[IPNetwork, ...]] = field(default_factory=dict)
    hops: dict[IPAddress, IPAddress] = field(default_factory=dict)
    broken: bool = False
    flushed: bool = False
    overlay_down: bool = False
    applied: int = 0
    edge_mac: str = EDGE_MAC
    own_mac: str = mac_of("home1")

    def apply(self, desired: HostPlane | None) -> list[str]:
        if self.broken:
            raise KernelError("nft said no")
        repairs = ["table zthook_host was missing: added"] if self.flushed else []
        self.plane, self.flushed = desired, False
        self.applied += 1
        self.events.append(f"rules {sorted(str(rule.private) for rule in self.rules)}")
        return repairs

    @property
    def rules(self) -> frozenset[GuestRule]:
        return self.plane.rules if self.plane else frozenset()

    @property
    def newcomers(self) -> frozenset[tuple[str, str]]:
        return self.plane.newcomers if self.plane else frozenset()

    def flush(self) -> None:
        self.plane, self.flushed = None, True

    def drifted(self) -> bool:
        return self.flushed

    def answers(self, address: IPv4Address, mac: str, device: str) -> bool:
        self.events.append(f"does {mac} have {address} on {device}?")
        return (str(address), mac, device) == (CREDENTIAL.address, self.edge_mac, "zt0")

    def neighbours(self, device: str) -> dict[IPAddress, str]:
        return self.seen.get(device, {})

    def probe(self, address: IPAddress, device: str) -> None:
        self.events.append(f"probe {address} on {device}")
        if (mac := self.answering.get((device, address))) is not None:
            self.seen = {**self.seen, device: {**self.seen.get(device, {}), address: mac}}

    def own_addresses(self) -> frozenset[IPAddress]:
        return self.own

    def gateways(self) -> frozenset[IPAddress]:
        return self.routers

    def on_link(self) -> Mapping[str, tuple[IPNetwork, ...]]:
        return self.prefixes

    def next_hop(self, address: IPAddress) -> IPAddress | None:
        return self.hops.get(address, min(self.routers, default=None))

    def traffic(self) -> Mapping[IPAddress, Traffic]:
        return {rule.private: Traffic(100, 1, 200, 2) for rule in self.rules}

    def close(self) -> None:
        self.events.append("kernel closed")

    def observe(self) -> OverlayDevice:
        if self.overlay_down:
            raise OverlayDown("the device zt0 is not there")
        return OverlayDevice("zt0", 7, self.own_mac, 2800, ())


class Home:
    """A host with everything it stands on; ``agent`` runs while inside ``running``."""

    def __init__(
        self,
        credential: Credential = CREDENTIAL,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.edge = FakeEdge()
        self.credential = credential
        self.way = EdgeTransport(self.edge)
        self.transport = transport or self.way
        self.libvirt = Libvirt()
        self.kernel = Kernel(self.edge.events, own_mac=mac_of(credential.host))
        self.leases: dict[str, IPAddress] = {MAC: IPv4Address("192.168.122.50")}
        self.settings = HostSettings(
            OverlaySettings("interface", interface="zt0"), required_seconds=1.0
        )
        self.places: Places | None = None
        self.started: list[UUID] = []
        self.kept_off: list[UUID] = []
        self.searches = 0
        self.hear: OnHint = lambda _: None

    def _start_autostart(self, _uri: str, guest: UUID) -> bool:
        self.started.append(guest)
        return True

    def _failed_autostarts(self, _uri: str) -> list[tuple[UUID, str]]:
        self.searches += 1
        if self.libvirt.down:
            raise HypervisorUnavailable("libvirtd does not answer")
        return [(guest, "web") for guest in self.kept_off]

    @property
    def parts(self) -> Parts:
        return Parts(
            hypervisor=self._hypervisor,
            leases=self._leases,
            kernel_watch=self._kernel_watch,
            arp=self._arp,
            dataplane=lambda _settings: self.kernel,
            overlay=lambda _settings: self.kernel,
            read_leases=self._read_leases,
            start_autostart=self._start_autostart,
            failed_autostarts=self._failed_autostarts,
            clock=SystemClock(),
            transport=self.transport,
        )

    def _read_leases(self, _folder: Path, bridge: str) -> Mapping[str, tuple[IPAddress, ...]]:
        known = self.leases if bridge == "virbr0" else {}
        return {mac: (address,) for mac, address in known.items()}

    @asynccontextmanager
    async def _hypervisor(self, _settings: HostSettings, on_hint: OnHint) -> AsyncIterator[Libvirt]:
        self.hear = on_hint
        yield self.libvirt

    @asynccontextmanager
    async def _leases(self, _folder: Path, _hint: Callable[[], None]) -> AsyncIterator[None]:
        yield

    @asynccontextmanager
    async def _kernel_watch(self, nudge: Callable[[str], None]) -> AsyncIterator[None]:
        self.nudge = nudge
        yield

    @asynccontextmanager
    async def _arp(self, on_heard: OnHeard) -> AsyncIterator[None]:
        self.announce = on_heard
        yield

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        async with open_agent(self.settings, self.credential, self.parts, self.places) as agent:
            task = asyncio.create_task(agent.run())
            try:
                yield agent
            finally:
                task.cancel()
                result = (await asyncio.gather(task, return_exceptions=True))[0]
            assert isinstance(result, asyncio.CancelledError), result

    def hint(self) -> None:
        """Something changed at libvirt."""
        self.hear(Hint())

    def tell(self, guest: UUID, what: Happened | None = None) -> None:
        """Libvirt says this of a guest."""
        self.hear(Hint(guest, what))

    def start(self, *guests: Guest) -> None:
        self.libvirt.running = list(guests)
        self.hint()

    async def bring_back(self) -> None:
        """The edge answers again."""
        self.way.down = False
        self.edge.news.set()


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait until ``condition`` is true."""
    try:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - the tests' own clockwork
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE:.0f} s: {what or condition}") from None


async def another_pass(agent: Agent) -> None:
    """Wait for a whole pass that began after this was called."""
    seen = agent.passes.ended
    agent.hint()
    await until(lambda: agent.passes.ended > seen)
    agent.hint()
    await until(lambda: agent.passes.ended > seen + 1)
