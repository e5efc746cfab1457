"""The agent against the edge's own decisions: two hosts, one address."""

from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.host.making import MAC, PRIVATE, PUBLIC, guest
from tests.host.real_edge import RealEdge, Way
from tests.host.standins import Home, another_pass, until
from tests.host.test_hooks import ALLOWED, call
from zthook.config.places import Places
from zthook.kernel.edge.fake import OVERLAY
from zthook.model.addresses import IPAddress
from zthook.model.mappings import MappingState
from zthook.model.publication import AddressRequest

ASKED = AddressRequest(PUBLIC)


@pytest.fixture
async def edge() -> AsyncIterator[RealEdge]:
    async with RealEdge().serving() as made:
        yield made


@pytest.fixture
async def home1(edge: RealEdge) -> Home:
    return Home(*edge.enrol("home1"))


@pytest.fixture
async def home2(edge: RealEdge) -> Home:
    return Home(*edge.enrol("home2"))


async def test_a_guest_is_reached_while_it_runs(edge: RealEdge, home1: Home) -> None:
    async with home1.running() as agent:
        home1.start(guest(1, ASKED))
        await until(lambda: edge.reached() == {str(PUBLIC): str(PRIVATE)})
        await until(lambda: agent.passes.said.answers)
        [row] = (await agent.status()).mappings
        assert row.state is MappingState.ACTIVE
        assert row.since is not None
        home1.start()
        await until(lambda: edge.reached() == {})
        assert edge.service.mappings() == []


async def test_the_second_gets_the_address_when_the_first_stops(
    edge: RealEdge, home1: Home, home2: Home
) -> None:
    home2.leases = {"52:54:00:aa:00:02": PRIVATE + 1}
    async with home1.running(), home2.running() as second:
        home1.start(guest(1, ASKED))
        await until(lambda: edge.reached() == {str(PUBLIC): str(PRIVATE)})
        home2.start(guest(2, ASKED))
        await until(lambda: second.passes.said.answers)
        [row] = (await second.status()).mappings
        assert (row.state, row.reason) == (MappingState.CONFLICT, "held by web1 on home1")
        await until(lambda: home2.kernel.rules == frozenset())
        home1.start()
        await until(lambda: edge.reached() == {str(PUBLIC): str(PRIVATE + 1)})
        await until(lambda: home2.kernel.rules)
        [row] = (await second.status()).mappings
        assert row.state is MappingState.ACTIVE


async def test_a_required_guest_is_refused_while_another_holds_and_starts_after(
    edge: RealEdge, home1: Home, home2: Home
) -> None:
    async with home1.running(), home2.running() as second:
        home1.start(guest(1, ASKED))
        await until(lambda: edge.reached())
        refused = await second.hooks(call(number=2))
        assert refused.reason == f"{PUBLIC} is held by guest web1 on home1"
        home1.start()
        await until(lambda: edge.reached() == {})
        assert await second.hooks(call(number=2)) == ALLOWED
        await another_pass(second)
        [held] = edge.service.mappings()
        assert (held.host, held.guest, held.private) == ("home2", "web2", None)


async def test_the_daemon_of_the_edge_comes_back_and_nothing_changes(
    edge: RealEdge, home1: Home
) -> None:
    home1.start(guest(1, ASKED))
    async with home1.running() as agent:
        await until(lambda: edge.reached() == {str(PUBLIC): str(PRIVATE)})
        edge.kernel.steps.clear()
        assert isinstance(home1.transport, Way)
        home1.transport.down = True
        edge.changes.close()
        await until(lambda: agent.client.pulse.health.up is False)
        edge.boot()
        home1.transport.down = False
        await until(lambda: agent.client.ready)
        await another_pass(agent)
        assert edge.reached() == {str(PUBLIC): str(PRIVATE)}
        assert edge.kernel.steps == []


