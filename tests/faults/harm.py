"""A lab in which things go wrong: what a storm over it has, and the faults by their names."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.lab.disk import Disk
from tests.lab.host import Host
from tests.lab.lab import Lab

SETTLES_SECONDS = 60.0
"""After a storm everything is as it should be within this time."""


@dataclass
class LabCounts:
    """What was done, and how long it took to settle."""

    faults: Counter[str] = field(default_factory=Counter)
    loads: Counter[str] = field(default_factory=Counter)
    settled: list[float] = field(default_factory=list)


def seconds_until_none(wrong: Callable[[], Iterable[str]]) -> float:
    """How long it took until nothing was wrong any more. AssertionError: too long."""
    began = time.monotonic()
    while found := list(wrong()):
        if time.monotonic() - began > SETTLES_SECONDS:
            raise AssertionError(f"not within {SETTLES_SECONDS:.0f} s: " + "; ".join(found))
        time.sleep(0.1)
    return time.monotonic() - began


class Havoc:
    """A lab in which things go wrong, the same again for the same seed.

    ``without_libvirt`` are the hosts whose libvirtd hangs, ``rough`` the machines on whose
    stretch of the overlay frames are overtaken and doubled; ``relayed`` counts these. The edge's
    store is on a ``disk`` of its own, which is ``read_only`` for a while; then the edge's daemon
    may not run at all.
    """

    def __init__(self, lab: Lab, disk: Disk, seed: int) -> None:
        self.lab = lab
        self.disk = disk
        self.hosts = list(lab.hosts.values())
        self.chance = random.Random(seed)  # noqa: S311 - the same storm again
        self.counts = LabCounts()
        self.without_libvirt: set[Host] = set()
        self.rough: set[str] = set()
        self.relayed: Counter[str] = Counter()
        self.read_only = False
        self._ends: list[Callable[[], object]] = []

    def later(self, end: Callable[[], object]) -> None:
        """Have what goes wrong end in this way, in its turn."""
        self._ends.append(end)

    def end_one(self) -> None:
        """What lasts longest is over, if anything lasts."""
        if self._ends:
            self._ends.pop(0)()

    def end_all(self) -> None:
        """All is over."""
        while self._ends:
            self.end_one()

    def strike(self, names: Sequence[str]) -> None:
        """One of these goes wrong, on one of the hosts if it is a host's."""
        (what,) = self.chance.choices(names, [WEIGHTS.get(name, 4) for name in names])
        if FAULTS[what](self, self.chance.choice(self.hosts)) is not SKIPPED:
            self.counts.faults[what] += 1

    def settle(self) -> float:
        """All faults end; how long it took until all was right. AssertionError: it was not."""
        self.end_all()
        self.counts.settled.append(seconds_until_none(self.amiss))
        return self.counts.settled[-1]

    def amiss(self) -> Iterator[str]:
        """What is not as it should be."""
        raise NotImplementedError

    def stop_guests(self, host: Host) -> None:
        """The host's power is gone, and its guests with it."""


SKIPPED = object()
Fault = Callable[[Havoc, Host], object]
FAULTS: dict[str, Fault] = {}
WEIGHTS = {
    "edge reboots": 1, "host reboots": 1, "libvirtd killed": 1, "libvirtd restarted": 1,
    "dnsmasq killed": 1, "libvirtd hangs": 2, "store's disk read-only": 2,
}  # fmt: skip
"""What takes seconds comes less often."""


def fault(name: str) -> Callable[[Fault], Fault]:
    def keep(act: Fault) -> Fault:
        FAULTS[name] = act
        return act

    return keep
