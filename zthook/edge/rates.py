"""How often somebody may ask: token buckets."""

from collections import OrderedDict
from collections.abc import Callable

MOST_KEYS = 4096
"""Of which a bucket is remembered; of more, whoever asked longest ago begins with a full one."""


class Rates:
    """A bucket for each key: ``burst`` at once, ``per_second`` in the long run.

    ``clock`` returns seconds that rise.
    """

    def __init__(self, clock: Callable[[], float], *, burst: float, per_second: float) -> None:
        self._clock = clock
        self._burst = burst
        self._per_second = per_second
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one; where there is none, nothing is taken: the seconds until there is."""
        wait = self.wait(key)
        if not wait:
            self._keep(key, self._refilled(key) - 1)
        return wait

    def wait(self, key: str) -> float:
        """The seconds until one can be taken; 0 where it can now."""
        return max(0.0, 1 - self._refilled(key)) / self._per_second

    def charge(self, key: str, cost: float) -> None:
        """Take what it has cost, be it more than there is: then the next one waits for it."""
        self._keep(key, self._refilled(key) - cost)

    def _refilled(self, key: str) -> float:
        left, at = self._left.get(key, (self._burst, 0.0))
        return min(self._burst, left + (self._clock() - at) * self._per_second)

    def _keep(self, key: str, left: float) -> None:
        self._left[key] = left, self._clock()
        self._left.move_to_end(key)
        if len(self._left) > MOST_KEYS:
            self._left.popitem(last=False)