async def test_a_member_that_answers_arp_for_the_edge_is_not_taken_for_it(
    edge: RealEdge, home1: Home
) -> None:
    home1.kernel.edge_mac = "0e:00:00:00:66:66"
    home1.start(guest(1, ASKED))
    async with home1.running() as agent:
        await until(lambda: home1.kernel.plane)
        assert home1.kernel.plane is not None
        assert (home1.kernel.plane.edge_mac, home1.kernel.plane.pinned) == (OVERLAY.mac, True)
        home1.nudge("neighbour")
        await another_pass(agent)
        assert home1.kernel.plane.edge_mac == OVERLAY.mac


async def test_the_edge_is_told_by_which_mac_its_host_is_known(edge: RealEdge, home1: Home) -> None:
    """So that nobody else is believed, not at the first word either."""
    impostor, address = "0e:00:00:00:66:66", IPv4Address("192.168.193.2")
    edge.kernel.macs[address] = impostor
    home1.start(guest(1, ASKED))
    async with home1.running() as agent:
        await until(lambda: agent.passes.said.answers)
        [row] = (await agent.status()).mappings
        assert row.state is MappingState.PENDING
        assert "neighbour entry of home1" in row.reason
        edge.kernel.macs[address] = home1.kernel.own_mac
        edge.clock.advance(30)
        edge.service.tick()
        assert edge.reached() == {str(PUBLIC): str(PRIVATE)}
        assert {one.mac for one in edge.kernel.pinned} == {home1.kernel.own_mac}


@pytest.mark.parametrize("seen", [{}, {PRIVATE - 5: MAC, PRIVATE: MAC}], ids=["none", "several"])
async def test_a_restart_of_the_agent_costs_a_guest_without_a_lease_nothing(
    edge: RealEdge, home1: Home, tmp_path: Path, seen: dict[IPAddress, str]
) -> None:
    home1.places = Places(tmp_path, tmp_path, tmp_path)
    home1.start(guest(1, ASKED))
    async with home1.running() as agent:
        await until(lambda: edge.reached() == {str(PUBLIC): str(PRIVATE)})
        home1.leases.clear()
        home1.kernel.seen = {"virbr0": seen}
        await another_pass(agent)
    edge.kernel.steps.clear()
    async with home1.running() as agent:
        await another_pass(agent)
        assert edge.reached() == {str(PUBLIC): str(PRIVATE)}
        assert edge.kernel.steps == []
        assert {rule.private for rule in home1.kernel.rules} == {PRIVATE}


async def test_an_agent_that_starts_without_the_edge_knows_who_it_is(
    edge: RealEdge, home1: Home, tmp_path: Path
) -> None:
    home1.places = Places(tmp_path, tmp_path, tmp_path)
    home1.start(guest(1, ASKED))
    async with home1.running() as agent:
        await until(lambda: home1.kernel.plane and agent.passes.said.answers)
        await another_pass(agent)
    before = home1.kernel.plane
    assert before is not None
    assert isinstance(home1.transport, Way)
    home1.transport.down = True
    home1.kernel.plane = None
    async with home1.running() as agent:
        await another_pass(agent)
        assert home1.kernel.plane == before
        home1.kernel.edge_mac = "0e:00:00:00:66:66"
        await agent.kernel.ask_once()
        await until(lambda: home1.kernel.plane == replace(before, pinned=False))


async def test_another_agent_of_this_host_is_named(edge: RealEdge, home1: Home) -> None:
    twin = Home(home1.credential, home1.transport)
    async with home1.running() as one, twin.running() as other:
        await until(lambda: "two" in str(one.client.fault) or "two" in str(other.client.fault))


async def test_a_private_address_of_another_host_is_refused_with_the_reason(
    edge: RealEdge, home1: Home, home2: Home
) -> None:
    other = replace(ASKED, public=PUBLIC + 1, private=PRIVATE)
    async with home1.running(), home2.running() as second:
        home1.start(guest(1, ASKED))
        await until(lambda: edge.reached())
        home2.start(guest(2, other))
        await until(lambda: second.passes.said.answers)
        [row] = (await second.status()).mappings
        assert row.state is MappingState.REFUSED
        assert "home1" in row.reason
        await until(lambda: home2.kernel.rules == frozenset())
