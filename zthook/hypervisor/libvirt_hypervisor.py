"""The real hypervisor: libvirt at a URI."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from functools import partial
from types import TracebackType
from typing import Self
from uuid import UUID

from zthook.errors import HypervisorUnavailable
from zthook.hypervisor import listing
from zthook.hypervisor.contract import Happened, Hint, OnHint
from zthook.hypervisor.link import Link
from zthook.model.addresses import IPAddress
from zthook.model.guests import Domain, Guest, Network

log = logging.getLogger(__name__)

CALL_SECONDS = 10.0
"""Of a listing: longer than a hook may keep a guest's start waiting (5 s), which holds it up."""
AGENT_SECONDS = 3.0
"""Of a question to a guest's agent; a hung one keeps libvirt waiting for 5 s."""
CLOSE_SECONDS = 1.0
BACKOFF_SECONDS = (0.2, 2.0)
"""Between two tries to reach libvirt: the first, and the longest; each is twice the last."""


class LibvirtHypervisor:
    """Guests and networks of the libvirt at ``uri``: see ``contract.Hypervisor``.

    ``on_hint`` is called in the event loop whenever something may have changed: on each
    libvirt event, when the connection broke, is back, or answers again after it hung. Guest
    agents are asked through a connection of their own, so that a hung one delays no listing.
    """

    def __init__(self, uri: str, on_hint: OnHint) -> None:
        self._on_hint = on_hint
        self._closed = False
        self._broken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._main = Link(
            uri,
            opened=partial(self._hint, Hint()),
            hint=self._hint,
            lost=partial(self._tell, self._break),
            recovered=partial(self._hint, Hint()),
        )
        self._agents = Link(uri)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._keeper = asyncio.create_task(self._stay_connected())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await asyncio.gather(self._main.close(CLOSE_SECONDS), self._agents.close(CLOSE_SECONDS))

    async def guests(self) -> list[Guest]:
        return await self._main.call(listing.guests, CALL_SECONDS)

    async def networks(self) -> dict[str, Network]:
        return await self._main.call(listing.networks, CALL_SECONDS)

    async def definitions(self, guests: Collection[UUID]) -> dict[UUID, Domain]:
        wanted = frozenset(guests)
        return await self._main.call(partial(listing.definitions, guests=wanted), CALL_SECONDS)

    async def ending(self, guest: UUID) -> Happened | None:
        return await self._main.call(partial(listing.ending, guest=guest), CALL_SECONDS)

    async def agent_addresses(self, uuid: UUID) -> list[tuple[str, IPAddress]]:
        return await self._agents.call(
            lambda connection: listing.agent_addresses(connection, uuid), AGENT_SECONDS
        )

    async def _stay_connected(self) -> None:
        """Open the connection again whenever it broke, as events come only through it."""
        pause = BACKOFF_SECONDS[0]
        while True:
            self._broken.clear()
            try:
                await self._main.call(lambda _: None, CALL_SECONDS)
            except HypervisorUnavailable as error:
                log.debug("%s; next try in %g s", error, pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, BACKOFF_SECONDS[1])
            else:
                pause = BACKOFF_SECONDS[0]
                await self._broken.wait()

    def _hint(self, hint: Hint) -> None:
        self._tell(partial(self._on_hint, hint))

    def _break(self) -> None:
        self._broken.set()
        self._on_hint(Hint())

    def _tell(self, callback: Callable[[], None]) -> None:
        """Call it in the event loop; from libvirt's threads."""
        # RuntimeError: the loop ended in this moment, and with it who would want to know.
        with contextlib.suppress(RuntimeError):
            if self._loop is not None and not self._closed:
                self._loop.call_soon_threadsafe(callback)
