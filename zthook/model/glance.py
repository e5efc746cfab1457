"""A question that nobody waits long for."""

import asyncio
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

from zthook.errors import ZthookError

P = ParamSpec("P")
T = TypeVar("T")


class Glance(Generic[P, T]):
    """Asks a blocking ``question`` in a thread, for ``seconds`` at most.

    While one asking still hangs no other begins: however long it takes, it is one thread.
    """

    def __init__(self, question: Callable[P, T], seconds: float) -> None:
        self._question = question
        self._seconds = seconds
        self._asking: asyncio.Task[T] | None = None

    async def look(self, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """The answer; None where it comes too late, or is an error of ours."""
        if self._asking is None or self._asking.done():
            asked = asyncio.to_thread(self._question, *args, **kwargs)
            self._asking = asyncio.create_task(asked)
            self._asking.add_done_callback(_seen)
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.shield(self._asking)
        except (TimeoutError, ZthookError):
            return None


def _seen(asking: "asyncio.Task[T]") -> None:
    """An error that comes when nobody waits any more is no news."""
    if not asking.cancelled():
        asking.exception()
