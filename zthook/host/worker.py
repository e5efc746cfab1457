"""Blocking kernel calls, one after another, in one thread beside the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from zthook.errors import KernelError

T = TypeVar("T")

WORK_SECONDS = 10.0
"""What takes longer than this hangs: a whole apply takes milliseconds."""


class KernelThread:
    """``await thread(call)`` runs ``call`` and returns what it returns, or raises.

    Raises KernelError where it takes longer than 10 s; the call itself is left to end.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kernel")

    async def __call__(self, call: Callable[[], T], /) -> T:
        running = asyncio.get_running_loop().run_in_executor(self._thread, call)
        done, _ = await asyncio.wait({running}, timeout=WORK_SECONDS)
        if not done:
            running.add_done_callback(_forget)
            raise KernelError(f"the kernel took more than {WORK_SECONDS:.0f} s over one call")
        return running.result()

    def close(self) -> None:
        """Take no more calls; one that runs is left to end."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _forget(ended: "asyncio.Future[T]") -> None:
    if not ended.cancelled():
        ended.exception()
