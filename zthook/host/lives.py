"""What libvirt said of guests that no look shows: why one is gone, whose definition changed."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

from zthook.errors import HypervisorUnavailable
from zthook.hypervisor.contract import Happened, Hint
from zthook.model.clock import Clock
from zthook.model.waiting import within

PATIENCE_SECONDS = 0.1
"""How long the word that a guest migrated may be behind the look that misses it."""
KEPT_SECONDS = 60.0
"""After so long nobody will ask any more."""

Ask = Callable[[UUID], Awaitable[Happened | None]]
"""``zthook.hypervisor.Hypervisor.ending``."""


class Lives:
    """``redefined`` are the guests whose definition may be another; its reader clears it."""

    def __init__(self, clock: Clock) -> None:
        self.redefined: set[UUID] = set()
        self._clock = clock
        self._ends: dict[UUID, tuple[Happened, float]] = {}
        self._told = asyncio.Event()

    def hear(self, hint: Hint) -> None:
        """Keep what a hint says beside that something changed."""
        if hint.guest is None or hint.what is None:
            return
        if hint.what is Happened.DEFINED:
            self.redefined.add(hint.guest)
        else:
            self._ends[hint.guest] = hint.what, self._clock.boottime()
            self._told.set()

    def forget(self, running: Collection[UUID], looked: float) -> None:
        """Drop what was said before ``looked`` (boottime) of guests that ran then, and what is
        old.
        """
        now = self._clock.boottime()
        self._ends = {
            guest: (what, said)
            for guest, (what, said) in self._ends.items()
            if now - said < KEPT_SECONDS and (guest not in running or said >= looked)
        }

    async def went_elsewhere(self, guest: UUID, ask: Ask) -> bool:
        """Whether a guest that is gone migrated; libvirt tells of a defined one at any time, of
        another it has told, or is about to.
        """
        what = self._said(guest)
        if what is None:
            try:
                what = await ask(guest)
            except HypervisorUnavailable:
                what = None
        return (what or await self._hear_of(guest)) is Happened.MIGRATED

    async def _hear_of(self, guest: UUID) -> Happened | None:
        """What is said of it within a tenth of a second."""
        until = self._clock.boottime() + PATIENCE_SECONDS
        while self._said(guest) is None and (left := until - self._clock.boottime()) > 0:
            self._told.clear()
            await within(self._told, left)
        return self._said(guest)

    def _said(self, guest: UUID) -> Happened | None:
        found = self._ends.get(guest)
        return found[0] if found is not None else None
