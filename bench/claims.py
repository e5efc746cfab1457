"""Claim to kernel on the edge, over HTTPS, durable, beside the two iptables commands."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

from bench.measure import Timing, Use, table
from bench.namespace import network_namespace
from bench.stored import FIRST_PRIVATE, FIRST_PUBLIC, let_leases_last, write_store
from tests.lab.commands import wait_until
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.topology import OVERLAY_DEVICE

SIZES = (50, 1_000, 10_000, 65_000)
START_SECONDS = 300.0
SLOW, SLOW_ROUNDS = 10_000, 5
"""From so many rules on iptables takes long to change them: some rounds tell enough."""


def fill_iptables(namespace: str, size: int) -> None:
    """``size`` pairs of rules, as people type them, loaded at once."""
    pairs = [(FIRST_PUBLIC + n, FIRST_PRIVATE + n) for n in range(size)]
    rules = [
        "*nat",
        *(f"-A PREROUTING -d {public} -j DNAT --to {private}" for public, private in pairs),
        *(f"-A POSTROUTING -s {private} -j SNAT --to {public}" for public, private in pairs),
        "COMMIT\n",
    ]
    # Without --noflush: what was there before goes.
    command = ["ip", "netns", "exec", namespace, "iptables-restore"]
    subprocess.run(command, input="\n".join(rules), text=True, check=True)


def add_pair(namespace: str, number: int, action: str) -> None:
    public, private = FIRST_PUBLIC + number, FIRST_PRIVATE + number
    for rule in (
        f"-t nat {action} PREROUTING -d {public} -j DNAT --to {private}",
        f"-t nat {action} POSTROUTING -s {private} -j SNAT --to {public}",
    ):
        command = ["ip", "netns", "exec", namespace, "iptables", *rule.split()]
        subprocess.run(command, check=True)


def time_iptables(namespace: str, size: int, rounds: int) -> tuple[Timing, Timing]:
    """Adding the pair with ``size`` others present, and deleting it."""
    fill_iptables(namespace, size)
    added, deleted = [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        add_pair(namespace, size, "-A")
        between = time.perf_counter()
        add_pair(namespace, size, "-D")
        added.append(between - begun)
        deleted.append(time.perf_counter() - between)
    return Timing(tuple(added)), Timing(tuple(deleted))


def hold(lab: Lab, size: int) -> None:
    """Start the edge anew with ``size`` mappings given away, all behind home1."""
    edge = lab.edge.daemon
    edge.stop()
    home = lab["home1"]
    mac = home.run("cat", f"/sys/class/net/{OVERLAY_DEVICE}/address").stdout.strip()
    write_store(edge.state / "edge.sqlite", size, IPv4Address(home.overlay_address), mac)
    process = edge.start(ready=False)
    process.wait_notified(deadline_seconds=START_SECONDS)
    wait_until(lambda: rests(process.pid), START_SECONDS, "the edge has looked at everything again")


def rests(pid: int) -> bool:
    """Whether a process uses less than a tenth of a core, seen for a second and a half."""
    before = Use.of(pid).cpu
    time.sleep(1.5)
    return Use.of(pid).cpu - before < 0.15


def cycle(host: Host, number: int, rounds: int) -> dict[str, list[float]]:
    """Run ``bench.claiming`` on a host: seconds of each request."""
    credential = host.agent.state / "credential.json"
    command = [sys.executable, "-m", "bench.claiming", credential, number, rounds]
    seconds: dict[str, list[float]] = json.loads(host.run(*command, timeout=600).stdout)
    return seconds


def measure(lab: Lab, namespace: str, size: int, rounds: int) -> dict[str, Timing]:
    """Both ways, with ``size`` others present."""
    hold(lab, size)
    seconds = cycle(lab["home2"], SIZES[-1] + 1, rounds)
    rules = min(rounds, SLOW_ROUNDS) if size >= SLOW else rounds
    added, deleted = time_iptables(namespace, size, rules)
    return {
        f"N={size}: request that changes nothing": Timing(tuple(seconds["nothing"])),
        f"N={size}: zthook, claim": Timing(tuple(seconds["claim"])),
        f"N={size}: zthook, withdraw": Timing(tuple(seconds["withdraw"])),
        f"N={size}: two iptables -A": added,
        f"N={size}: two iptables -D": deleted,
    }


def run(rounds: int) -> Iterator[str]:
    """Measure: the table."""
    timings: dict[str, Timing] = {}
    with Lab() as lab, network_namespace("claims") as namespace:
        edge = lab.edge.daemon
        edge.init({"bench": "198.18.0.0/16"})
        let_leases_last(edge.config / "edge.toml")
        edge.start()
        home = lab["home2"]
        home.agent.join(edge.add_host(home.name, "--private", "10.0.0.0/8"))
        for size in SIZES:
            timings |= measure(lab, namespace, size, rounds)
    title = "Claim and withdrawal: durable, in the kernel, answered over HTTPS"
    yield table(title, timings, f"N={SIZES[0]}: zthook, claim")
