"""Real guests that migrate while things go wrong: each is reached where it runs in the end."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from tests.end_to_end.conftest import enrol, set_leases
from tests.faults.harm import Havoc, seconds_until_none
from tests.faults.lab_havoc import FAULTS
from tests.faults.lab_storm import GRACE, LEASE
from tests.faults.lab_verdict import kernels, reached, told
from tests.lab.commands import LabError
from tests.lab.disk import Disk
from tests.lab.domain import address, annotation, publish
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab

LIBVIRT_SECONDS = 60.0
"""How long libvirt may take to end a migration, and to say of a guest where it runs."""
STRIKES_SECONDS = 1.2
"""The longest pause before a fault: the fastest migrations take two to three seconds."""
ANNOTATIONS = {
    "web": publish(address("203.0.113.10"), address("203.0.113.11", client="hide")),
    "routed": annotation("203.0.113.12", mode="routed"),
}
PUBLICS = {"web": ("203.0.113.10", "203.0.113.11"), "routed": ("203.0.113.12",)}
UNUSED = "203.0.113.13"
OFTEN = ("libvirtd killed", "libvirtd hangs", "agent killed", "agent hangs", "edge killed")
OTHERS = {"edge reboots", "host reboots", "dnsmasq killed", "libvirtd restarted"}
"""Guests do not outlive their host's power, and the others are in the storm over stand-ins."""
STRIKING = [*sorted(FAULTS.keys() - OTHERS), *OFTEN, *OFTEN]
SPEEDS = ((), ("--bandwidth", "16"), ("--bandwidth", "8"))
"""Of a migration: as fast as it can, or for some seconds more, so that faults come in between."""


class MigrationStorm(Havoc):
    """Two hosts with one subnet, and two guests that go from one to the other. ``answered``: how
    long after the faults the client was answered at every address.
    """

    def __init__(self, lab: Lab, disk: Disk, seed: int) -> None:
        super().__init__(lab, disk, seed)
        self.answered: list[float] = []
        self.guests = [
            host.define_guest(name, annotation=ANNOTATIONS[name])
            for name, host in zip(ANNOTATIONS, self.hosts, strict=True)
        ]
        for guest in self.guests:
            guest.start()
        for guest in self.guests:
            guest.wait_ready()

    def migrate(self, *, faults: int) -> str:
        """One guest migrates while so many things go wrong, which then end; what came of it.

        Returns once the guest runs on one host and nowhere else.
        """
        guest = self.chance.choice(self.guests)
        source = guest.host
        [there] = [host for host in self.hosts if host is not source]
        speed = self.chance.choice(SPEEDS)
        moving = threading.Thread(target=lambda: _migrate(guest, there, *speed))
        moving.start()
        for _ in range(faults):
            time.sleep(self.chance.uniform(0, STRIKES_SECONDS))
            self.strike(STRIKING)
        self.end_all()
        moving.join(LIBVIRT_SECONDS)
        assert not moving.is_alive(), "libvirt does not end the migration"
        outcome = self._find(guest)
        if not outcome:
            outcome = "it migrated" if guest.host is there else "it stayed"
        self.counts.loads[outcome] += 1
        return f"{guest.name} from {source.name}: {outcome}"

    def _find(self, guest: Guest) -> str:
        """Where it runs now, and alone; "" or what had to be done for that, as people do."""
        done = ""
        end = time.monotonic() + LIBVIRT_SECONDS
        while not self._runs_alone(guest):
            if time.monotonic() > end - LIBVIRT_SECONDS / 2 and not done:
                done = self._help(guest)
            assert time.monotonic() < end, f"{guest.name} is {self._states(guest)}"
            time.sleep(0.2)
        return done

    def _states(self, guest: Guest) -> dict[str, str]:
        """By host, where it is there and not off."""
        said = {
            host.name: host.run("virsh", "-q", "domstate", guest.name, check=False).stdout.strip()
            for host in self.hosts
        }
        return {name: state for name, state in said.items() if state not in {"", "shut off"}}

    def _runs_alone(self, guest: Guest) -> bool:
        states = self._states(guest)
        if list(states.values()) != ["running"]:
            return False
        [name] = states
        guest.host = self.lab[name]
        return True

    def _help(self, guest: Guest) -> str:
        """libvirt left it paused, or lost it: what its owner does then."""
        states = self._states(guest)
        print(f"    libvirt left {guest.name} as {states or 'off'}")
        if not states:
            defined = [h for h in self.hosts if guest.name in h.virsh("list", "--all", "--name")]
            guest.host = defined[0]
            guest.boot()
            return "it was off, and started anew"
        for name, state in list(states.items())[1:]:
            self.lab[name].virsh("destroy", guest.name)
            print(f"    destroyed where it was {state}")
        name = next(iter(states))
        self.lab[name].run("virsh", "-q", "resume", guest.name, check=False)
        return "it was left paused, and resumed by hand"

    def settle(self) -> float:
        """The same; ``answered`` has how long it took until the client had an answer."""
        self.end_all()
        self.answered.append(seconds_until_none(self._unanswered))
        return self.answered[-1] + super().settle()

    def _unanswered(self) -> Iterator[str]:
        wanted = {
            one: {"guest": guest.name} for guest in self.guests for one in PUBLICS[guest.name]
        }
        yield from reached(self.lab, wanted, wanted)

    def amiss(self) -> Iterator[str]:
        """What is not as it should be: each guest has its addresses where it runs, and no more."""
        try:
            rows: list[dict[str, Any]] = self.lab.edge.daemon.asked("mappings")
            problems = self.lab.edge.daemon.asked("status")["problems"]
        except LabError as error:
            yield str(error)
            return
        if problems:
            yield f"the edge names {problems}"
        said = sorted((row["public"], row["guest"], row["host"], row["state"]) for row in rows)
        wanted = sorted(
            (public, guest.name, guest.host.name, "active")
            for guest in self.guests
            for public in PUBLICS[guest.name]
        )
        if said != wanted:
            yield f"the edge says {said}, not {wanted}"
        active = {row["public"]: row for row in rows if row["state"] == "active"}
        yield from reached(self.lab, (*active, UNUSED), active)
        yield from kernels(self.lab, self.guests, list(active.values()))
        for host in self.hosts:
            yield from told(host, [row for row in rows if row["host"] == host.name])


def _migrate(guest: Guest, there: Host, *options: str) -> None:
    """As libvirt lets it: where it does not, the guest is looked for."""
    with suppress(LabError):
        guest.migrate(there, *options, check=False)


@contextmanager
def migrations(seed: int, *, group: bool) -> Iterator[MigrationStorm]:
    """A storm in a lab of its own, whose hosts are in one group or in none; it leaves nothing."""
    with ExitStack() as opened:
        lab = opened.enter_context(Lab(same_guest_network=True))
        disk = lab.edge.give_disk()
        lab.edge.daemon.init({"hk": "203.0.113.10-203.0.113.14"})
        set_leases(lab, LEASE, GRACE)
        lab.edge.daemon.start()
        for host in lab.hosts.values():
            enrol(lab, host, *(("--group", "homes") if group else ()))
        yield MigrationStorm(lab, disk, seed)
