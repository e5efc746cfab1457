"""Guests that could not start with their host, as the edge was not reached yet."""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from zthook.errors import ZthookError

log = logging.getLogger("zthook.agent")


class MissedStarts:
    """Starts them once the edge is reached, where they are marked for autostart.

    ``start`` (blocking, in a thread of its own) tells whether it started the guest. One
    that is refused again for want of the edge is missed anew; any other failure is final.
    """

    def __init__(self, start: Callable[[UUID], bool]) -> None:
        self._start = start
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
            task = asyncio.create_task(self._try(guest, name))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

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
