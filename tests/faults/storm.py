"""Faults at random times under a load of guests that start, stop, move and change; the same again
for the same seed, as far as threads and kernels let it.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from tests.faults.domains import GUESTS, domain_xml, leased
from tests.faults.ground import Ground
from tests.faults.havoc import FAULTS
from tests.faults.stormy_edge import StormyEdge
from tests.faults.stormy_host import StormyHost
from tests.faults.verdict import amiss, assert_always, left_to_others, mappings
from zthook.hypervisor.contract import Happened
from zthook.model.guests import GuestState

HOSTS = 3
RUN_AT_THE_END = 8
SETTLES_SECONDS = 40.0
"""After a storm everything is as it should be within this time: what the kernel tells nobody waits
for a pass of the edge, which keeps a distance of ``zthook.edge.passes.SHARE`` times its own CPU
time."""
REPAIRS_SECONDS = 5.0
"""Within this time agents have put right what others did to their kernels, with room to spare."""
PAUSE_SECONDS = 0.04
LOADS_A_FAULT = 2

LAST = (
    "edge's rules flushed",
    "edge's routes flushed",
    "edge's answers for addresses removed",
    "edge's forwarding off",
    "edge's IPv6 forwarding off",
    "edge's pinned neighbours flushed",
    "host's rules flushed",
    "host's routes flushed",
    "host's policy rules flushed",
    "host's pinned neighbour flushed",
    "host's IPv6 forwarding off",
)
"""What others do at the end of each storm, to all machines."""


@dataclass
class Counts:
    """What was done, and what came of it."""

    faults: Counter[str] = field(default_factory=Counter)
    loads: Counter[str] = field(default_factory=Counter)
    refused_starts: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    settled: list[float] = field(default_factory=list)
    with_ipv6: list[int] = field(default_factory=list)
    """How many mappings of IPv6 there were, each time that it had settled."""
    repaired: list[float] = field(default_factory=list)
    """How long after the flush that follows all was right again."""

    @property
    def lives(self) -> int:
        """Life cycles of guests: as often as one was started."""
        return self.loads["start"]


class Storm:
    """An edge and three hosts on kernels of their own: ``blow`` some faults, then ``settle``."""

    def __init__(self, ground: Ground, folder: Path, seed: int) -> None:
        self.counts = Counts()
        self.ground = ground
        self._to_end: list[Callable[[], object]] = []
        self.chance = random.Random(seed)  # noqa: S311 - the same storm again
        self.edge = StormyEdge(ground.edge, folder)
        self.edge.start()
        self.hosts: list[StormyHost] = []
        for name, place in ground.hosts.items():
            own = folder / name
            own.mkdir()
            chance = random.Random(f"{seed}-{name}")  # noqa: S311
            self.hosts.append(StormyHost(name, place, self.edge, own, chance))
        for host in self.hosts:
            host.start_agent()
        for number in range(1, GUESTS + 1):
            for host in self.hosts:
                host.lease(number, leased(number, 0))

    def close(self) -> None:
        """End all daemons."""
        for host in self.hosts:
            host.close()
        self.edge.kill()

    # The load.

    def load(self) -> None:
        """Something that people do."""
        kinds = {
            "start": 5, "stop": 3, "move": 3, "edit": 3, "lease": 1, "pause": 1, "resume": 1,
        }  # fmt: skip
        (what,) = self.chance.choices(list(kinds), list(kinds.values()))
        if getattr(self, f"_{what}")():
            self.counts.loads[what] += 1

    def _where(self) -> dict[UUID, StormyHost]:
        return {guest: host for host in self.hosts for guest in host.running}

    def _xml(self, number: int) -> bytes:
        return domain_xml(number, self.chance)

    def _start(self) -> bool:
        there = self._where()
        off = [one for one in range(1, GUESTS + 1) if UUID(int=one) not in there]
        if not off:
            return False
        started = self.chance.choice(self.hosts).start(self._xml(self.chance.choice(off)))
        self.counts.refused_starts += not started
        return started

    def _one(self) -> tuple[UUID, StormyHost] | None:
        there = sorted(self._where().items())
        return self.chance.choice(there) if there else None

    def _stop(self) -> bool:
        if one := self._one():
            one[1].stop(one[0])
        return one is not None

    def _move(self) -> bool:
        """Live: it arrives, runs there, and then the source sees that it has gone."""
        one = self._one()
        if one is None:
            return False
        guest, source = one
        target = self.chance.choice([host for host in self.hosts if host is not source])
        domain, _ = source.running[guest]
        target.arrive(domain, source.xml[guest])
        if self.chance.random() < 0.1:  # it fails, and goes on where it was
            target.stop(guest)
            return True
        target.put(guest, GuestState.RUNNING)
        source.stop(guest, Happened.MIGRATED)
        return True

    def _edit(self) -> bool:
        if one := self._one():
            one[1].edit(self._xml(one[0].int))
        return one is not None

    def _lease(self) -> bool:
        """DHCP gives it other addresses, which nobody else ever has."""
        number = self.chance.randrange(1, GUESTS + 1)
        addresses = leased(number, self.chance.randrange(3))
        for host in self.hosts:
            host.lease(number, addresses)
        return True

    def _pause(self) -> bool:
        if one := self._one():
            one[1].put(one[0], GuestState.PAUSED)
        return one is not None

    def _resume(self) -> bool:
        if one := self._one():
            one[1].put(one[0], GuestState.RUNNING)
        return one is not None

    # The faults.

    def fault(self) -> None:
        """Something goes wrong; what lasts is over some faults later."""
        over, self._to_end = self._to_end[:1], self._to_end[1:]
        for end in over if self.chance.random() < 0.7 else ():
            end()
        host = self.chance.choice(self.hosts)
        what = self.chance.choice(sorted(FAULTS))
        FAULTS[what](self, host)
        self.counts.faults[what] += 1

    def later(self, end: Callable[[], object]) -> None:
        """Have what goes wrong end in this way, in its turn."""
        self._to_end.append(end)

    def blow(self, faults: int) -> None:
        """So many, with the load between them; what must always hold is looked at as well."""
        for number in range(faults):
            for _ in range(LOADS_A_FAULT):
                self.load()
            self.fault()
            time.sleep(self.chance.uniform(0, PAUSE_SECONDS))
            self._revive()
            if number % 5 == 0 and self.edge.up:
                assert_always(self)

    def _revive(self) -> None:
        """What has died is started again, as systemd does."""
        if not self.edge.up:
            self.edge.kill()
            self.edge.start()
        for host in self.hosts:
            if not host.alive:
                host.start_agent()

    def settle(self) -> float:
        """All faults end; how long it took until all was right. AssertionError: it was not."""
        self._fill()
        self._end_all()
        seconds = self._await_right(SETTLES_SECONDS)
        self.counts.settled.append(seconds)
        rows = self.edge.within(lambda: mappings(self.edge, self.edge.sqlite.claims()))
        self.counts.with_ipv6.append(sum(one.public.version == 6 for one in rows))
        self._flush_all()
        time.sleep(REPAIRS_SECONDS)  # for the agents: a look of ours mends what it finds
        self.counts.repaired.append(REPAIRS_SECONDS + self._await_right(SETTLES_SECONDS))
        left = left_to_others(self)
        assert not left, left
        return seconds

    def _await_right(self, within: float) -> float:
        began = time.monotonic()
        while wrong := amiss(self):
            if time.monotonic() - began > within:
                raise AssertionError(f"not within {within:.0f} s: " + "; ".join(wrong))
            time.sleep(0.1)
            self._revive()
        return time.monotonic() - began

    def end(self) -> float:
        """All guests stop; how long it took until nothing of any was left anywhere."""
        for guest, host in self._where().items():
            host.stop(guest)
        return self._await_right(SETTLES_SECONDS)

    def _fill(self) -> None:
        """Enough guests run at the end, however many the storm took."""
        for _ in range(3 * GUESTS):
            if len(self._where()) >= RUN_AT_THE_END:
                break
            self.counts.loads["start"] += self._start()

    def _flush_all(self) -> None:
        """Once more, as no change comes after it: only those who look see it."""
        for what in LAST:
            for host in self.hosts if what.startswith("host") else self.hosts[:1]:
                FAULTS[what](self, host)
                self.counts.faults[what] += 1

    def _end_all(self) -> None:
        self._to_end.clear()
        for host in self.hosts:
            host.post.calm()
            host.post.fate.end_at(None) if host.alive else None
            host.libvirt("reconnect")
            host.libvirt("recover")
        self._revive()
        self.edge.fate.end_at(None)
        self.edge.store_refuses("")

    def count_messages(self) -> None:
        """Add what the post did."""
        for host in self.hosts:
            self.counts.messages.update(host.post.counts)


@contextmanager
def storming(folder: Path, seed: int) -> Iterator[Storm]:
    """A storm on ground of its own, that leaves nothing."""
    with Ground(HOSTS) as ground:
        storm = Storm(ground, folder, seed)
        try:
            yield storm
        finally:
            storm.close()
