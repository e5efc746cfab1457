"""Keeps the edge within reach: the session, the long request for changes, the heartbeats."""

import asyncio
import logging
import random
from collections.abc import Callable

from zthook.errors import Permanent, Stale, StoreError, Temporary, ZthookError
from zthook.host.backoff import Backoff
from zthook.host.edge_client import EdgeClient
from zthook.model.clock import Clock
from zthook.model.waiting import within

log = logging.getLogger("zthook.agent")

SLOW_SECONDS = 30.0
"""Between tries that only somebody's hand can make succeed: a removed host, two agents."""
UNABLE_SECONDS = 5.0
"""Between tries while the edge can not write its store: nobody here will hear that it can again."""
STEADY_SECONDS = 5.0
"""A connection that lasted this long was a good one: the next pause begins small again."""
SOON_SECONDS = 0.2
"""A request for changes without news that came back sooner did not wait at all."""
FIRST_LEASE_SECONDS = 15.0
"""The period of heartbeats while no session has told the lease yet."""


class EdgeLink:
    """Two tasks for one :class:`EdgeClient`. ``hint`` is called where a pass has work.

    While the edge is away tries are spaced out; ``poke`` ends the pause at once.
    """

    def __init__(
        self,
        client: EdgeClient,
        hint: Callable[[], None],
        clock: Clock,
        backoff: Backoff | None = None,
    ) -> None:
        self._client = client
        self._hint = hint
        self._clock = clock
        self._poked = asyncio.Event()
        self._backoff = backoff or Backoff(chance=random.Random())  # noqa: S311 - no secret

    def poke(self) -> None:
        """Something changed that may have brought the edge back: try now."""
        self._poked.set()

    async def follow(self) -> None:
        """Hold a session and listen for changes, for ever."""
        while True:
            began = self._clock.boottime()
            self._poked.clear()
            try:
                await self._client.greet()
                self._hint()
                await self._listen_until_lost()
                pause = self._backoff.next()
            except (Temporary, Stale) as error:
                pause = self._backoff.after(error)
            except Permanent as error:
                pause = UNABLE_SECONDS if isinstance(error, StoreError) else SLOW_SECONDS
                self._hint()
            if self._clock.boottime() - began > STEADY_SECONDS:
                self._backoff.reset()
            await within(self._poked, pause)

    async def _listen_until_lost(self) -> None:
        """Return where another request of the client failed; raise what listening raised."""
        listening = asyncio.create_task(self._listen())
        lost = asyncio.create_task(self._client.lost.wait())
        try:
            await asyncio.wait({listening, lost}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                await listening
        finally:
            for task in (listening, lost):
                task.cancel()
            await asyncio.gather(listening, lost, return_exceptions=True)

    async def _listen(self) -> None:
        heard = 0
        while True:
            after = max(heard, self._client.generation)
            asked = self._clock.boottime()
            heard = await self._client.changes(after)
            if heard > after:
                self._hint()
            elif self._clock.boottime() - asked < SOON_SECONDS:
                return  # an edge that is closing answers at once: come back after a pause

    async def beat(self) -> None:
        """Renew the lease, three times in each period, whatever libvirt does."""
        while True:
            session = self._client.session
            await asyncio.sleep(session.lease_seconds / 3 if session else FIRST_LEASE_SECONDS / 3)
            if self._client.session is None:
                continue  # follow() opens one, and that renews
            try:
                await self._client.heartbeat()
            except ZthookError as error:
                log.debug("heartbeat: %s", error.message)
            if self._client.list_due:
                self._hint()
