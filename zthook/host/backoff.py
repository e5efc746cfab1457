"""How long to wait before the next try."""

import random

from zthook.errors import TooManyRequests


class Backoff:
    """Decorrelated jitter: each pause lies between ``first`` and thrice the one before.

    Seconds, never above ``cap``, which is short: an edge that is away refuses a connection
    at no cost, and one that is back is noticed as soon as anything else, within two seconds.
    Many hosts that lost one edge so come back spread out (Brooker, "Exponential Backoff And
    Jitter", 2015).
    """

    def __init__(self, *, first: float = 0.1, cap: float = 2.0, chance: random.Random) -> None:
        self._first = first
        self._cap = cap
        self._chance = chance
        self._pause = first

    def next(self) -> float:
        """The pause before the next try."""
        self._pause = min(self._cap, self._chance.uniform(self._first, self._pause * 3))
        return self._pause

    def after(self, error: Exception) -> float:
        """The pause after this one: what the edge asked for and up to half as much again, so
        that not all come back at once, where it is more.
        """
        wanted = error.seconds if isinstance(error, TooManyRequests) else 0.0
        return max(self.next(), wanted * self._chance.uniform(1, 1.5))

    def reset(self) -> None:
        """The last try went well."""
        self._pause = self._first
