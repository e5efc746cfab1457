"""Two hosts of one group and a guest that goes from one to the other, with lists on their way."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.host.making import PRIVATE, PUBLIC, guest, uuid
from tests.host.real_edge import RealEdge, Way
from tests.host.standins import Home, another_pass, until
from zthook.hypervisor.contract import Happened
from zthook.model.publication import AddressRequest
from zthook.store.events import Wanted

WEB1 = guest(1, AddressRequest(PUBLIC))


class Slow(Way):
    """The first list that claims anything is ``held`` back until it ``may_go``."""

    def __init__(self, edge: RealEdge, source: str) -> None:
        super().__init__(edge, source)
        self.held = asyncio.Event()
        self.may_go = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        first = request.method == "PUT" and b'"guest"' in request.content
        if first and not self.held.is_set():
            self.held.set()
            await self.may_go.wait()
        return await super().handle_async_request(request)


@pytest.fixture
async def edge() -> AsyncIterator[RealEdge]:
    async with RealEdge().serving() as made:
        yield made


def home_of(edge: RealEdge, name: str) -> Home:
    return Home(*edge.enrol(name, group="rack"))


def holder(edge: RealEdge) -> str | None:
    return next((one.host for one in edge.service.mappings() if one.state == "active"), None)


def happened(edge: RealEdge) -> list[tuple[str, str]]:
    """What became of the address, and where."""
    lines = edge.service.events(Wanted(public=str(PUBLIC)))
    return [(one.event, one.host) for one in lines]


async def test_a_first_list_that_comes_late_moves_nothing(edge: RealEdge) -> None:
    home1, home2 = home_of(edge, "home1"), home_of(edge, "home2")
    assert isinstance(home1.transport, Way)
    home1.transport = slow = Slow(edge, home1.transport.source)
    async with home1.running() as first, home2.running():
        home1.start(WEB1)
        await slow.held.wait()
        home2.start(WEB1)
        await until(lambda: holder(edge) == "home2")
        home1.tell(uuid(1), Happened.MIGRATED)
        home1.start()
        slow.may_go.set()
        await until(lambda: [one.host for one in edge.service.mappings()] == ["home2"])
        await another_pass(first)
    assert happened(edge) == [("granted", "home2")]
    assert edge.reached() == {str(PUBLIC): str(PRIVATE)}


async def test_a_guest_that_came_is_looked_at_once_more_where_its_host_had_not_heard(
    edge: RealEdge,
) -> None:
    """home1 is told nothing of the move: its libvirt hangs."""
    home1, home2 = home_of(edge, "home1"), home_of(edge, "home2")
    async with home1.running(), home2.running() as second:
        await until(lambda: second.client.ready)
        await another_pass(second)
        home1.start(WEB1)
        await until(lambda: holder(edge) == "home1")
        home1.libvirt.hung = True
        home2.start(WEB1)
        await until(lambda: holder(edge) == "home2")
    assert happened(edge) == [("granted", "home1"), ("moved", "home2")]
