"""What a LAN gateway lacks, as far as it can be found out from a host behind it."""

import asyncio
import os
import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from tests.host.making import PRIVATE, PUBLIC, guest, on_bridge, on_network, view
from tests.host.standins import Home, Kernel, until
from zthook.host.claims import desire
from zthook.host.desired import Desired
from zthook.host.echo import answers, echo, is_reply
from zthook.host.gateway import Gateway
from zthook.host.worker import KernelThread
from zthook.model.clock import ManualClock
from zthook.model.publication import AddressRequest

VIA, EDGE = IPv4Address("192.168.193.2"), IPv4Address("192.168.193.222")
ROUTER, OTHER = IPv4Address("192.168.1.1"), IPv4Address("192.168.1.9")
ASKED = AddressRequest(PUBLIC, private=PRIVATE)


class World:
    """A gateway, the ways of this host, and who answers an echo."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.kernel.routers = frozenset({ROUTER})
        self.clock = ManualClock()
        self.asked: list[tuple[IPv4Address, IPv4Address]] = []
        self.answers = True
        self.hints = 0
        self.work = KernelThread()
        self.gateway = Gateway(
            VIA,
            EDGE,
            ways=self.kernel,
            work=self.work,
            clock=self.clock,
            hint=self.hint,
            echo=self.echo,
        )

    def hint(self) -> None:
        self.hints += 1

    async def echo(self, source: IPv4Address, target: IPv4Address) -> bool:
        self.asked.append((source, target))
        return self.answers

    async def look(self, *desired: Desired) -> None:
        self.clock.advance(100)
        self.gateway.look(desired)
        looking = self.gateway._looking
        assert looking is not None
        await looking


@pytest.fixture
async def world() -> World:
    return World()


def bridged() -> Desired:
    return desire(view(guest(1, ASKED, interfaces=(on_bridge(),)), via=VIA))[0]


def routed() -> Desired:
    return desire(view(guest(2, ASKED, interfaces=(on_network(2, "dual"),)), via=VIA))[0]


async def test_nothing_is_missing_where_everybody_has_one_router(world: World) -> None:
    await world.look(bridged())
    assert world.gateway.lacking == {}
    assert world.gateway.faults(edge_up=True) == []
    assert world.hints == 0


async def test_a_way_to_the_edge_that_is_this_hosts_own_is_told_of(world: World) -> None:
    world.kernel.hops[EDGE] = OTHER
    await world.look(bridged())
    assert world.gateway.lacking == {
        "br0": "by the LAN gateway 192.168.193.2; unless that MASQUERADEs toward the LAN, the "
        "guests' router needs a static route to the overlay by it"
    }
    assert world.hints == 1
    await world.look(bridged())
    assert world.hints == 1


async def test_a_gateway_that_finds_no_way_to_a_routed_network_is_told_of(world: World) -> None:
    world.answers = False
    await world.look(bridged(), routed())
    assert world.asked == [(IPv4Address("192.168.124.1"), VIA)]
    assert world.gateway.lacking == {
        "virbr2": "the LAN gateway 192.168.193.2 does not answer to 192.168.124.0/24: it needs a "
        "route there by this host (ip route add)"
    }
    world.answers = True
    await world.look(bridged(), routed())
    assert world.gateway.lacking == {}


async def test_a_host_on_the_overlay_itself_needs_no_gateway(world: World) -> None:
    world.kernel.prefixes = {"zt0": (IPv4Network("192.168.193.0/24"),)}
    await world.look()
    assert world.gateway.faults(edge_up=True) == [
        "via: this host is on the edge's network itself, by zt0: take via out"
    ]


def test_an_edge_that_is_not_reached_tells_what_the_gateway_must_do(world: World) -> None:
    [told] = world.gateway.faults(edge_up=False)
    assert "192.168.193.2: it has to forward" in told


async def test_it_looks_now_and_then_and_at_once_at_a_new_network(world: World) -> None:
    await world.look(bridged())
    world.gateway.look([bridged()])
    assert world.gateway._looking is None
    world.gateway.look([bridged(), routed()])
    assert world.gateway._looking is not None
    await world.gateway.close()


async def test_the_agent_says_it_in_its_status(home: Home) -> None:
    home.settings = replace(home.settings, via=VIA)
    home.kernel.hops[EDGE] = OTHER
    home.libvirt.running = [guest(1, ASKED, interfaces=(on_bridge(),))]
    async with home.running() as agent:
        await until(
            lambda: agent.passes.decisions.desired and agent.passes.decisions.desired[0].note
        )
        await until(lambda: "MASQUERADE" in agent.passes.decisions.desired[0].note)
        [row] = (await agent.status()).mappings
        assert (row.state, row.client) == ("active", "hide")
        assert row.reason.startswith("by the LAN gateway 192.168.193.2; unless that MASQUERADEs")
    assert home.kernel.plane is None


def packet(sender: IPv4Address, kind: int, identifier: int) -> bytes:
    return (
        bytes([0x45])
        + bytes(11)
        + sender.packed
        + bytes(4)
        + struct.pack("!BBHHH", kind, 0, 0, identifier, 1)
    )


def test_an_answer_is_the_one_that_was_asked_for() -> None:
    assert is_reply(packet(VIA, 0, 7), 7, VIA)
    assert not is_reply(packet(VIA, 0, 8), 7, VIA)
    assert not is_reply(packet(VIA, 8, 7), 7, VIA)
    assert not is_reply(packet(EDGE, 0, 7), 7, VIA)
    assert not is_reply(b"", 7, VIA)
    assert not is_reply(packet(VIA, 0, 7)[:24], 7, VIA)
    request = echo(7)
    total = sum(word for (word,) in struct.iter_unpack("!H", request))
    assert (total + (total >> 16)) & 0xFFFF == 0xFFFF


@pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets are root's")
async def test_this_machine_answers_itself() -> None:
    here = IPv4Address("127.0.0.1")
    assert await asyncio.wait_for(answers(here, here), 10)
    assert not await answers(IPv4Address("192.0.2.77"), here)  # no address of this machine
