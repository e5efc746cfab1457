"""Faults at random times under a load of guests that start, stop, move and change; the same again
for the same seed, as far as threads and kernels let it.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

from tests.faults.ground import CONFIGURED, OVERLAY, UPLINK, Ground
from tests.faults.stormy_edge import LEASE, StormyEdge
from tests.faults.stormy_host import EMPTY, StormyHost
from tests.faults.verdict import amiss, assert_always, left_to_others
from tests.host.making import mac
from zthook.hypervisor.contract import Happened
from zthook.model.guests import GuestState

HOSTS, GUESTS = 3, 12
RUN_AT_THE_END = 8
PUBLICS = [f"203.0.113.{number}" for number in range(10, 17)] + [str(CONFIGURED)]
SETTLES_SECONDS = 20.0
"""After a storm everything is as it should be within this time."""
REPAIRS_SECONDS = 5.0
"""Within this time agents have put right what others did to their kernels, with room to spare."""
PAUSE_SECONDS = 0.04
LOADS_A_FAULT = 2

DOMAIN = """
<domain type='qemu'>
  <name>web{number}</name><uuid>{uuid}</uuid>
  <metadata>{annotation}</metadata>
  <devices>
    <interface type='network'><mac address='{mac}'/><source network='default'/></interface>
  </devices>
