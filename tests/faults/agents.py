"""An agent over stand-ins and the edge's own decisions; its process may end at any step."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import httpx

from tests.faults.deaths import Fate
from tests.host.real_edge import RealEdge
from tests.host.standins import DEADLINE, Home, Kernel
from zthook.config.places import Places
from zthook.host.agent import Agent
from zthook.host.memory import Memory
from zthook.host.opening import open_agent
from zthook.kernel.edge.fake import Crash
from zthook.model.mappings import HostPlane

T = TypeVar("T")


class MortalWay(httpx.AsyncBaseTransport):
    """To the edge; the agent may end before it sends, and before it reads the answer."""

    def __init__(self, inner: httpx.AsyncBaseTransport, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        listens = request.url.path == "/v1/changes"  # that changes nothing, and may end any time
        if not listens:
            self._fate.moment(f"before {request.method} {request.url.path}")
        response = await self._inner.handle_async_request(request)
        if not listens:
            self._fate.moment(f"after {request.method} {request.url.path}")
        return response


class MortalHostKernel(Kernel):
    """It may end before a change and after it."""

    fate: Fate

    def apply(self, desired: HostPlane | None) -> list[str]:
        self.fate.moment("before the kernel changes")
        lines = super().apply(desired)
        self.fate.moment("after the kernel changed")
        return lines


def mortal_memory(fate: Fate) -> Callable[[Places | None], Memory]:
    """Its files may be half written when it ends, or whole and not in their place yet."""

    def make(places: Places | None) -> Memory:
        memory = Memory(places)
        for file in (memory.addresses, memory.told):
            file.keep = _mortal(file, file.keep, fate)  # type: ignore[method-assign]
        return memory

    return make


def _mortal(file: object, keep: Callable[[T], None], fate: Fate) -> Callable[[T], None]:
    def kept(value: T) -> None:
        path = file._path  # type: ignore[attr-defined]
        if value == file._kept:  # type: ignore[attr-defined]
            return
        fate.moment(f"before {path.name} is written")
        path.with_name(f".{path.name}.new").write_bytes(b'{"half": ')
        fate.moment(f"while {path.name} is written")
        keep(value)
        fate.moment(f"after {path.name} was written")

    return kept


class MortalHome(Home):
    """A host whose agent dies by ``fate``; kernel, memory and guests outlive it."""

    def __init__(self, edge: RealEdge, fate: Fate, folder: Path) -> None:
        credential, way = edge.enrol("home1")
        super().__init__(credential, MortalWay(way, fate))
        self.fate = fate
        self.kernel = MortalHostKernel(self.edge.events)
        self.kernel.fate = fate
        self.places = Places(folder, folder, folder)

    @asynccontextmanager
    async def living(self) -> AsyncIterator[tuple[Agent, "asyncio.Task[None]"]]:
        """An agent and its life, which ends here at the latest."""
        with patch("zthook.host.opening.Memory", mortal_memory(self.fate)):
            async with open_agent(self.settings, self.credential, self.parts, self.places) as agent:
                life = asyncio.create_task(agent.run())
                try:
                    yield agent, life
                finally:
                    life.cancel()
                    await asyncio.gather(life, return_exceptions=True)


async def lives_until(life: "asyncio.Task[None]", condition: Callable[[], object]) -> bool:
    """Whether that came to be before the agent died; AssertionError where neither happens."""
    async with asyncio.timeout(DEADLINE):
        while not life.done():
            if condition():
                return True
            await asyncio.sleep(0.005)
    assert _is_crash(life.exception()), life.exception()
    return False


def _is_crash(error: BaseException | None) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_crash, error.exceptions))
    return isinstance(error, Crash)
