"""A thousand hosts with fifty guests each at one edge: at rest, pressed, and all back at once."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from bench.crowd import Plan
from bench.measure import Use
from bench.stored import FIRST_PRIVATE, FIRST_PUBLIC, write_hosts
from tests.edge_api.machine import ADDRESS, Machine, inside
from zthook.edge.enrolment import new_secret
from zthook.wire.control import ask
from zthook.wire.messages import ClaimMessage
from zthook.wire.tls import fetch_ca
from zthook.wire.token import read_token

HOSTS, GUESTS = 1_000, 50
FIRST_SOURCE = IPv4Address("192.168.200.1")
FIRST_SECONDS, REST_SECONDS, PRESS_SECONDS = 40, 60, 10
"""A first minute with the looks at everything that follow many changes; then rest; then a press."""


def claims_of(number: int) -> list[ClaimMessage]:
    """What the host of this number claims."""
    mine = range(number * GUESTS, (number + 1) * GUESTS)
    return [
        ClaimMessage(
            guest=str(UUID(int=one + 1)),
            name=f"guest{one}",
            public=str(FIRST_PUBLIC + one),
            private=str(FIRST_PRIVATE + one),
        )
        for one in mine
    ]


def enrol(machine: Machine) -> list[str]:
    """Write all hosts into the store, as if they had joined; their credentials. Nothing runs."""
    credentials = [new_secret() for _ in range(HOSTS)]
    write_hosts(machine.tmp / "state/edge.sqlite", credentials)
    return credentials


def plan(machine: Machine, credentials: list[str]) -> Plan:
    """What the crowd has to know of an edge that runs."""
    token = read_token(ask(machine.tmp / "run/edge.sock", "host_add", name="invited")["token"])
    sources = [str(FIRST_SOURCE + number) for number in range(HOSTS)]
    machine.host.ip(*(f"addr add {source}/16 dev ov0" for source in sources))
    return Plan(
        address=ADDRESS,
        port=token.port,
        edge=token.edge,
        ca_pem=inside(machine.host, lambda: fetch_ca(token)),
        hosts=list(zip(sources, credentials, strict=True)),
        claims=[claims_of(number) for number in range(HOSTS)],
    )


class Crowd:
    """The process that plays all hosts."""

    def __init__(self, machine: Machine, plan: Plan) -> None:
        file = machine.tmp / "plan.json"
        file.write_bytes(msgspec.json.encode(plan))
        command = [sys.executable, "-m", "bench.crowd", str(file)]
        self._child = subprocess.Popen(
            [str(word) for word in machine.host.entering(command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, command: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(f"{command}\n")
        self._child.stdin.flush()

    def end(self) -> dict[str, Any]:
        """What it answers to the command that was begun."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError("the crowd is gone")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._child.kill()
        self._child.wait()


@contextlib.contextmanager
def crowded() -> Iterator[tuple[Machine, Crowd]]:
    """An edge that serves, and the crowd at its door."""
    with (
        tempfile.TemporaryDirectory(prefix="zthook-load-") as folder,
        contextlib.ExitStack() as last,
    ):
        machine = Machine(Path(folder))
        last.callback(machine.close)
        machine.namespace.ip(f"addr del {ADDRESS}/24 dev ov0", f"addr add {ADDRESS}/16 dev ov0")
        machine.init("hk=198.18.0.0/16")
        credentials = enrol(machine)
        machine.serve()
        machine.listens_at(ADDRESS)
        crowd = Crowd(machine, plan(machine, credentials))
        last.callback(crowd.close)
        yield machine, crowd


def measure(machine: Machine, crowd: Crowd, command: str) -> list[str]:
    """Run one command of the crowd; what it took, and what it took of the daemon."""
    daemon = machine.daemons[-1]
    before = Use.of(daemon.pid)
    crowd.begin(command)
    answer = crowd.end()
    return told(command, answer, before, Use.of(daemon.pid))


def told(title: str, answer: dict[str, Any], before: Use, after: Use) -> list[str]:
    seconds, cpu = answer["seconds"], after.cpu - before.cpu
    asked = sum(one["count"] for one in answer["requests"].values())
    lines = [
        f"{title}: {seconds:.1f} s, {asked} requests ({asked / seconds:.0f}/s), "
        f"{answer['failed']} that failed, {answer['put_off']} put off, {answer['listening']} long "
        f"requests open at the end; the daemon: CPU {cpu:.1f} s "
        f"({100 * cpu / seconds:.1f}% of one core, {1000 * cpu / max(asked, 1):.2f} ms a request), "
        f"{after.memory / 1e6:.0f} MB"
    ]
    return lines + [
        f"    {what:<10} {one['count']:>6}   p50 {one['p50'] * 1e3:8.1f} ms   "
        f"p99 {one['p99'] * 1e3:8.1f} ms"
        for what, one in answer["requests"].items()
    ]


def reboot(machine: Machine, crowd: Crowd) -> list[str]:
    """The edge loses power: daemon, rules and routes are gone; all hosts come back at once."""
    machine.daemons[-1].kill()
    machine.namespace.run("nft", "flush", "ruleset")
    machine.namespace.run("ip", "route", "flush", "proto", "123")
    begun = time.perf_counter()
    crowd.begin("settle")
    machine.ready_seconds = 300.0
    daemon = machine.serve()
    ready, before = time.perf_counter() - begun, Use(0.0, 0, 0)
    held = mapped(machine)
    in_kernel = time.perf_counter() - begun
    answer = crowd.end()
    lines = told("an edge's reboot", answer, before, Use.of(daemon.pid))
    lines.append(
        f"    the daemon was ready after {ready:.1f} s; {held} mappings were in the kernel after "
        f"{in_kernel:.1f} s (looked at once), {mapped(machine)} at the end"
    )
    return lines


def mapped(machine: Machine) -> int:
    """How many mappings the kernel has."""
    said = machine.namespace.run("nft", "list", "map", "inet", "zthook", "inward").stdout
    return said.count("198.18.") + said.count("198.19.")


def run(_rounds: int) -> Iterator[str]:
    """Measure: the figures."""
    with crowded() as (machine, crowd):
        yield f"\n{HOSTS} hosts, {GUESTS} guests each, one edge"
        yield from measure(machine, crowd, "settle")
        yield f"    {mapped(machine)} mappings are in the kernel"
        yield from measure(machine, crowd, f"rest {FIRST_SECONDS}")
        yield from measure(machine, crowd, f"rest {REST_SECONDS}")
        yield from measure(machine, crowd, f"press {PRESS_SECONDS}")
        yield from reboot(machine, crowd)
