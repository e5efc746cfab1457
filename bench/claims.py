"""Claim to kernel on the edge, over HTTPS, durable, beside the two iptables commands."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise

from bench.claiming import FIRST_PRIVATE, FIRST_PUBLIC
from bench.measure import Timing, table
from bench.namespace import network_namespace
from tests.lab.host import Host
from tests.lab.lab import Lab

SIZES = (50, 1_000, 10_000)


def fill_iptables(namespace: str, size: int) -> None:
    """``size`` pairs of rules, as people type them, loaded at once."""
    pairs = [(FIRST_PUBLIC + n, FIRST_PRIVATE + n) for n in range(size)]
    rules = [
        "*nat",
        *(f"-A PREROUTING -d {public} -j DNAT --to {private}" for public, private in pairs),
        *(f"-A POSTROUTING -s {private} -j SNAT --to {public}" for public, private in pairs),
        "COMMIT\n",
    ]
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


def claim(host: Host, *arguments: object) -> str:
    """Run ``bench.claiming`` on a host; what it prints."""
    credential = host.agent.state / "credential.json"
    command = [sys.executable, "-m", "bench.claiming", credential, *arguments]
    return host.run(*command, timeout=600).stdout


def measure(lab: Lab, namespace: str, first: int, size: int, rounds: int) -> dict[str, Timing]:
    """Both ways, with the mappings up to ``size`` held by the one host, and one of the other's."""
    claim(lab["home1"], "fill", first, size)
    seconds = json.loads(claim(lab["home2"], "cycle", SIZES[-1] + 1, rounds))
    added, deleted = time_iptables(namespace, size, rounds)
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
        lab.edge.daemon.init({"bench": "198.18.0.0/16"})
        lab.edge.daemon.start()
        for host in lab.hosts.values():
            host.agent.join(lab.edge.daemon.add_host(host.name, "--private", "10.0.0.0/8"))
        for first, size in pairwise((0, *SIZES)):
            timings |= measure(lab, namespace, first, size, rounds)
    title = "Claim and withdrawal: durable, in the kernel, answered over HTTPS"
    yield table(title, timings, f"N={SIZES[0]}: zthook, claim")
