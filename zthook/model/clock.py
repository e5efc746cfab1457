"""Time as an argument: the machine's clocks, and one that tests move by hand."""

import time
from typing import Protocol


class Clock(Protocol):
    """Three readings, all in seconds."""

    def boottime(self) -> float:
        """CLOCK_BOOTTIME: rises steadily, also while suspended; leases are counted on it."""
        ...

    def now(self) -> float:
        """Unix time, for people to read; no decision depends on it."""
        ...

    def spent(self) -> float:
        """CPU time of the calling thread, the kernel's work for it included: it does not rise
        while other processes have the cores.
        """
        ...


class SystemClock:
    """The machine's own clocks."""

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def now(self) -> float:
        return time.time()

    def spent(self) -> float:
        return time.thread_time()


class ManualClock:
    """A clock that stands still until ``advance`` or ``work``."""

    def __init__(self, start: float = 1000.0) -> None:
        self._seconds = start
        self._spent = 0.0

    def boottime(self) -> float:
        return self._seconds

    def now(self) -> float:
        return self._seconds + 1_700_000_000

    def spent(self) -> float:
        return self._spent

    def advance(self, seconds: float) -> None:
        """Time goes by."""
        self._seconds += seconds

    def work(self, seconds: float) -> None:
        """The thread works, and as much time goes by."""
        self._spent += seconds
        self._seconds += seconds
