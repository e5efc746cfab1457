"""An agent and an edge of different versions: they work together, or it is said what to do."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.host.edge import mac_of
from tests.host.making import PRIVATE, PUBLIC, guest
from tests.host.real_edge import RealEdge, Way
from tests.host.standins import Home, until
from zthook import __version__
from zthook.errors import UsageError
from zthook.host.edge_client import EdgeClient
from zthook.model.clock import SystemClock
from zthook.model.mappings import MappingState
from zthook.model.publication import AddressRequest

ASKED = AddressRequest(PUBLIC)


@pytest.fixture
async def edge() -> AsyncIterator[RealEdge]:
    async with RealEdge().serving() as made:
        yield made


class OtherVersion(Way):
    """To an edge whose answers ``bend`` makes those of another version."""

    def __init__(
        self, edge: RealEdge, source: str, bend: Callable[[str, int, Any], tuple[int, Any]]
    ) -> None:
        super().__init__(edge, source)
        self.asked: list[Any] = []
        self._bend = bend

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(json.loads(request.content or b"null"))
        answer = await super().handle_async_request(request)
        content = json.loads(await answer.aread() or b"null")
        status, bent = self._bend(request.url.path, answer.status_code, content)
        return httpx.Response(status, content=json.dumps(bent).encode())


def home_of(edge: RealEdge, bend: Callable[[str, int, Any], tuple[int, Any]]) -> Home:
    credential, way = edge.enrol("home1")
    assert isinstance(way, Way)
    return Home(credential, OtherVersion(edge, way.source, bend))


def newer(_path: str, status: int, content: Any) -> tuple[int, Any]:
    """Says more than we know, everywhere."""

    def more(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: more(one) for name, one in value.items()} | {"later": {"x": [1]}}
        return [more(one) for one in value] if isinstance(value, list) else value

    return status, more(content)


async def test_an_agent_works_with_an_edge_that_says_more(edge: RealEdge) -> None:
    home = home_of(edge, newer)
    async with home.running() as agent:
        home.start(guest(1, ASKED))
        await until(lambda: edge.reached() == {str(PUBLIC): str(PRIVATE)})
        await until(lambda: agent.passes.said.answers)
        [row] = (await agent.status()).mappings
        assert row.state is MappingState.ACTIVE
        home.start()
        await until(lambda: edge.reached() == {})


async def test_an_edge_that_tells_no_moment_is_told_none(edge: RealEdge) -> None:
    """It takes no field that it does not know."""

    def before_moments(_path: str, status: int, content: Any) -> tuple[int, Any]:
        if isinstance(content, dict):
            content = {name: one for name, one in content.items() if name != "moment"}
        return status, content

    home = home_of(edge, before_moments)
    async with home.running():
        home.start(guest(1, ASKED))
        await until(lambda: edge.reached() == {str(PUBLIC): str(PRIVATE)})
        home.start()
        await until(lambda: edge.reached() == {})
    assert isinstance(home.transport, OtherVersion)
    lists = [one for one in home.transport.asked if one and "claims" in one]
    assert lists
    assert not [one for one in lists if "heard" in one]


class BeforeMacs(Way):
    """To an edge that, while ``older``, takes no word of a host's MAC."""

    older = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.older and "overlay_mac" in json.loads(request.content or b"{}"):
            unknown = "Object contains unknown field `overlay_mac`"
            return httpx.Response(400, json={"error": "bad_request", "message": unknown})
        return await super().handle_async_request(request)


async def test_an_edge_that_takes_no_mac_is_told_none_also_where_it_came_meanwhile(
    edge: RealEdge,
) -> None:
    async def own_mac() -> str:
        return mac_of("home1")

    def told() -> str | None:
        host = edge.ledger.host("home1")
        return host.own_mac if host is not None else None

    credential, way = edge.enrol("home1")
    assert isinstance(way, Way)
    older = BeforeMacs(edge, way.source)
    client = EdgeClient(credential, SystemClock(), own_mac=own_mac, transport=older)
    await client.greet()
    await client.heartbeat()
    assert told() == ""
    older.older, client.session = False, None
    await client.greet()
    await client.heartbeat()
    assert told() == mac_of("home1")
    older.older = True
    with pytest.raises(UsageError):
        await client.heartbeat()
    await client.greet()
    await client.heartbeat()
    assert client.ready
    await client.close()


@pytest.mark.parametrize("theirs", ["", "0.0.9"])
async def test_an_edge_that_does_not_know_what_is_asked_is_named_with_what_to_do(
    edge: RealEdge, theirs: str
) -> None:
    unknown = {"error": "bad_request", "message": "Object contains unknown field `rank`"}

    def older(path: str, status: int, content: Any) -> tuple[int, Any]:
        if path == "/v1/claims":
            return 400, unknown
        if path == "/v1/session":
            content = {name: one for name, one in content.items() if name != "version"}
            content |= {"version": theirs} if theirs else {}
        return status, content

    home = home_of(edge, older)
    async with home.running() as agent:
        home.start(guest(1, ASKED))
        await until(lambda: agent.passes.said.fault)
        [row] = (await agent.status()).mappings
    assert row.state is MappingState.PENDING
    assert f"the edge runs zthook {theirs or 'of an older version'}" in row.reason
    assert f"this host {__version__}" in row.reason
    assert "unknown field `rank`" in row.reason
    assert "upgrade the older one" in row.reason


async def test_of_one_version_it_is_no_matter_of_versions(edge: RealEdge) -> None:
    def refuses(path: str, status: int, content: Any) -> tuple[int, Any]:
        refused = {"error": "bad_request", "message": "what no host says"}
        return (400, refused) if path == "/v1/claims" else (status, content)

    home = home_of(edge, refuses)
    async with home.running() as agent:
        home.start(guest(1, ASKED))
        await until(lambda: agent.passes.said.fault)
        [row] = (await agent.status()).mappings
    assert "upgrade" not in row.reason


async def test_an_error_that_only_a_newer_edge_knows_is_tried_again(edge: RealEdge) -> None:
    left = 1

    def newer_error(path: str, status: int, content: Any) -> tuple[int, Any]:
        nonlocal left
        if path == "/v1/claims" and left:
            left -= 1
            return 418, {"error": "brewing", "message": "not yet"}
        return status, content

    home = home_of(edge, newer_error)
    async with home.running():
        home.start(guest(1, ASKED))
        await until(lambda: left == 0 and edge.reached() == {str(PUBLIC): str(PRIVATE)})
