"""A storm over a whole lab: real libvirtds with guests, the daemons as users run them, packets."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.end_to_end.conftest import enrol, set_leases
from tests.end_to_end.seen import answering
from tests.end_to_end.test_live_edits import live
from tests.lab.commands import LabError
from tests.lab.domain import Setup, annotation
from tests.lab.edge import plug_name
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.stand_in import StandIn

LEASE, GRACE = 10, 20
SETTLES_SECONDS = 60.0
"""After a storm everything is as it should be within this time."""
PUBLICS = [f"203.0.113.{number}" for number in range(10, 18)]
UNUSED = "203.0.113.29"
LOADS_A_FAULT = 1
NEXT_START = "waits for the guest's next start"


@dataclass
class LabCounts:
    """What was done, and how long it took to settle."""

    faults: Counter[str] = field(default_factory=Counter)
    loads: Counter[str] = field(default_factory=Counter)
    settled: list[float] = field(default_factory=list)


class LabStorm:
    """Two hosts with four guests each. ``wants`` is what those that run are annotated with."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.lab = lab
        self.hosts = list(lab.hosts.values())
        self.chance = random.Random(seed)  # noqa: S311 - the same storm again
        self.counts = LabCounts()
        self.wants: dict[str, str] = {}
        self.without_libvirt: set[Host] = set()
        self._ends: list[Callable[[], object]] = []
        self.guests = [
            self._define(host, number)
            for number, host in enumerate((*self.hosts, *self.hosts, *self.hosts, *self.hosts))
        ]

    def _define(self, host: Host, number: int) -> StandIn:
        guest = host.stand_in(f"web{number}", annotation=annotation(PUBLICS[number]))
        guest.start()
        guest.wait_ready()
        self.wants[guest.name] = PUBLICS[number]
        # Its lease lasts: the next time it takes the same address by itself, at once.
        setup = Setup(f"{guest.address}/24", str(host.home.guests[1]))
        guest.domain = replace(guest.domain, setup=setup)
        return guest

    # The load.

    def load(self) -> None:
        """Something that people do, where libvirt answers them."""
        some = [one for one in self.guests if one.host not in self.without_libvirt]
        if not some:
            return
        guest = self.chance.choice(some)
        if guest.name not in self.wants:
            what = "start"
        else:
            what = self.chance.choice(("stop", "annotate", "annotate", "annotate with another's"))
        getattr(self, "_" + what.split()[0])(guest, what)
        self.counts.loads[what] += 1

    def _start(self, guest: StandIn, _what: str) -> None:
        """Nothing may keep it from starting: LabError where something does."""
        guest.start()
        guest.wait_ready()
        self.wants[guest.name] = PUBLICS[self.guests.index(guest)]

    def _stop(self, guest: StandIn, _what: str) -> None:
        guest.destroy()
        del self.wants[guest.name]

    def _annotate(self, guest: StandIn, what: str) -> None:
        """Its own address or one that another may have, in one way or another."""
        own = PUBLICS[self.guests.index(guest)]
        public = self.chance.choice(PUBLICS) if "another" in what else own
        how = self.chance.choice(({}, {"client": "hide"}, {"egress": "public"}, {"mode": "routed"}))
        live(guest, annotation(public, **how))
        self.wants[guest.name] = public

    # The faults.

    def later(self, end: Callable[[], object]) -> None:
        """Have what goes wrong end in this way, in its turn."""
        self._ends.append(end)

    def fault(self) -> None:
        """Something goes wrong; what lasts is over some faults later."""
        if self._ends and self.chance.random() < 0.6:
            self._ends.pop(0)()
        names = sorted(FAULTS)
        (what,) = self.chance.choices(names, [WEIGHTS.get(name, 4) for name in names])
        if FAULTS[what](self, self.chance.choice(self.hosts)) is not SKIPPED:
            self.counts.faults[what] += 1

    def blow(self, faults: int) -> None:
        """So many, with the load between them."""
        until = self.counts.faults.total() + faults
        while self.counts.faults.total() < until:
            for _ in range(LOADS_A_FAULT):
                self.load()
            self.fault()
            time.sleep(self.chance.uniform(0, 0.1))

    def settle(self) -> float:
        """All faults end; how long it took until all was right. AssertionError: it was not."""
        while self._ends:
            self._ends.pop(0)()
        began = time.monotonic()
        while wrong := list(self.amiss()):
            if time.monotonic() - began > SETTLES_SECONDS:
                raise AssertionError(f"not within {SETTLES_SECONDS:.0f} s: " + "; ".join(wrong))
            time.sleep(0.2)
        seconds = time.monotonic() - began
        self.counts.settled.append(seconds)
        return seconds

    # What is so.

    def amiss(self) -> Iterator[str]:
        """What is not as it should be, as the client of the internet and the screens see it."""
        try:
            rows: list[dict[str, Any]] = self.lab.edge.daemon.json("edge", "mappings")
            status = self.lab.edge.daemon.json("edge", "status")
        except LabError as error:
            yield str(error)
            return
        if status["problems"]:
            yield f"the edge names {status['problems']}"
        claimed = sorted((row["guest"], row["public"]) for row in rows)
        if claimed != sorted(self.wants.items()):
            yield f"claimed is {claimed}, wanted {self.wants}"
        active = {row["public"]: row for row in rows if row["state"] == "active"}
        if active.keys() != set(self.wants.values()):
            yield f"active are {sorted(active)}, wanted {self.wants}"
        others = [row for row in rows if row["state"] not in {"active", "conflict"}]
        if others or len(active) != sum(row["state"] == "active" for row in rows):
            yield f"the edge says {others or rows}"
        yield from self._reached(active)
        yield from self._kernels(list(active.values()))
        for host in self.hosts:
            yield from self._told(host, [row for row in rows if row["host"] == host.name])

    def _reached(self, active: dict[str, dict[str, Any]]) -> Iterator[str]:
        for public in (*PUBLICS, UNUSED):
            expected = active[public]["guest"] if public in active else ""
            if (found := answering(self.lab, public)) != expected:
                yield f"{found or 'nobody'} answers at {public}, not {expected or 'nobody'}"

    def _kernels(self, active: list[dict[str, Any]]) -> Iterator[str]:
        """Routes are what mappings have in every mode: none lacks, and none is left."""
        routes = self.lab.edge.run("ip", "route", "show", "proto", "123").stdout.splitlines()
        there = {line.split()[0] for line in routes}
        needed = {row["public" if row["mode"] == "routed" else "private"] for row in active}
        if not needed <= there <= needed | {row["public"] for row in active}:
            yield f"the edge's routes are {sorted(there)}, needed {sorted(needed)}"
        for host in self.hosts:
            table = host.run("nft", "list", "table", "inet", "zthook_host", check=False).stdout
            mine = [row["private"] for row in active if row["host"] == host.name]
            guests = [one.address for one in self.guests if one.host is host]
            found = {one for one in guests if one in table}
            if found != set(mine):
                yield f"{host.name}'s table has {sorted(found)}, not {sorted(mine)}"

    @staticmethod
    def _told(host: Host, rows: list[dict[str, Any]]) -> Iterator[str]:
        try:
            status = host.agent.json("status")
        except LabError as error:
            yield str(error)
            return
        said = sorted(
            (row["guest"], row["public"], row["state"])
            for row in status["mappings"]
            if NEXT_START not in row["reason"]  # what was changed live only
        )
        if said != sorted((row["guest"], row["public"], row["state"]) for row in rows):
            yield f"{host.name} is told {said}"
        if status["faults"]:
            yield f"{host.name} names {status['faults']}"


