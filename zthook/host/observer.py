"""What this host shows: running guests, libvirt's networks, and addresses from every source.

Libvirt and the guest agents can hang. Nothing here waits for them longer than a moment:
a look that takes longer goes on beside the passes, and hints when it is done. Until then
the last known stays true, as unknown is never an empty list.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import UUID

from zthook.errors import HypervisorUnavailable, KernelError
from zthook.host.addresses import Addresses, Sightings, Spot
from zthook.host.claims import spots
from zthook.host.health import Pulse
from zthook.host.lives import Lives
from zthook.hypervisor.contract import Happened
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.clock import Clock
from zthook.model.guests import Domain, Guest, GuestState, Network

log = logging.getLogger("zthook.agent")
T = TypeVar("T")

PATIENCE_SECONDS = 0.5
"""How long a pass waits for libvirt before it goes on with what was known."""
LATE_SECONDS = 6.0
"""After so long libvirt counts as hung; a required guest's hook may hold it for five."""
AGENT_SECONDS = 10.0
"""Between two questions to one guest's agent."""
MOST_HEARD = 4
"""Addresses of one guest that are kept of what it says."""
CONFIRM_LOOKS, CONFIRM_GAP_SECONDS = 20, 0.01
"""A guest that runs answers a probe within milliseconds."""


class Lister(Protocol):
    """The part of ``zthook.hypervisor.Hypervisor`` that is used here."""

    async def guests(self) -> list[Guest]: ...
    async def networks(self) -> dict[str, Network]: ...
    async def definitions(self, guests: Collection[UUID]) -> dict[UUID, Domain]: ...
    async def ending(self, guest: UUID) -> Happened | None: ...
    async def agent_addresses(self, uuid: UUID) -> list[tuple[str, IPAddress]]: ...


class Neighbourhood(Protocol):
    """The part of ``zthook.kernel.HostDataplane`` that is used here; blocking."""

    def neighbours(self, device: str) -> dict[IPAddress, str]: ...
    def probe(self, address: IPAddress, device: str) -> None: ...
    def own_addresses(self) -> frozenset[IPAddress]: ...
    def gateways(self) -> frozenset[IPAddress]: ...
    def on_link(self) -> Mapping[str, tuple[IPNetwork, ...]]: ...


class Worker(Protocol):
    """Runs blocking calls one after another, in one thread."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]: ...


Agents = dict[UUID, tuple[tuple[str, IPAddress], ...]]
"""What each guest's agent said last: MAC and address."""

ReadLeases = Callable[[Path, str], Addresses]
"""``zthook.hypervisor.leases.read_leases``."""


