"""How long something took, each time that it was done, summed up."""

from bisect import bisect_left
from typing import Self

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds, from what a pass takes at rest to what nobody should wait for."""


class Durations:
    """``seconds`` is the sum of all; ``counts`` how many were up to each of BOUNDS, and longer."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.counts = [0] * (len(BOUNDS) + 1)

    def copy(self) -> Self:
        """What it is now, and stays."""
        made = type(self)()
        made.seconds, made.counts = self.seconds, list(self.counts)
        return made

    def note(self, seconds: float) -> None:
        """It was done once more."""
        self.seconds += seconds
        self.counts[bisect_left(BOUNDS, seconds)] += 1
