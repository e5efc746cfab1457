"""What people type, whole processes, and what the agent takes with fifty guests."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

from bench.home import PUBLICS, benched
from bench.measure import Candidate, Use, interleaved, table
from tests.lab.commands import wait_until
from tests.lab.daemons import zthook_command
from tests.lab.domain import annotation
from tests.lab.lab import Lab
from tests.lab.machine import Machine

GUESTS = 50
PYTHON = "/usr/bin/python3"
HELP = ("-S", "-c", "from zthook.cli import main; main()", "--help")
"""Without Python's site: its .pth files import more on some machines than the command does."""


def told(
    machine: Machine, *command: object, env: Mapping[str, str] | None = None
) -> Callable[[], None]:
    """Run it there, as its own process; what it prints is thrown away."""
    words = [str(word) for word in machine.entering(command)]
    environment = {**machine.environment(), **(env or {})}

    def once() -> None:
        subprocess.run(words, env=environment, stdout=subprocess.DEVNULL, check=True)

    return once


def fill(lab: Lab) -> None:
    """Fifty guests, each with a public address that is active."""
    host = lab["home1"]
    for number in range(GUESTS):
        guest = host.stand_in(f"web{number}", annotation=annotation(PUBLICS[number]))
        guest.start()
        guest.wait_ready()

    def active() -> bool:
        rows = host.agent.json("status")["mappings"]
        return [row["state"] for row in rows] == ["active"] * GUESTS

    wait_until(active, 60, f"{GUESTS} mappings are active")


def run(rounds: int) -> Iterator[str]:
    """Measure: the table."""
    with benched() as lab:
        host, edge = lab["home1"], lab.edge
        agent, daemon = host.agent.process.pid, edge.daemon.process.pid
        empty = Use.of(agent)
        fill(lab)
        zthook, path = zthook_command(), os.pathsep.join(filter(None, sys.path))
        timings = interleaved(
            {
                "python3 -c pass": Candidate(told(host, PYTHON, "-c", "pass")),
                "its Python, -c pass": Candidate(told(host, sys.executable, "-c", "pass")),
                "zthook --help": Candidate(told(host, zthook, "--help")),
                "zthook --help, no site": Candidate(
                    told(host, sys.executable, *HELP, env={"PYTHONPATH": path})
                ),
                f"zthook status, {GUESTS} guests": Candidate(told(host, zthook, "status")),
                f"zthook edge mappings, {GUESTS}": Candidate(
                    told(edge, zthook, "edge", "mappings")
                ),
                "  of each: entering the machine": Candidate(told(host, "/bin/true")),
            },
            rounds,
        )
        sizes = [
            f"agent without a guest: {empty.memory / 2**20:.1f} MiB",
            f"agent with {GUESTS}: {Use.of(agent).memory / 2**20:.1f} MiB",
            f"edge with {GUESTS} mappings: {Use.of(daemon).memory / 2**20:.1f} MiB",
        ]
    yield "\n".join([table("Commands, whole process", timings, "python3 -c pass"), *sizes])
