"""Where the edge is: at the MAC that it said itself, for as long as it is there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, ip_address
from typing import TypeVar

from tests.host.edge import CREDENTIAL, EDGE_MAC, EdgeTransport, FakeEdge
from tests.host.standins import Kernel, until
from zthook.host.edge_client import EdgeClient
from zthook.host.host_kernel import HostKernel
from zthook.model.clock import ManualClock
from zthook.model.mappings import GuestRule

T = TypeVar("T")
WEB = frozenset({GuestRule(ip_address("192.168.122.50"), "virbr0")})
OTHER = "0e:00:00:00:66:66"
QUESTION = f"does {EDGE_MAC} have {CREDENTIAL.address} on zt0?"


async def work(call: Callable[[], T]) -> T:
    return call()


class Rig:
    """A host's kernel, and an edge that speaks or not."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.inside = Kernel()
        self.told = EDGE_MAC
        self.silent = False
        self.looks = 0
        self.hinted = asyncio.Event()
        self.kernel = HostKernel(
            self.inside,
            self.inside,
            IPv4Address(CREDENTIAL.address),
            work=work,
            clock=self.clock,
            hint=self.hinted.set,
            told_mac=lambda: self.told,
            silent=self.is_silent,
        )

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """With the rules of a guest, and passes where something hints at one."""
        await self.kernel.settle(WEB, (), widen=False)
        watch = asyncio.create_task(self.kernel.watch())
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    def is_silent(self) -> bool:
        self.looks += 1
        return self.silent

    async def asked(self) -> bool:
        """Whether the edge's address is asked for after another look."""
        await self.kernel.ask_once()
        before = self.looks
        self.kernel.nudge()
        await until(lambda: self.looks > before)
        await self.kernel.settle(WEB, (), widen=False)
        return not self.kernel_is_pinned()

    def kernel_is_pinned(self) -> bool:
        assert self.inside.plane is not None
        return self.inside.plane.pinned


async def test_while_it_speaks_nobody_is_asked() -> None:
    rig = Rig()
    async with rig.watching():
        rig.inside.edge_mac = OTHER
        assert not await rig.asked()
    assert QUESTION not in rig.inside.events


async def test_a_silent_edge_is_where_it_was_for_as_long_as_its_mac_answers() -> None:
    """Its daemon may be away for long; the kernels go on forwarding."""
    rig = Rig()
    async with rig.watching():
        rig.silent = True
        assert not await rig.asked()
        rig.inside.edge_mac = OTHER
        assert await rig.asked(), "it may have another MAC now"
        assert rig.inside.plane is not None
        assert rig.inside.plane.edge_mac == EDGE_MAC, "which nobody is believed"
        rig.inside.edge_mac = EDGE_MAC
        assert not await rig.asked()
        rig.inside.edge_mac = OTHER
        assert await rig.asked()
        rig.silent, rig.told = False, OTHER
        assert not await rig.asked()
        assert rig.inside.plane.edge_mac == OTHER


async def test_without_a_word_of_the_edge_arp_has_no_say() -> None:
    rig = Rig()
    rig.told = ""
    await rig.kernel.settle(WEB, (), widen=False)
    assert rig.inside.plane is None


async def test_the_hosts_own_mac_is_told() -> None:
    rig = Rig()
    assert await rig.kernel.own_mac() == rig.inside.own_mac
    rig = Rig()
    rig.inside.overlay_down = True
    assert await rig.kernel.own_mac() == ""


async def test_when_an_edge_is_silent() -> None:
    clock, edge = ManualClock(), FakeEdge()
    client = EdgeClient(CREDENTIAL, clock, transport=EdgeTransport(edge))
    assert client.silent, "nothing was heard yet"
    await client.greet()
    clock.advance(59)
    assert not client.silent
    await client.heartbeat()
    clock.advance(59)
    assert not client.silent
    clock.advance(2)
    assert client.silent
    await client.close()