</domain>"""
LAST = (
    "edge's rules flushed",
    "edge's routes flushed",
    "edge's answers for addresses removed",
    "edge's forwarding off",
    "host's rules flushed",
    "host's routes flushed",
    "host's policy rules flushed",
)
"""What others do at the end of each storm, to all machines."""
PUBLISH = "<zthook:publish xmlns:zthook='urn:zthook:1'>{addresses}</zthook:publish>"
ADDRESSES = (
    "<zthook:address public='PUBLIC'/>",
    "<zthook:address public='PUBLIC'/>",
    "<zthook:address public='PUBLIC' required='yes'/>",
    "<zthook:address public='PUBLIC' egress='public'/>",
    "<zthook:address public='PUBLIC' client='hide'/>",
    "<zthook:address public='PUBLIC' mode='routed'/>",
    "<zthook:address public='PUBLIC'><zthook:port protocol='tcp' listen='80' target='8080'/>"
    "</zthook:address>",
    "<zthook:address public='PUBLIC'><zthook:port protocol='tcp' listen='PORT'/>"
    "<zthook:allow source='198.51.100.0/24'/></zthook:address>",
    "<zthook:address public='auto' pool='auto'/>",
)
WRONG = "<zthook:address public='203.0.113.300'/>"


@dataclass
class Counts:
    """What was done, and what came of it."""

    faults: Counter[str] = field(default_factory=Counter)
    loads: Counter[str] = field(default_factory=Counter)
    refused_starts: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    settled: list[float] = field(default_factory=list)

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
                host.lease(number, IPv4Address(f"192.168.122.{100 + number}"))

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
        kind = self.chance.random()
        some = [self.chance.choice(ADDRESSES)]
        if kind >= 0.8:  # a guest's own connections leave by one address at most
            some.append(self.chance.choice([one for one in ADDRESSES if "egress" not in one]))
        addresses = WRONG if kind < 0.05 else "".join(some)
        addresses = addresses.replace("PUBLIC", "{}").replace("PORT", "443")
        while "{}" in addresses:
            addresses = addresses.replace("{}", self.chance.choice(PUBLICS), 1)
        annotation = PUBLISH.format(addresses=addresses) if kind < 0.95 else ""
        domain = DOMAIN.format(
            number=number, uuid=UUID(int=number), mac=mac(number), annotation=annotation
        )
        return domain.encode()

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
        """DHCP gives it another address, which nobody else ever has."""
        number = self.chance.randrange(1, GUESTS + 1)
        address = IPv4Address(f"192.168.122.{self.chance.choice((100, 150, 200)) + number}")
        for host in self.hosts:
            host.lease(number, address)
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
        began = time.monotonic()
        while wrong := amiss(self):
            if time.monotonic() - began > SETTLES_SECONDS:
                raise AssertionError(f"not within {SETTLES_SECONDS:.0f} s: " + "; ".join(wrong))
            time.sleep(0.1)
            self._revive()
        seconds = time.monotonic() - began
        self._flush_all()
        time.sleep(REPAIRS_SECONDS)  # for the daemons: a look of ours mends what it finds
        wrong = [*amiss(self), *left_to_others(self)]
        assert not wrong, wrong
        self.counts.settled.append(seconds)
        return seconds

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


Fault = Callable[[Storm, StormyHost], None]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    def keep(act: Fault) -> Fault:
        FAULTS[name] = act
        return act

    return keep


@fault("edge killed")
def _(storm: Storm, _host: StormyHost) -> None:
    storm.edge.kill()


@fault("edge dies at a step")
def _(storm: Storm, _host: StormyHost) -> None:
    storm.edge.fate.end_at(storm.chance.randrange(12))


@fault("edge reboots")
def _(storm: Storm, _host: StormyHost) -> None:
    storm.edge.kill()
    storm.ground.edge.shell(
        f"{EMPTY}\nip route flush proto 123\nip neigh flush proxy\n"
        f"echo 0 >/proc/sys/net/ipv4/conf/{OVERLAY}/forwarding\n"
        f"echo 0 >/proc/sys/net/ipv4/conf/{UPLINK}/forwarding\n"
    )
    storm.edge.start()


@fault("edge's rules flushed")
def _(storm: Storm, _host: StormyHost) -> None:
    storm.ground.edge.shell("nft flush ruleset")


@fault("edge's table deleted")
def _(storm: Storm, _host: StormyHost) -> None:
    storm.ground.edge.shell("nft delete table inet zthook")


@fault("edge's routes flushed")
def _(storm: Storm, _host: StormyHost) -> None:
    storm.ground.edge.shell("ip route flush proto 123")


@fault("edge's policy rules flushed")
def _(storm: Storm, _host: StormyHost) -> None:
    storm.ground.edge.shell(
        "ip rule flush; ip rule add pref 32766 table main; ip rule add pref 32767 table default"
    )


@fault("edge's connections flushed")
def _(storm: Storm, _host: StormyHost) -> None:
    storm.ground.edge.shell("conntrack -F")


@fault("edge's answers for addresses removed")
def _(storm: Storm, _host: StormyHost) -> None:
    storm.ground.edge.shell(
        f"ip neigh show proxy | while read -r a _; do ip neigh del proxy $a dev {UPLINK}; done"
    )


@fault("edge's forwarding off")
def _(storm: Storm, _host: StormyHost) -> None:
    storm.ground.edge.shell(f"echo 0 >/proc/sys/net/ipv4/conf/{OVERLAY}/forwarding")


@fault("edge's overlay away and back")
def _(storm: Storm, _host: StormyHost) -> None:
    storm.ground.unplug(storm.ground.edge)
    time.sleep(storm.chance.uniform(0, 0.3))
    storm.ground.plug(storm.ground.edge)
    storm.ground.know_each_other(storm.ground.edge)


@fault("store full")
def _(storm: Storm, _host: StormyHost) -> None:
    _store(storm, "full")


@fault("store read-only")
def _(storm: Storm, _host: StormyHost) -> None:
    _store(storm, "read-only")


def _store(storm: Storm, how: str) -> None:
    if storm.edge.up:
        storm.edge.store_refuses(how)
        storm.later(lambda: storm.edge.up and storm.edge.store_refuses(""))


@fault("clock set hours ahead")
def _(storm: Storm, _host: StormyHost) -> None:
    storm.edge.clock.ahead += storm.chance.uniform(3600, 12 * 3600)


@fault("clock set hours back")
def _(storm: Storm, _host: StormyHost) -> None:
    storm.edge.clock.ahead -= storm.chance.uniform(3600, 12 * 3600)


@fault("agent killed")
def _(_storm: Storm, host: StormyHost) -> None:
    host.kill_agent()


@fault("agent dies at a step")
def _(storm: Storm, host: StormyHost) -> None:
    if host.alive:
        host.post.fate.end_at(storm.chance.randrange(8))


@fault("host reboots")
def _(_storm: Storm, host: StormyHost) -> None:
    host.reboot()


@fault("host's rules flushed")
def _(_storm: Storm, host: StormyHost) -> None:
    host.place.shell("nft flush ruleset")


@fault("host's routes flushed")
def _(_storm: Storm, host: StormyHost) -> None:
    host.place.shell("ip route flush table 12300; ip route flush table 12301")


@fault("host's policy rules flushed")
def _(_storm: Storm, host: StormyHost) -> None:
    host.place.shell(
        "ip rule flush; ip rule add pref 32766 table main; ip rule add pref 32767 table default"
    )


@fault("host's connections flushed")
def _(_storm: Storm, host: StormyHost) -> None:
    host.place.shell("conntrack -F")


@fault("host's overlay away and back")
def _(storm: Storm, host: StormyHost) -> None:
    storm.ground.unplug(host.place)
    time.sleep(storm.chance.uniform(0, 0.3))
    storm.ground.plug(host.place)


@fault("host partitioned")
def _(storm: Storm, host: StormyHost) -> None:
    host.post.mute = host.post.deaf = True
    storm.later(host.post.calm)


@fault("host not heard")
def _(storm: Storm, host: StormyHost) -> None:
    host.post.mute = True
    storm.later(host.post.calm)


@fault("host hears nothing")
def _(storm: Storm, host: StormyHost) -> None:
    host.post.deaf = True
    storm.later(host.post.calm)


@fault("host silent for a lease")
def _(storm: Storm, host: StormyHost) -> None:
    host.post.mute = host.post.deaf = True
    time.sleep(LEASE / 2)
    storm.later(host.post.calm)


@fault("messages lost")
def _(storm: Storm, host: StormyHost) -> None:
    host.post.lost = 0.3
    storm.later(host.post.calm)


@fault("messages late")
def _(storm: Storm, host: StormyHost) -> None:
    host.post.late = 0.3
    storm.later(host.post.calm)


@fault("messages doubled")
def _(storm: Storm, host: StormyHost) -> None:
    host.post.doubled = 0.3
    storm.later(host.post.calm)


@fault("libvirt hangs")
def _(storm: Storm, host: StormyHost) -> None:
    host.libvirt("hang")
    storm.later(lambda: host.libvirt("recover"))


@fault("libvirt away")
def _(storm: Storm, host: StormyHost) -> None:
    host.libvirt("disconnect")
    storm.later(lambda: host.libvirt("reconnect"))


@contextmanager
def storming(folder: Path, seed: int) -> Iterator[Storm]:
    """A storm on ground of its own, that leaves nothing."""
    with Ground(HOSTS) as ground:
        storm = Storm(ground, folder, seed)
        try:
            yield storm
        finally:
            storm.close()
