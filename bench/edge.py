"""An edge with 50 and with 65,000 mappings: its start, its restart under traffic, its rest.

The start is into an empty kernel, from the store to what systemd is told; beside it, in turn,
``nft -f`` loads the very ruleset that it had made. What a daemon's children use counts as its own.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

from bench.measure import Timing, Use, table
from bench.stored import FIRST_PRIVATE, FIRST_PUBLIC, let_leases_last, write_store
from tests.edge_api.machine import HOST_ADDRESS, Machine
from tests.lab.process import Process
from tests.lab.pulse import Beat, Pulse

SMALL, LARGE = 50, 65_000
ROUNDS = 5
REST_SECONDS = 30.0
SETTLE_SECONDS = 5.0
LOADED = "nft -f of the same"


@contextlib.contextmanager
def edge(mappings: int) -> Iterator[Machine]:
    """A machine whose store has so many mappings, and one guest that answers; nothing runs."""
    with tempfile.TemporaryDirectory(prefix="zthook-edge-") as folder:
        machine = Machine(Path(folder))
        try:
            machine.ready_seconds = 300.0
            machine.init("hk=198.18.0.0/16")
            let_leases_last(machine.tmp / "config/edge.toml")
            mac = machine.host.run("cat", "/sys/class/net/ov0/address").stdout.strip()
            store = machine.tmp / "state/edge.sqlite"
            write_store(store, mappings, IPv4Address(HOST_ADDRESS), mac)
            machine.host.ip(
                f"addr add {FIRST_PRIVATE}/32 dev lo", "route add default via 192.168.193.222"
            )
            machine.outside.ip(
                "addr add 203.0.113.254/24 dev up0", "route add 198.18.0.0/16 via 203.0.113.1"
            )
            yield machine
        finally:
            machine.close()


def empty(machine: Machine) -> None:
    """As after a reboot."""
    machine.namespace.run("nft", "flush", "ruleset")
    machine.namespace.run("ip", "route", "flush", "proto", "123")


def timed_start(machine: Machine) -> tuple[float, float, Process]:
    """Seconds until it is ready, and seconds of CPU by then."""
    begun = time.perf_counter()
    daemon = machine.serve()
    return time.perf_counter() - begun, Use.of(daemon.pid).cpu, daemon


def timed_load(machine: Machine, ruleset: Path) -> tuple[float, float]:
    """Seconds, and seconds of CPU, of ``nft -f``."""
    begun, before = time.perf_counter(), os.times()
    machine.namespace.run("nft", "-f", ruleset)
    took, after = time.perf_counter() - begun, os.times()
    spent = after.children_user + after.children_system
    return took, spent - before.children_user - before.children_system


def starts(machine: Machine, mappings: int, rounds: int) -> list[str]:
    """A first start to have the ruleset, then starts and loads in turn."""
    _, _, daemon = timed_start(machine)
    ruleset = machine.tmp / "ruleset.nft"
    ruleset.write_text(machine.namespace.run("nft", "list", "ruleset").stdout, encoding="utf-8")
    daemon.stop()
    start, load = [], []
    for _ in range(rounds):
        empty(machine)
        seconds, cpu, daemon = timed_start(machine)
        expect_mapped(machine, mappings)
        daemon.stop()
        start.append((seconds, cpu))
        empty(machine)
        load.append(timed_load(machine, ruleset))
    tables = []
    for title, which in (("seconds", 0), ("seconds of CPU", 1)):
        both = {
            LOADED: Timing(tuple(one[which] for one in load)),
            "from the store, until it is ready": Timing(tuple(one[which] for one in start)),
        }
        tables.append(table(f"{mappings} mappings into an empty kernel, {title}", both, LOADED))
    return tables


def expect_mapped(machine: Machine, mappings: int) -> None:
    """Raises RuntimeError where the kernel has less or more than that."""
    listed = machine.namespace.run("nft", "list", "map", "inet", "zthook", "inward").stdout
    routes = machine.namespace.run("ip", "route", "show", "proto", "123").stdout.count("\n")
    if (listed.count("198.18."), routes) != (mappings, mappings):
        raise RuntimeError(f"{listed.count('198.18.')} elements, {routes} routes")


def restarts(machine: Machine, _mappings: int, rounds: int) -> list[str]:
    """The daemon ends and starts again while a client pings; the kernel has all of it."""
    ready, beats = [], list[Beat]()
    daemon = machine.serve()
    for _ in range(rounds):
        with Pulse(machine.outside, "icmp", str(FIRST_PUBLIC)) as pulse:
            pulse.wait_moves()
            daemon.stop()
            seconds, _, daemon = timed_start(machine)
            ready.append(seconds)
            pulse.wait_moves()
            beats.append(pulse.stop())
    daemon.stop()
    sent, lost = sum(one.sent for one in beats), sum(one.lost for one in beats)
    return [
        f"restart with all in the kernel: ready after {Timing(tuple(ready))}",
        f"    pings meanwhile: {lost} of {sent} lost",
    ]


def used(daemon: Process) -> str:
    """By a daemon that others leave alone."""
    time.sleep(SETTLE_SECONDS)
    before = Use.of(daemon.pid)
    time.sleep(REST_SECONDS)
    after = Use.of(daemon.pid)
    share = 100 * (after.cpu - before.cpu) / REST_SECONDS
    now, most = after.memory / 2**20, after.highest / 2**20
    return f"{share:.2f}% of a core over {REST_SECONDS:.0f} s; {now:.0f} MiB, {most:.0f} at most"


def rests(machine: Machine, _mappings: int, _rounds: int) -> list[str]:
    """What a daemon with nothing to do uses: of a start into an empty kernel, and of a restart."""
    empty(machine)
    lines = []
    for what in ("at rest", "at rest after a restart"):
        daemon = machine.serve()
        lines.append(f"{what}: {used(daemon)}")
        daemon.stop()
    return lines


def run(rounds: int) -> Iterator[str]:
    """Measure: the figures."""
    for mappings in (SMALL, LARGE):
        with edge(mappings) as machine:
            yield f"\nAn edge with {mappings} mappings"
            for measure in (starts, restarts, rests):
                yield from measure(machine, mappings, max(1, min(rounds // 10, ROUNDS)))
