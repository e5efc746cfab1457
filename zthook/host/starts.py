"""Guests that could not start with their host, as the edge was not reached yet."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from uuid import UUID

from zthook.errors import HypervisorUnavailable, ZthookError

log = logging.getLogger("zthook.agent")

SEARCH_SECONDS, SEARCHES = 2.0, 150
"""Between two tries to find those that nobody told of, and how many: libvirt may come late."""

Find = Callable[[], list[tuple[UUID, str]]]
"""``zthook.hypervisor.starting.failed_autostarts``."""


class MissedStarts:
    """Starts them once the edge is reached, where they are marked for autostart.

    ``start`` (blocking, in a thread of its own) tells whether it started the guest. One
    that is refused again for want of the edge is missed anew; any other failure is final.
    ``find`` (likewise) tells of those whose hook gave up before an agent heard it; None
    where an agent ran before this one since the host booted, and heard them all.
    """

    def __init__(self, start: Callable[[UUID], bool], find: Find | None = None) -> None:
        self._start = start
        self._find = find
        self._missed: dict[UUID, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, guest: UUID, name: str) -> None:
        """This guest was refused because the edge was away."""
        self._missed[guest] = name

    def forget(self, guest: UUID) -> None:
        """Somebody started it, or it is no matter any more."""
        self._missed.pop(guest, None)

    def retry(self) -> None:
        """The edge is reached."""
        missed, self._missed = self._missed, {}
        for guest, name in missed.items():
            self._begin(self._try(guest, name))
        find, self._find = self._find, None
        if find is not None:
            self._begin(self._search(find))

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _search(self, find: Find) -> None:
        for _ in range(SEARCHES):
            try:
                found = await asyncio.to_thread(find)
            except HypervisorUnavailable as error:
                log.debug("guests that did not start are not known yet: %s", error.message)
                await asyncio.sleep(SEARCH_SECONDS)
                continue
            for guest, name in found:
                await self._try(guest, name)
            return

    async def close(self) -> None:
        """Start none any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _try(self, guest: UUID, name: str) -> None:
        try:
            started = await asyncio.to_thread(self._start, guest)
        except ZthookError as error:
            log.warning("%s: not started now that the edge is reached: %s", name, error.message)
            return
        if started:
            log.info("%s: started, now that the edge is reached (autostart)", name)
