"""The page on loopback, over a real edge whose kernel is a fake, and browsers without a screen."""

import asyncio
import dataclasses
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import httpx
import msgspec

from tests.edge.world import OVERLAY, SETTINGS, Edge
from tests.edge_api.standin import keys_in
from zthook.config.places import Places
from zthook.config.settings import Endpoint
from zthook.edge.admin import Admin, RunningEdge
from zthook.edge.refusals import Refusals
from zthook.edge.seen_overlay import SeenOverlay
from zthook.edge.service import EdgeService
from zthook.edge.web.site import Site
from zthook.edge.worker import Worker
from zthook.overlay import FakeOverlay
from zthook.wire.tls import pinned_context, server_name

T = TypeVar("T")
HERE = IPv4Address("127.0.0.1")


def free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


class Stage:
    """What of the daemon the page is about: see ``zthook.edge.web.site.Edge``."""

    def __init__(self, tmp: Path, world: Edge | None = None) -> None:
        self.world = world or Edge()
        self.worker = Worker()
        self.keys = keys_in(tmp)
        self.places = Places(tmp / "config", tmp, tmp / "run")
        self.port = free_port()
        self.settings = dataclasses.replace(SETTINGS, web=Endpoint(HERE, self.port))
        self.seen = SeenOverlay(FakeOverlay(OVERLAY), lambda: None)
        self.problems: list[str] = []
        self.listener = SimpleNamespace(place=("10.147.0.1", 9443))
        self.exposition = SimpleNamespace(fault="")
        self.redial = SimpleNamespace(seen=None)
        self.admin = Admin(cast("RunningEdge", self))
        self.refusals = Refusals(time.monotonic)
        self.web = Site(self, self.refusals, self.world.clock)
        self.url = f"https://127.0.0.1:{self.port}/"

    @property
    def service(self) -> EdgeService:
        return self.world.service

    async def do(self, act: Callable[[], T]) -> T:
        """Something happens at the edge, and whoever watches hears of it as from the daemon."""
        done = await self.worker.run(act)
        self.web.looking.hint()
        return done

    async def nobody_watches(self) -> None:
        """Return once the edge knows that all pages are closed."""
        async with asyncio.timeout(10):
            while len(self.web.looking):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        await self.seen.look()
        keeping = asyncio.create_task(self.web.keep())
        try:
            async with asyncio.timeout(10):
                while self.web.view().url is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            yield
        finally:
            keeping.cancel()
            await self.web.close()
            await asyncio.gather(keeping, return_exceptions=True)
            self.worker.close()

    @asynccontextmanager
    async def client(self, token: str = "") -> AsyncIterator[httpx.AsyncClient]:
        """A browser's connections; with ``token`` it is logged in."""
        context = pinned_context(self.keys.ca_pem)

        async def name(request: httpx.Request) -> None:
            request.extensions["sni_hostname"] = server_name(self.keys.edge_id)

        async with httpx.AsyncClient(
            base_url=self.url,
            verify=context,
            event_hooks={"request": [name]},
            timeout=10,
            trust_env=False,
        ) as made:
            if token:
                answer = await made.post("/login", json={"token": token})
                assert answer.status_code == 200, answer.text
            yield made


class Heard:
    """A stream as it comes: what each kind of event said last."""

    def __init__(self, answer: httpx.Response) -> None:
        self.last: dict[str, Any] = {}
        self.kinds: list[str] = []
        self._lines = answer.aiter_lines()

    async def next(self) -> str:
        """Read one event; its kind."""
        kind = ""
        async for line in self._lines:
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                self.last[kind] = msgspec.json.decode(line.removeprefix("data: "))
                self.kinds.append(kind)
            elif kind:
                return kind
        return "closed"

    async def until(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Read until what was heard last fits."""
        async with asyncio.timeout(10):
            while not condition(self.last):
                assert await self.next() != "closed", self.kinds
        return self.last


@asynccontextmanager
async def listening(client: httpx.AsyncClient, query: str = "") -> AsyncIterator[Heard]:
    """The stream, from its first event on."""
    async with client.stream("GET", f"/live{query}") as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Heard(answer)
