"""Claim to kernel on the edge, over HTTPS, durable, beside the two iptables commands."""

import json
import subprocess
import sys
import time

from bench.claiming import FIRST_PRIVATE, FIRST_PUBLIC
from bench.measure import Timing, table
from bench.namespace import network_namespace
from tests.lab.lab import Lab

SIZES = (50, 1_000, 10_000)
WARM_UP = 5


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


def time_iptables(namespace: str, size: int, rounds: int) -> Timing:
    """Adding the pair with ``size`` others present; it is taken away untimed."""
    fill_iptables(namespace, size)
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        add_pair(namespace, size, "-A")
        seconds.append(time.perf_counter() - begun)
        add_pair(namespace, size, "-D")
    return Timing(tuple(seconds))


def claim_on_edge(lab: Lab, first: int, size: int, rounds: int) -> Timing:
    """Fill the edge up to ``size`` mappings, then time single claims."""
    host = lab["home1"]
    command = [sys.executable, "-m", "bench.claiming", host.agent.state / "credential.json"]
    done = host.run(*command, first, size, rounds + WARM_UP, timeout=300)
    return Timing(tuple(json.loads(done.stdout)[WARM_UP:]))


def run(rounds: int) -> str:
    """Measure, and return the table."""
    timings: dict[str, Timing] = {}
    with Lab(hosts=("home1",)) as lab, network_namespace("claims") as namespace:
        lab.edge.daemon.init({"bench": "198.18.0.0/16"})
        lab.edge.daemon.start()
        lab["home1"].agent.join(lab.edge.daemon.add_host("home1", "--private", "10.0.0.0/8"))
        first = 0
        for size in SIZES:
            timings[f"zthook, {size} mappings"] = claim_on_edge(lab, first, size, rounds)
            first = size + rounds + WARM_UP
            timings[f"two iptables commands, {size} pairs"] = time_iptables(namespace, size, rounds)
    return table("Claim, durable, in the kernel, answered", timings, f"zthook, {SIZES[0]} mappings")
