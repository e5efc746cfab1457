"""Time as an argument: the machine's clocks, and one that tests move by hand."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings, both in seconds."""

    def boottime(self) -> float:
        """CLOCK_BOOTTIME: rises steadily, also while suspended; leases are counted on it."""
        ...

    def now(self) -> float:
        """Unix time, for people to read; no decision depends on it."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def now(self) -> float:
        return time.time()


class ManualClock:
    """A clock that stands still until ``advance``."""

    def __init__(self, start: float = 1000.0) -> None:
        self._seconds = start

    def boottime(self) -> float:
        return self._seconds

    def now(self) -> float:
        return self._seconds + 1_700_000_000

    def advance(self, seconds: float) -> None:
        self._seconds += seconds
