"""The one thread that decides: store and kernel are touched from it alone, in order.

The loop beside it never blocks, and a decision needs no lock.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """Runs calls one after the other, in the order they were made."""

    def __init__(self, name: str = "edge") -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in the thread and wait for it here. What it raises is raised here.

        A caller that is cancelled leaves; the call is finished nevertheless.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: act(*args, **kwargs))

    def close(self) -> None:
        """Finish what was begun, drop what was not."""
        self._thread.shutdown(wait=True, cancel_futures=True)
