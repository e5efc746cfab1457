"""A thread for calls that can hang."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from zthook.errors import HypervisorUnavailable

T = TypeVar("T")
HUNG_HINT = "does `virsh list` answer? if not, is it libvirtd or a hook of it that is stuck?"
_Job = tuple["Future[Any]", Callable[[], Any]]


class Lane:
    """Runs one call at a time, in order, in a thread that never keeps the process alive.

    A call that outlives its deadline goes on, as nothing can end it. Until it returns others
    fail at once instead of waiting behind it; when it does, ``on_recovery`` is called in the
    thread.
    """

    def __init__(self, name: str, on_recovery: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self._on_recovery = on_recovery
        self._late: Future[Any] | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Line a call up; HypervisorUnavailable where one hangs."""
        if self._late is not None and not self._late.done():
            raise HypervisorUnavailable(
                f"{self.name} hangs: an earlier question has no answer yet", hint=HUNG_HINT
            )
        job: Future[T] = Future()
        self._jobs.put((job, call))
        return job

    async def call(self, call: Callable[[], T], seconds: float) -> T:
        """The call's result; HypervisorUnavailable after ``seconds``, also spent in line."""
        job = self.submit(call)
        waiting = asyncio.wrap_future(job)
        waiting.add_done_callback(_be_seen)
        done, _ = await asyncio.wait({waiting}, timeout=seconds)
        if done:
            return waiting.result()
        waiting.cancel()
        raise self.give_up(job, seconds)

    def give_up(self, job: "Future[Any]", seconds: float) -> HypervisorUnavailable:
        """Leave a job that is late; what to raise."""
        if not job.cancel() and not job.done():
            self._late = job
            job.add_done_callback(lambda _: self._on_recovery())
        return HypervisorUnavailable(
            f"{self.name} hangs: no answer within {seconds:g} s", hint=HUNG_HINT
        )

    def close(self) -> None:
        """End the thread once it has nothing to do; what hangs is left behind."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, call = item
            if job.set_running_or_notify_cancel():
                _settle(job, call)
            del item, job, call  # holds no connection while it waits


def _be_seen(waiting: "asyncio.Future[Any]") -> None:
    """Whoever waited may be cancelled: then asyncio would complain that nobody saw its error."""
    if not waiting.cancelled():
        waiting.exception()


def _settle(job: "Future[Any]", call: Callable[[], Any]) -> None:
    try:
        result = call()
    except BaseException as error:
        job.set_exception(error)
    else:
        job.set_result(result)
