"""Running guests whose annotation is another from their next start on (``virsh edit``)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from zthook.errors import HypervisorUnavailable
from zthook.host.lives import Lives
from zthook.model.clock import Clock
from zthook.model.guests import Domain, Guest

log = logging.getLogger("zthook.agent")

ALL_SECONDS = 60.0
"""Between two looks at all of them: libvirt tells of each change, but a word may be lost."""
AT_ONCE = 20
"""Definitions read in one call, so that a listing never waits for many."""

Read = Callable[[Collection[UUID]], Awaitable[dict[UUID, Domain]]]
"""``zthook.hypervisor.Hypervisor.definitions``."""


@dataclass(frozen=True, slots=True)
class NextStart:
    """A guest as it runs, and as it starts the next time."""

    guest: Guest
    defined: Domain


class NextStarts:
    """Reads definitions beside the passes: those that libvirt hinted at, all now and then."""

    def __init__(self, read: Read, lives: Lives, clock: Clock) -> None:
        self._read = read
        self._lives = lives
        self._clock = clock
        self._defined: dict[UUID, Domain] = {}
        self._known: set[UUID] = set()
        self._all = -ALL_SECONDS
        self._reading: asyncio.Task[None] | None = None

    def look(self, guests: Sequence[Guest]) -> None:
        """Read what may have changed of these, which run; returns at once."""
        running = {guest.domain.uuid for guest in guests}
        self._known &= running
        self._defined = {one: found for one, found in self._defined.items() if one in running}
        if self._reading is not None:
            return
        now = self._clock.boottime()
        if now - self._all >= ALL_SECONDS:
            self._all, self._known = now, set()
        due = running - self._known | running & self._lives.redefined
        self._lives.redefined.clear()
        if due:
            self._reading = asyncio.create_task(self._take(sorted(due)))

    async def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _take(self, due: Sequence[UUID]) -> None:
        try:
            for first in range(0, len(due), AT_ONCE):
                some = due[first : first + AT_ONCE]
                found = await self._read(some)
                self._defined = {**self._without(some), **found}
                self._known |= set(some)
        except HypervisorUnavailable as error:
            log.debug("definitions are not read: %s", error.message)
            self._all = -ALL_SECONDS
        finally:
            self._reading = None

    def _without(self, some: Collection[UUID]) -> dict[UUID, Domain]:
        return {one: found for one, found in self._defined.items() if one not in some}

    def differing(self, guests: Iterable[Guest]) -> list[NextStart]:
        """Those guests that run with another annotation than they start with the next time."""
        return [
            NextStart(guest, defined)
            for guest in guests
            if (defined := self._defined.get(guest.domain.uuid)) is not None
            and says_another(guest.domain, defined)
        ]


def says_another(live: Domain, defined: Domain) -> bool:
    """Whether the two ask for something else, wherever in the XML it stands."""

    def said(one: Domain) -> object:
        return one.publication, [(problem.what, problem.right) for problem in one.problems]

    return said(live) != said(defined)
