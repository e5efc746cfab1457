"""Who waits to hear that something changed for its host."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Changes:
    """Lives on the loop; :meth:`wake` from another thread goes by ``call_soon_threadsafe``."""

    def __init__(self) -> None:
        self.closed = False
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def waiting(self, host: str) -> Iterator[asyncio.Event]:
        """An event that is set at each change for ``host``, and at the end of all."""
        woken = asyncio.Event()
        self._waiting[host].add(woken)
        try:
            yield woken
        finally:
            self._waiting[host].discard(woken)
            if not self._waiting[host]:
                del self._waiting[host]

    def wake(self, host: str) -> None:
        """Something changed for ``host``: everyone who waits looks again."""
        for woken in self._waiting.get(host, ()):
            woken.set()

    def close(self) -> None:
        """Let everyone answer now: the server is about to leave its address."""
        self.closed = True
        for host in self._waiting:
            self.wake(host)
