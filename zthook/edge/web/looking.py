"""One look for all who watch: taken while somebody does, shared, and no faster than it is cheap."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from zthook.edge.admin_views import EdgeReport
from zthook.edge.excerpts import Asked, Excerpt
from zthook.edge.views import EventView, MappingView
from zthook.edge.web.traces import Point
from zthook.errors import TooManyRequests, ZthookError
from zthook.model.waiting import within

log = logging.getLogger("zthook.edge.web")

USUAL_SECONDS = 2.0
SOONEST_SECONDS = 0.25
"""Between two looks, whatever changes."""
SHARE = 20
"""A look may take a twentieth of the time: what took half a second comes every ten."""
MOST_WATCHERS = 16
MOST_OF_ONE = 5
"""Of one login: a browser opens six connections at most, and needs one for the rest."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found. ``traces`` are of the mappings that somebody has on his screen."""

    at: float
    report: EdgeReport
    excerpts: Mapping[Asked, Excerpt]
    troubled: Sequence[MappingView]
    events: Sequence[EventView]
    points: Sequence[Point]
    traces: Mapping[Asked, Sequence[Sequence[float | None]]]
    counted: bool = True
    """Whether traffic is told; not on an edge with very many mappings."""


Look = Callable[[Collection[Asked]], Awaitable[Seen]]


@dataclass(eq=False, slots=True)
class Watcher:
    """One who watches: what he asked for, when there is something new, and whether to go."""

    login: str
    asked: Asked
    news: asyncio.Event = field(default_factory=asyncio.Event)
    dismissed: bool = False


class Looking:
    """``seen`` is the last look, ``fault`` why there is no newer one. Lives on the loop."""

    def __init__(self, look: Look) -> None:
        self.seen: Seen | None = None
        self.fault = ""
        self.pause = USUAL_SECONDS
        self._look = look
        self._watchers: set[Watcher] = set()
        self._wanted = asyncio.Event()

    @contextlib.contextmanager
    def watching(self, login: str, asked: Asked) -> Iterator[Watcher]:
        """Raises TooManyRequests where so many watch already."""
        of = Counter(one.login for one in self._watchers)
        if len(self._watchers) >= MOST_WATCHERS or of[login] >= MOST_OF_ONE:
            raise TooManyRequests(f"{len(self._watchers)} watch already", seconds=10)
        watcher = Watcher(login, asked)
        self._watchers.add(watcher)
        self._wanted.set()
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self.seen = None  # whoever comes next is told nothing old

    def __len__(self) -> int:
        """How many watch."""
        return len(self._watchers)

    def hint(self) -> None:
        """Something changed: look soon, where somebody watches."""
        self._wanted.set()

    def wake(self) -> None:
        """Let everybody who watches look whether he still may."""
        for one in self._watchers:
            one.news.set()

    def dismiss(self) -> None:
        """Let everybody go who watches now: the server is about to leave its address."""
        for one in self._watchers:
            one.dismissed = True
        self.wake()

    async def keep(self) -> None:
        """Look until cancelled, while somebody watches."""
        loop = asyncio.get_running_loop()
        while True:
            self._wanted.clear()
            if not self._watchers:
                await self._wanted.wait()
                continue
            began = loop.time()
            await self._once()
            least = max(SOONEST_SECONDS, (loop.time() - began) * SHARE)
            self.pause = max(USUAL_SECONDS, least)
            await asyncio.sleep(least)
            await within(self._wanted, self.pause - least)

    async def _once(self) -> None:
        try:
            seen = await self._look({one.asked for one in self._watchers})
            self.seen, self.fault = seen if self._watchers else None, ""
        except ZthookError as error:
            self.fault = error.message
        except Exception:  # a page's fault keeps no edge from its work
            log.exception("the page could not be made")
            self.fault = "a fault of the edge: its log has the details"
        self.wake()
