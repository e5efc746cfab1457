"""What becomes of messages in a storm over real kernels."""

import asyncio
import contextlib
import random
from ipaddress import IPv4Address

import httpx

from tests.faults.deaths import Fate
from tests.faults.stormy_edge import LEASE, StormyEdge


class Post(httpx.AsyncBaseTransport):
    """A host's way to the edge. ``lost`` and ``late`` are shares of its messages, ``deaf`` and
    ``mute`` cut one direction; ``counts`` is what became of messages.
    """

    def __init__(self, edge: StormyEdge, source: IPv4Address, chance: random.Random) -> None:
        self.edge = edge
        self.source = source
        self.lost = self.late = self.doubled = 0.0
        self.deaf = self.mute = False
        self.counts = {"sent": 0, "lost": 0, "late": 0, "doubled": 0}
        self.fate = Fate()
        self._chance = chance
        self._behind: set[asyncio.Task[object]] = set()

    @property
    def under_way(self) -> bool:
        """Whether late messages are still to come."""
        return bool(self._behind)

    def calm(self) -> None:
        """Nothing is lost any more."""
        self.lost = self.late = self.doubled = 0.0
        self.deaf = self.mute = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.counts["sent"] += 1
        if request.url.path != "/v1/changes":
            self.fate.moment(f"before {request.url.path}")
        if self.mute or self._chance.random() < self.lost:
            self.counts["lost"] += 1
            await asyncio.sleep(0.1)
            raise httpx.ConnectTimeout("no answer in time")
        if self._chance.random() < self.late:
            self.counts["late"] += 1
            self._behind_its_time(request, self._chance.uniform(0.1, 2 * LEASE))
            await asyncio.sleep(0.1)
            raise httpx.ReadTimeout("no answer in time")
        if self._chance.random() < self.doubled:
            self.counts["doubled"] += 1
            self._behind_its_time(request, self._chance.uniform(0.0, 0.5))
        response = await self._delivered(request)
        if self.deaf or self._chance.random() < self.lost:
            self.counts["lost"] += 1
            raise httpx.ReadTimeout("no answer in time")
        if request.url.path != "/v1/changes":
            self.fate.moment(f"after {request.url.path}")
        return response

    def _behind_its_time(self, request: httpx.Request, seconds: float) -> None:
        async def arrive() -> None:
            await asyncio.sleep(seconds)
            with contextlib.suppress(httpx.HTTPError):
                await self._delivered(request)

        task = asyncio.create_task(arrive())
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def _delivered(self, request: httpx.Request) -> httpx.Response:
        copy = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.content
        )
        there = asyncio.run_coroutine_threadsafe(
            self.edge.answer(copy, self.source), self.edge.place.loop
        )
        seconds = request.extensions["timeout"]["read"]
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(there)
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer in time") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # The daemon ended with the request in its hands.
            raise httpx.ReadError("connection reset") from error
