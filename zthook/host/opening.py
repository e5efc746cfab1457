"""Opens an agent: its parts put together, on a real host or in a test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol
from uuid import UUID

import httpx

from zthook.config.places import Places
from zthook.config.settings import HostSettings, OverlaySettings
from zthook.host.agent import Agent
from zthook.host.credential import Credential
from zthook.host.departures import Departures
from zthook.host.edge_client import EdgeClient
from zthook.host.edge_link import EdgeLink
from zthook.host.gateway import Gateway, Ways
from zthook.host.hooks import Hooks
from zthook.host.host_kernel import Dataplane, HostKernel, Overlay
from zthook.host.lives import Lives
from zthook.host.memory import Memory
from zthook.host.next_starts import NextStarts
from zthook.host.observer import Lister, Neighbourhood, Observer, ReadLeases
from zthook.host.passes import Passes
from zthook.host.redial import FastRedial
from zthook.host.reservations import Reservations
from zthook.host.starts import MissedStarts
from zthook.host.worker import KernelThread
from zthook.hypervisor.contract import Hint, OnHint
from zthook.kernel.hearing import OnHeard
from zthook.model.clock import Clock
from zthook.overlay.ways import FindPaths, no_paths

Wake = Callable[[], None]


class HostPlaneAndNeighbours(Dataplane, Neighbourhood, Ways, Protocol):
    """``zthook.kernel.HostDataplane`` as far as the agent uses it."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """How an agent gets what it stands on; tests hand in their own.

    ``hypervisor``, ``leases``, ``kernel_watch`` and ``arp`` are open while inside, and hint.
    ``dataplane`` and ``overlay`` are made in the kernel thread. ``start_autostart`` starts
    a guest at a libvirt URI, ``failed_autostarts`` finds those there that could not, see
    ``zthook.hypervisor.starting``. ``paths`` says how to ask which ways the overlay takes.
    ``transport`` None is the network.
    """

    hypervisor: Callable[[HostSettings, OnHint], AbstractAsyncContextManager[Lister]]
    leases: Callable[[Path, Wake], AbstractAsyncContextManager[object]]
    kernel_watch: Callable[[Callable[[str], None]], AbstractAsyncContextManager[None]]
    arp: Callable[[OnHeard], AbstractAsyncContextManager[None]]
    dataplane: Callable[[HostSettings], HostPlaneAndNeighbours]
    overlay: Callable[[OverlaySettings], Overlay]
    read_leases: ReadLeases
    start_autostart: Callable[[str, UUID], bool]
    failed_autostarts: Callable[[str], list[tuple[UUID, str]]]
    clock: Clock
    paths: Callable[[OverlaySettings], FindPaths] = lambda _: no_paths
    transport: httpx.AsyncBaseTransport | None = None


@asynccontextmanager
async def open_agent(
    settings: HostSettings, credential: Credential, parts: Parts, places: Places | None = None
) -> AsyncIterator[Agent]:
    """An agent with everything open, not running yet. Leaving it withdraws nothing.

    ``places`` is where an agent finds what the one before it knew; None: nowhere.
    """
    hinted = asyncio.Event()
    async with AsyncExitStack() as stack:
        work = KernelThread()
        stack.callback(work.close)
        dataplane = await work(lambda: parts.dataplane(settings))
        stack.push_async_callback(work, dataplane.close)
        overlay = await work(lambda: parts.overlay(settings.overlay))
        uri = settings.libvirt_uri
        first = places is not None and not places.told.exists()  # since the host booted
        missed = MissedStarts(
            lambda guest: parts.start_autostart(uri, guest),
            (lambda: parts.failed_autostarts(uri)) if first else None,
        )
        stack.push_async_callback(missed.close)

        def edge_turned() -> None:
            hinted.set()
            if client.pulse.up:
                missed.retry()

        async def own_mac() -> str:
            # Behind a LAN gateway it is the gateway's by which the edge reaches us.
            return "" if settings.via is not None else await kernel.own_mac()

        client = EdgeClient(
            credential,
            parts.clock,
            on_change=edge_turned,
            own_mac=own_mac,
            transport=parts.transport,
        )
        stack.push_async_callback(client.close)
        link = EdgeLink(client, hinted.set, parts.clock)
        kernel = HostKernel(
            dataplane,
            overlay,
            IPv4Address(credential.address),
            work=work,
            clock=parts.clock,
            hint=hinted.set,
            on_overlay=link.poke,
            told_mac=lambda: client.edge_mac,
            silent=lambda: client.silent,
        )
        await stack.enter_async_context(parts.kernel_watch(kernel.nudge))
        lives, departures = Lives(parts.clock), Departures(parts.clock)

        def heard(hint: Hint) -> None:
            lives.hear(hint)
            hinted.set()

        hypervisor = await stack.enter_async_context(parts.hypervisor(settings, heard))
        observer = Observer(
            hypervisor=hypervisor,
            neighbourhood=dataplane,
            work=work,
            read_leases=parts.read_leases,
            dnsmasq=settings.dnsmasq_folder,
            clock=parts.clock,
            hint=hinted.set,
            lives=lives,
            migrated=departures.note,
            moment=lambda: client.moment,
        )
        stack.push_async_callback(observer.close)
        await stack.enter_async_context(parts.arp(observer.hear))
        next_starts = NextStarts(hypervisor.definitions, lives, parts.clock)
        stack.push_async_callback(next_starts.close)
        gateway = None
        if settings.via is not None:
            gateway = Gateway(
                settings.via,
                IPv4Address(credential.address),
                ways=dataplane,
                work=work,
                clock=parts.clock,
                hint=hinted.set,
            )
            stack.push_async_callback(gateway.close)
        await stack.enter_async_context(parts.leases(settings.dnsmasq_folder, hinted.set))
        reservations = Reservations(parts.clock)
        passes = Passes(
            client=client,
            observer=observer,
            kernel=kernel,
            reservations=reservations,
            departures=departures,
            hinted=hinted,
            memory=Memory(places),
            gateway=gateway,
            next_starts=next_starts,
            clock=parts.clock,
        )
        hooks = Hooks(
            client=client,
            known=observer,
            reservations=reservations,
            hint=hinted.set,
            take=passes.take_some,
            missed=missed,
            lives=lives,
            seconds=settings.required_seconds,
            via=settings.via,
        )
        redial = FastRedial(
            settings.overlay,
            IPv4Address(credential.address),
            lambda: kernel.device.name if kernel.device else None,
            # A host behind a LAN gateway has no zerotier-one of its own that matters.
            places.host_journal if places is not None and settings.via is None else None,
        )
        yield Agent(
            client=client,
            link=link,
            observer=observer,
            kernel=kernel,
            passes=passes,
            hooks=hooks,
            hint=hinted.set,
            gateway=gateway,
            next_starts=next_starts,
            paths=parts.paths(settings.overlay),
            redial=redial,
            metrics=settings.metrics,
            clock=parts.clock,
        )


async def clear_kernel(settings: HostSettings, parts: Parts) -> None:
    """Take everything of ours out of this host's kernel: it belongs to no edge any more."""
    work = KernelThread()
    try:
        dataplane = await work(lambda: parts.dataplane(settings))
        try:
            await work(lambda: dataplane.apply(None))
        finally:
            await work(dataplane.close)
    finally:
        work.close()
