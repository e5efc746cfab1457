"""A storm over a whole lab: real libvirtds with guests, the daemons as users run them, packets."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from tests.end_to_end.conftest import enrol, set_leases
from tests.end_to_end.test_live_edits import live
from tests.faults.harm import Havoc
from tests.faults.lab_havoc import FAULTS
from tests.faults.lab_verdict import kernels, reached, told
from tests.lab.commands import LabError
from tests.lab.disk import Disk
from tests.lab.domain import Setup, annotation
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.stand_in import StandIn

LEASE, GRACE = 10, 20
PUBLICS = [f"203.0.113.{number}" for number in range(10, 18)]
UNUSED = "203.0.113.29"
LOADS_A_FAULT = 1


class LabStorm(Havoc):
    """Two hosts with four guests each. ``wants`` is what those that run are annotated with."""

    def __init__(self, lab: Lab, disk: Disk, seed: int) -> None:
        super().__init__(lab, disk, seed)
        self.wants: dict[str, str] = {}
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

    def stop_guests(self, host: Host) -> None:
        for guest in self.guests:
            if guest.host is host:
                self.wants.pop(guest.name, None)
                guest.body.ip("link set eth0 down")

    def blow(self, faults: int) -> None:
        """So many, with the load between them."""
        until = self.counts.faults.total() + faults
        while self.counts.faults.total() < until:
            for _ in range(LOADS_A_FAULT):
                self.load()
            if self.chance.random() < 0.6:
                self.end_one()
            self.strike(sorted(FAULTS))
            time.sleep(self.chance.uniform(0, 0.1))

    # What is so.

    def amiss(self) -> Iterator[str]:
        """What is not as it should be, as the client of the internet and the screens see it."""
        try:
            rows: list[dict[str, Any]] = self.lab.edge.daemon.asked("mappings")
            status = self.lab.edge.daemon.asked("status")
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
        yield from reached(self.lab, (*PUBLICS, UNUSED), active)
        yield from kernels(self.lab, self.guests, list(active.values()))
        for host in self.hosts:
            yield from told(host, [row for row in rows if row["host"] == host.name])


@contextmanager
def lab_storming(seed: int) -> Iterator[LabStorm]:
    """A storm in a lab of its own, that leaves nothing."""
    with ExitStack() as opened:
        lab = opened.enter_context(Lab())
        disk = lab.edge.give_disk()
        lab.edge.daemon.init({"hk": "203.0.113.10-203.0.113.29"})
        set_leases(lab, LEASE, GRACE)
        lab.edge.daemon.start()
        for host in lab.hosts.values():
            enrol(lab, host)
        yield LabStorm(lab, disk, seed)
