"""The one thread that decides: the store is touched from it alone, in order.

The loop beside it never blocks, and a decision needs no lock. A call that takes long hands what
touches neither the store nor what is known of hosts to a second thread (``edge.turns``): brief
calls have their turns meanwhile.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_WEIGHT = 0.1
"""Of the newest call in what a call takes on average."""
_LONGEST = 0.2
"""Seconds that one call counts at most: a pass over a large edge's kernel takes as long as many
requests, and says nothing of how long those behind it will.
"""


class _Queue:
    """Those who wait for calls of one kind, and what such a call takes on average."""

    def __init__(self) -> None:
        self.waiting = 0
        self._takes = 0.0

    @property
    def seconds(self) -> float:
        """How long a call that is made now is likely to wait for those before it."""
        return self.waiting * self._takes

    def timed(self, act: Callable[[], T]) -> T:
        """What ``act`` returns or raises; it counts."""
        began = time.monotonic()
        try:
            return act()
        finally:
            took = min(time.monotonic() - began, _LONGEST)
            self._takes += (took - self._takes) * _WEIGHT


class _Call(Generic[T]):
    """One that waits for its turn; ``done`` has what became of it."""

    def __init__(self, act: Callable[[], T]) -> None:
        self.done: Future[T] = Future()
        self._act = act

    def carry_out(self) -> None:
        if self.done.set_running_or_notify_cancel():
            try:
                self.done.set_result(self._act())
            except BaseException as error:  # raised where it is waited for
                self.done.set_exception(error)


class Worker:
    """Runs calls one after the other, in the order they were made, but brief ones first."""

    def __init__(self, name: str = "edge") -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{name}-aside")
        self._calls, self._brief_calls = _Queue(), _Queue()
        self._brief: SimpleQueue[_Call[Any]] = SimpleQueue()

    @property
    def queue_seconds(self) -> float:
        """How long a call that is made now is likely to wait for those before it."""
        return self._calls.seconds

    @property
    def brief_queue_seconds(self) -> float:
        """The same of a brief call; the call that runs now is not counted."""
        return self._brief_calls.seconds

    @property
    def idle(self) -> bool:
        """Whether a call that is made now begins at once."""
        return self._calls.waiting == self._brief_calls.waiting == 0

    async def run(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in the thread and wait for it here. What it raises is raised here.

        A caller that is cancelled leaves: the call is finished nevertheless if it had begun,
        and is not made else.
        """
        loop = asyncio.get_running_loop()
        self._calls.waiting += 1
        try:
            call = partial(act, *args, **kwargs)
            return await loop.run_in_executor(self._thread, self._after_brief, call)
        finally:
            self._calls.waiting -= 1

    async def run_brief(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for what changes neither store nor kernel, and takes no time to speak of:
        it has its turn before other calls, and while one of them pauses.
        """
        call = _Call(partial(self._brief_calls.timed, partial(act, *args, **kwargs)))
        self._brief_calls.waiting += 1
        try:
            self._brief.put(call)
            self._thread.submit(self.pause)
            return await asyncio.wrap_future(call.done)
        finally:
            self._brief_calls.waiting -= 1

    def _after_brief(self, act: Callable[[], T]) -> T:
        self.pause()
        return self._calls.timed(act)

    def pause(self) -> None:
        """As in ``Turns``. Not those that come meanwhile: others wait too."""
        for _ in range(self._brief.qsize()):
            self._brief.get_nowait().carry_out()

    def aside(self, act: Callable[[], T]) -> T:
        """As in ``Turns``."""
        doing = self._beside.submit(act)
        doing.add_done_callback(lambda _: self._brief.put(_Call(_nothing)))  # wakes us
        while not doing.done():
            self._brief.get().carry_out()
        return doing.result()

    def close(self) -> None:
        """Finish what was begun, drop what was not."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._beside.shutdown(wait=True)
        for _ in range(self._brief.qsize()):
            self._brief.get_nowait().done.cancel()


def _nothing() -> None:
    pass