SKIPPED = object()
Fault = Callable[[LabStorm, Host], object]
FAULTS: dict[str, Fault] = {}
WEIGHTS = {
    "edge reboots": 1, "host reboots": 1, "libvirtd killed": 1, "libvirtd restarted": 1,
    "dnsmasq killed": 1, "libvirtd hangs": 2, "host's ruleset flushed": 1,
}  # fmt: skip
"""What takes seconds comes less often."""


def fault(name: str) -> Callable[[Fault], Fault]:
    def keep(act: Fault) -> Fault:
        FAULTS[name] = act
        return act

    return keep


# The edge's daemon and machine.


@fault("edge killed")
def _(storm: LabStorm, _host: Host) -> None:
    daemon = storm.lab.edge.daemon
    daemon.kill()
    daemon.start()


@fault("edge restarted")
def _(storm: LabStorm, _host: Host) -> None:
    storm.lab.edge.daemon.resume()
    storm.lab.edge.daemon.restart()


@fault("edge hangs")
def _(storm: LabStorm, _host: Host) -> None:
    storm.lab.edge.daemon.hang()
    storm.later(lambda: storm.lab.edge.daemon.resume())


@fault("edge reboots")
def _(storm: LabStorm, _host: Host) -> None:
    storm.lab.edge.reboot()
    storm.lab.edge.daemon.start()


@fault("store full")
def _(storm: LabStorm, _host: Host) -> None:
    """Files may not grow beyond a kilobyte: what SQLite writes ahead can not be written."""
    _limit(storm, "1024")
    storm.later(lambda: _limit(storm, "unlimited"))


def _limit(storm: LabStorm, size: str) -> None:
    pid = storm.lab.edge.daemon.process.pid
    storm.lab.edge.run("prlimit", "--pid", pid, f"--fsize={size}:unlimited", check=False)


# The agents.


@fault("agent killed")
def _(_storm: LabStorm, host: Host) -> None:
    host.agent.kill()
    host.agent.start()


@fault("agent restarted")
def _(_storm: LabStorm, host: Host) -> None:
    host.agent.resume()
    host.agent.restart()


@fault("agent hangs")
def _(storm: LabStorm, host: Host) -> None:
    host.agent.hang()
    storm.later(host.agent.resume)


# libvirt.


