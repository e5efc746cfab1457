"""The one thread that decides: store and kernel are touched from it alone, in order.

The loop beside it never blocks, and a decision needs no lock.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_WEIGHT = 0.1
"""Of the newest call in what a call takes on average."""
_LONGEST = 0.2
"""Seconds that one call counts at most: a pass over a large edge's kernel takes as long as many
requests, and says nothing of how long those behind it will.
"""


class Worker:
    """Runs calls one after the other, in the order they were made."""

    def __init__(self, name: str = "edge") -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._waiting = 0
        self._takes = 0.0

    @property
    def queue_seconds(self) -> float:
        """How long a call that is made now is likely to wait for those before it."""
        return self._waiting * self._takes

    @property
    def idle(self) -> bool:
        """Whether a call that is made now begins at once."""
        return self._waiting == 0

    async def run(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in the thread and wait for it here. What it raises is raised here.

        A caller that is cancelled leaves: the call is finished nevertheless if it had begun,
        and is not made else.
        """
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            call = partial(act, *args, **kwargs)
            return await loop.run_in_executor(self._thread, self._timed, call)
        finally:
            self._waiting -= 1

    def _timed(self, act: Callable[[], T]) -> T:
        began = time.monotonic()
        try:
            return act()
        finally:
            took = min(time.monotonic() - began, _LONGEST)
            self._takes += (took - self._takes) * _WEIGHT

    def close(self) -> None:
        """Finish what was begun, drop what was not."""
        self._thread.shutdown(wait=True, cancel_futures=True)
