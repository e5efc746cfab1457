"""How much each host may ask for: so often, so large, so many requests at once."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zthook.edge.rates import Rates
from zthook.edge.strangers import too_many
from zthook.errors import TooManyRequests

BURST, PER_SECOND = 400.0, 40.0
"""Requests: an agent sends one for a change, and three heartbeats in a lease."""
CHARGED_BYTES = 16 * 1024
"""So much of a body counts as one request more."""
MOST_UNDER_WAY = 8
"""At once; an agent has two."""


class Callers:
    """What is counted of each host. ``clock`` returns seconds that rise."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._rates = Rates(clock, burst=BURST, per_second=PER_SECOND)
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def calling(self, host: str) -> Iterator[None]:
        """One request, from its credential to its answer.

        Raises TooManyRequests where the host asks too often, or for too much at once.
        """
        wait = self._rates.take(host)
        if wait:
            raise too_many(wait)
        if self._under_way[host] >= MOST_UNDER_WAY:
            raise TooManyRequests(f"{host} has {MOST_UNDER_WAY} requests under way already")
        self._under_way[host] += 1
        try:
            yield
        finally:
            self._under_way[host] -= 1
            if not self._under_way[host]:
                del self._under_way[host]

    def sent(self, host: str, octets: int) -> None:
        """A body of this length came."""
        self._rates.charge(host, octets / CHARGED_BYTES)