@fault("libvirtd hangs")
def _(storm: LabStorm, host: Host) -> object:
    if host in storm.without_libvirt:
        return SKIPPED
    host.libvirtd.hang()
    storm.without_libvirt.add(host)
    storm.later(lambda: _libvirtd_answers(storm, host))
    return None


def _libvirtd_answers(storm: LabStorm, host: Host) -> None:
    host.libvirtd.resume()
    storm.without_libvirt.discard(host)


@fault("libvirtd killed")
def _(storm: LabStorm, host: Host) -> None:
    host.libvirtd.kill()
    host.libvirtd.start()
    storm.without_libvirt.discard(host)


@fault("libvirtd restarted")
def _(storm: LabStorm, host: Host) -> None:
    _libvirtd_answers(storm, host)
    host.libvirtd.restart()


@fault("dnsmasq killed")
def _(storm: LabStorm, host: Host) -> None:
    """libvirtd starts it again when it is started itself."""
    pid = host.place("/run/libvirt") / "network" / "default.pid"
    host.run("sh", "-c", f"kill -9 $(cat {pid})", check=False)
    _libvirtd_answers(storm, host)
    host.libvirtd.restart()


@fault("host reboots")
def _(storm: LabStorm, host: Host) -> None:
    for guest in storm.guests:
        if guest.host is host:
            storm.wants.pop(guest.name, None)
            guest.body.ip("link set eth0 down")
    host.lose_power()
    host.libvirtd.start()
    host.agent.start()
    storm.without_libvirt.discard(host)


# What others do to kernels.

SCRIPTS = {
    "rules flushed": ("edge", "nft flush ruleset"),
    "table deleted": ("edge", "nft delete table inet zthook"),
    "routes flushed": ("edge", "ip route flush proto 123"),
    "answers for addresses removed": (
        "edge",
        "ip neigh show proxy | while read -r one _; do ip neigh del proxy $one dev uplink0; done",
    ),
    "forwarding off": ("edge", "echo 0 >/proc/sys/net/ipv4/conf/overlay0/forwarding"),
    "connections flushed": ("edge", "conntrack -F"),
    "host's table deleted": ("host", "nft delete table inet zthook_host"),
    "host's routes flushed": ("host", "ip route flush table 12300"),
    "host's policy rules deleted": ("host", "while ip rule del pref 12300; do :; done"),
    "host's connections flushed": ("host", "conntrack -F"),
    "host's neighbours flushed": ("host", "ip neigh flush dev overlay0"),
}


def _script(where: str, script: str) -> Fault:
    def act(storm: LabStorm, host: Host) -> None:
        machine = storm.lab.edge if where == "edge" else host
        machine.run("sh", "-c", script, check=False)

    return act


FAULTS |= {name: _script(*told) for name, told in SCRIPTS.items()}


# The overlay and the lines.


@fault("edge's overlay away and back")
def _(storm: LabStorm, _host: Host) -> None:
    with storm.lab.without_overlay(storm.lab.edge):
        time.sleep(storm.chance.uniform(0, 0.5))


@fault("host's overlay away and back")
def _(storm: LabStorm, host: Host) -> None:
    with storm.lab.without_overlay(host):
        time.sleep(storm.chance.uniform(0, 0.5))


@fault("host cut off")
def _(storm: LabStorm, host: Host) -> None:
    storm.lab.cut_overlay(host.name)
    storm.later(lambda: storm.lab.mend_overlay(host.name))


@fault("host not heard")
def _(storm: LabStorm, host: Host) -> None:
    _weather(storm, f'iifname "{plug_name(host.name, "overlay")}" drop')


@fault("host hears nothing")
def _(storm: LabStorm, host: Host) -> None:
    _weather(storm, f'oifname "{plug_name(host.name, "overlay")}" drop')


@fault("a fifth of the overlay's packets lost")
def _(storm: LabStorm, _host: Host) -> None:
    _weather(storm, "numgen random mod 100 < 20 drop")


WEATHER = """
table bridge weather {{
    chain over {{
        type filter hook forward priority 0
        {rule}
    }}
}}
"""


def _weather(storm: LabStorm, rule: str) -> None:
    """On the overlay itself, until it ends."""
    hub = storm.lab._hub
    hub.run("nft", "delete", "table", "bridge", "weather", check=False)
    hub.run("nft", "-f", "-", stdin=WEATHER.format(rule=rule))
    storm.later(lambda: hub.run("nft", "delete", "table", "bridge", "weather", check=False))


@fault("home line redials")
def _(_storm: LabStorm, host: Host) -> None:
    host.line.redial()


@contextmanager
def lab_storming(seed: int) -> Iterator[LabStorm]:
    """A storm in a lab of its own, that leaves nothing."""
    with ExitStack() as opened:
        lab = opened.enter_context(Lab())
        lab.edge.daemon.init({"hk": "203.0.113.10-203.0.113.29"})
        set_leases(lab, LEASE, GRACE)
        lab.edge.daemon.start()
        for host in lab.hosts.values():
            enrol(lab, host)
        yield LabStorm(lab, seed)