class Observer:
    """``known`` is false until libvirt has answered once, and the kernel about its guests.

    ``looked`` is when the listing that ``guests`` comes from began (boottime), ``heard`` the
    edge's ``moment`` as it was known then. ``migrated`` is called with the guests that it
    misses because they run on another host now.
    """

    def __init__(
        self,
        *,
        hypervisor: Lister,
        neighbourhood: Neighbourhood,
        work: Worker,
        read_leases: ReadLeases,
        dnsmasq: Path,
        clock: Clock,
        hint: Callable[[], None],
        lives: Lives,
        migrated: Callable[[Iterable[Domain]], None],
        moment: Callable[[], int],
    ) -> None:
        self.known = False
        self.guests: list[Guest] = []
        self.networks: dict[str, Network] = {}
        self.sightings = Sightings()
        self.looked = 0.0
        self.heard = 0
        self.pulse = Pulse("libvirt", clock)
        self._hypervisor = hypervisor
        self._neighbourhood = neighbourhood
        self._work = work
        self._read_leases = read_leases
        self._dnsmasq = dnsmasq
        self._clock = clock
        self._hint = hint
        self._lives = lives
        self._migrated = migrated
        self._moment = moment
        self._listed_once = False
        self._listing: asyncio.Task[None] | None = None
        self._asking: dict[UUID, asyncio.Task[None]] = {}
        self._asked: dict[UUID, float] = {}
        self._agents: Agents = {}
        self._macs: dict[str, str] = {}

    async def look(self) -> None:
        """Look at everything once; never raises for libvirt, which may stay unknown."""
        await self._list()
        if not self._listed_once:
            return
        agents = dict(self._agents)
        places = [
            spot
            for guest in self.guests
            if guest.domain.annotated
            for spot in spots(guest.domain, self.networks)
        ]
        self._macs = {spot.mac: spot.device for spot in places if spot.device}
        try:
            seen = await self._work(lambda: self._read(places, agents))
        except KernelError as error:
            log.warning("the kernel did not say which addresses it has: %s", error.message)
        else:
            self.sightings = replace(seen, heard=self.sightings.heard)
            self.known = True

    async def close(self) -> None:
        """Leave what is still waiting for libvirt."""
        tasks = [*self._asking.values(), *([self._listing] if self._listing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _list(self) -> None:
        """One listing at a time; a slow one is left running and hints when it ends."""
        late = self._listing is not None
        if self._listing is None:
            self._listing = asyncio.create_task(self._listed())
            asyncio.get_running_loop().call_later(LATE_SECONDS, self._tell_late, self._listing)
        done, _ = await asyncio.wait({self._listing}, timeout=PATIENCE_SECONDS)
        if done:
            ended, self._listing = self._listing, None
            ended.result()
            if late:
                self._hint()  # it began before the hint that this pass is for
        elif not late:
            self._listing.add_done_callback(lambda _: self._hint())

    def _tell_late(self, listing: asyncio.Task[None]) -> None:
        if not listing.done():
            what = f"it hangs: no answer for {LATE_SECONDS:g} s; what was known before counts"
            self.pulse.bad(HypervisorUnavailable(what, hint="does `virsh list` answer?"))

    async def _listed(self) -> None:
        began, heard = self._clock.boottime(), self._moment()
        try:
            guests, networks = await asyncio.gather(
                self._hypervisor.guests(), self._hypervisor.networks()
            )
        except HypervisorUnavailable as error:
            self.pulse.bad(error)
            return
        running = {guest.domain.uuid for guest in guests}
        gone = [one.domain for one in self.guests if one.domain.uuid not in running]
        left = await asyncio.gather(*map(self._is_elsewhere, gone))
        self._migrated([one for one, elsewhere in zip(gone, left, strict=True) if elsewhere])
        self.pulse.good()
        self.guests, self.networks, self.looked, self.heard = guests, networks, began, heard
        self._listed_once = True
        self._lives.forget(running, began)
        self._forget(running)

    async def _is_elsewhere(self, gone: Domain) -> bool:
        if not gone.annotated:
            return False
        return await self._lives.went_elsewhere(gone.uuid, self._hypervisor.ending)

    def _forget(self, running: set[UUID]) -> None:
        for guest in self._agents.keys() - running:
            del self._agents[guest]
        for guest in self._asked.keys() - running:
            del self._asked[guest]

    def _read(self, places: list[Spot], agents: Agents) -> Sightings:
        """Leases and neighbours of these interfaces' devices; in the worker thread."""
        devices = {spot.device for spot in places if spot.device}
        leased = {spot.device for spot in places if spot.device and spot.network}
        return Sightings(
            leases={bridge: self._read_leases(self._dnsmasq, bridge) for bridge in leased},
            neighbours={name: self._neighbourhood.neighbours(name) for name in devices},
            agents=agents,
            own=self._neighbourhood.own_addresses(),
            gateways=self._neighbourhood.gateways() if places else frozenset(),
            on_link=self._neighbourhood.on_link() if places else {},
        )

    def ask_agents(self, guests: Iterable[UUID]) -> None:
        """Ask these guests' agents for addresses, each at most every 10 s; hints on news."""
        now = self._clock.boottime()
        states = {guest.domain.uuid: guest.state for guest in self.guests}
        for guest in guests:
            due = now - self._asked.get(guest, -AGENT_SECONDS) >= AGENT_SECONDS
            if due and guest not in self._asking and states.get(guest) is GuestState.RUNNING:
                self._asked[guest] = now
                task = asyncio.create_task(self._ask_agent(guest))
                self._asking[guest] = task
                task.add_done_callback(partial(self._answered, guest))

    async def probe(self, addresses: Iterable[IPAddress], device: str) -> None:
        """Have the kernel ask who has these: what it believes of them may be old, or nothing."""
        for address in addresses:
            try:
                await self._work(partial(self._neighbourhood.probe, address, device))
            except KernelError as error:
                log.debug("no probe of %s: %s", address, error.message)

    async def confirm(self, address: IPAddress, device: str, mac: str) -> bool:
        """Whether a probe shows within a moment that ``mac`` has the address; it is seen then."""
        await self.probe([address], device)
        for _ in range(CONFIRM_LOOKS):
            try:
                entries = await self._work(partial(self._neighbourhood.neighbours, device))
            except KernelError:
                return False
            if entries.get(address) == mac:
                known = {**self.sightings.neighbours, device: entries}
                self.sightings = replace(self.sightings, neighbours=known)
                return True
            await asyncio.sleep(CONFIRM_GAP_SECONDS)
        return False

    def hear(self, device: str, mac: str, address: IPAddress) -> None:
        """Somebody said on ``device`` that it has this address; hints where a guest of ours did."""
        if self._macs.get(mac) != device:
            return
        said = self.sightings.heard.get(device, {})
        if said.get(address) != mac:
            mine = [one for one, of in said.items() if of == mac]
            kept = {one: of for one, of in said.items() if one not in mine[: 1 - MOST_HEARD]}
            self._take_heard({**self.sightings.heard, device: {**kept, address: mac}})
            self._hint()

    def forget_heard(self, address: IPAddress, device: str) -> None:
        """It was looked into."""
        left = {one: mac for one, mac in self.sightings.heard[device].items() if one != address}
        self._take_heard({**self.sightings.heard, device: left})

    def _take_heard(self, heard: Mapping[str, Mapping[IPAddress, str]]) -> None:
        self.sightings = replace(self.sightings, heard=heard)

    def _answered(self, guest: UUID, _task: asyncio.Task[None]) -> None:
        del self._asking[guest]

    async def _ask_agent(self, guest: UUID) -> None:
        try:
            said = tuple(await self._hypervisor.agent_addresses(guest))
        except HypervisorUnavailable as error:
            log.debug("guest agent of %s: %s", guest, error.message)
            return
        if said != self._agents.get(guest, ()):
            self._agents[guest] = said
            self._hint()
