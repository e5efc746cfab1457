"""What the owner of a guest waits for: its start, its first answer, the end of its last one.

Real libvirtds; the guests' packets are sent by stand-ins, so that no boot is measured. Beside
the host with hook and agent there is one with neither.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.home import PUBLICS, benched
from bench.measure import Candidate, Timing, interleaved, table
from tests.lab.beside import Beside
from tests.lab.commands import wait_until
from tests.lab.domain import annotation
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.stand_in import StandIn

PROBER = Path(__file__).with_name("prober.py")
ECHO = 7
SILENT_SECONDS = 0.5
"""An address that answered nothing for so long is taken for unreachable."""


class Answers(Beside):
    """Asks an echo all the time, always in one flow; when was it answered (Unix time, ns)?"""

    def __init__(self, machine: Machine, address: str) -> None:
        super().__init__(machine.entering([sys.executable, PROBER, address, ECHO]), "answers")

    def await_first(self) -> int:
        self.wait_counts(1, 20)
        return int(self.said["first"])

    def await_last(self) -> int:
        """The last one before a silence."""
        wait_until(
            lambda: time.time_ns() - self.said["last"] > SILENT_SECONDS * 1e9,
            20,
            "the answers end",
        )
        return int(self.said["last"])


def lease_written(guest: StandIn) -> int:
    """When its network's leases were written last."""
    status = guest.host.place("/var/lib/libvirt") / "dnsmasq" / "virbr0.status"
    return status.stat().st_mtime_ns


def starts(lab: Lab, rounds: int) -> str:
    """`virsh start` without a hook, with ours, and with ours and something to do."""
    guests = {
        "no hook": lab["home2"].stand_in("plain"),
        "zthook, guest without annotation": lab["home1"].stand_in("plain"),
        "zthook, annotated guest": lab["home1"].stand_in(
            "named", annotation=annotation(PUBLICS[0])
        ),
        "zthook, guest with required=yes": lab["home1"].stand_in(
            "required", annotation=annotation(PUBLICS[1], required="yes")
        ),
    }
    candidates = {
        what: Candidate(guest.start, lambda guest=guest: guest.virsh("destroy"))
        for what, guest in guests.items()
    }
    timings = interleaved(candidates, rounds)
    return table("virsh start, whole", timings, "no hook") + added(timings, "no hook")


def added(timings: dict[str, Timing], without: str) -> str:
    """What each takes more than ``without``, medians of each round's difference."""
    base = timings[without].seconds
    lines = [
        f"  {what} adds {Timing(tuple(a - b for a, b in zip(one.seconds, base, strict=True)))}"
        for what, one in timings.items()
        if what != without
    ]
    return "\n".join(["", *lines])


def lives(lab: Lab, rounds: int) -> str:
    """From a guest's first lease to its first answer, from its end to its last answer."""
    firsts, lasts, ends, bare = [], [], [], []
    plain = lab["home2"].stand_in("bare")
    for number in range(rounds + 1):
        public = PUBLICS[2 + number % 50]
        guest = lab["home1"].stand_in(f"life{number}", annotation=annotation(public))
        with Answers(lab.client, public) as seen:
            guest.start()
            guest.wait_ready()
            first = seen.await_first()
            leased = lease_written(guest)
            begun = time.time_ns()
            guest.virsh("destroy")  # its stand-in goes on answering whatever reaches it
            ended = time.time_ns()
            last = seen.await_last()
        guest.body.ip("link set eth0 down")
        guest.virsh("undefine")
        plain.start()
        plain_begun = time.time_ns()
        plain.virsh("destroy")
        plain_ended = time.time_ns()
        if number:
            bare.append((plain_ended - plain_begun) / 1e9)
            firsts.append((first - leased) / 1e9)
            lasts.append((last - begun) / 1e9)
            ends.append((ended - begun) / 1e9)
    rows = {
        "first lease to first answer": Timing(tuple(firsts)),
        "virsh destroy begun to last answer": Timing(tuple(lasts)),
        "  until virsh destroy returns": Timing(tuple(ends)),
        "  the same without a hook": Timing(tuple(bare)),
    }
    width = max(map(len, rows))
    return "\n".join(
        ["\nA guest's first and last answer", *(f"{w:<{width}}  {t}" for w, t in rows.items())]
    )


def run(rounds: int) -> Iterator[str]:
    """Measure: the tables."""
    with benched() as lab:
        yield starts(lab, rounds)
        yield lives(lab, rounds)
