"""Honest connections to a guest's port before, during and after a flood of SYNs at it.

Client, uplink, edge and home in namespaces (those of the edge's packet tests); the flood's
senders never answer. Counted are connections that were made and whose first byte came back
within a second.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kernel.driver import ON_LINK, Edge
from tests.kernel.namespace import mac
from tests.kernel.questions import reaches
from tests.kernel.topology import Topology
from zthook.model.publication import Mode

ROOT = Path(__file__).parents[1]
SLOW = 1_200
FLOODS = {SLOW: 64.0, 10_000: 8.0, 150_000: 8.0}
"""SYNs a second, and for how long: the slowest needs a minute to use up 64,512 ports."""
PRIVATE = "192.168.122.50"
HONEST = """
import socket, sys, time
asked = answered = 0
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    asked += 1
    try:
        with socket.create_connection((sys.argv[1], 80), 1.0) as one:
            one.settimeout(1.0)
            one.sendall(b"x")
            answered += bool(one.recv(100))
    except OSError:
        pass
    time.sleep(0.02)
print(answered, asked)
"""
TYPED = """
table ip typed {
    chain arriving { type nat hook prerouting priority dstnat; policy accept;
        ip daddr PUBLIC dnat to PRIVATE;
    }
    chain leaving { type nat hook postrouting priority srcnat; policy accept;
        oifname zt0 ip daddr PRIVATE snat to 192.168.193.222;
    }
}
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Answered of asked connections, and the flood's real rate."""

    before: str
    during: str
    after: str
    rate: float


def typed(top: Topology, _: Edge) -> None:
    """The pair of rules that people type today."""
    top.edge.run(
        f"ip addr add {ON_LINK}/32 dev eth0",
        "sysctl -qw net.ipv4.ip_forward=1",
        "ip route add 192.168.122.0/24 via 192.168.193.2",
    )
    top.edge.nft(TYPED.replace("PUBLIC", ON_LINK).replace("PRIVATE", PRIVATE))


def ours(mode: Mode, *, hide: bool = False) -> Callable[[Topology, Edge], None]:
    """One mapping."""

    def grant(top: Topology, edge: Edge) -> None:
        edge.apply(edge.mapping(ON_LINK, mode=mode, hide=hide))
        if mode is Mode.ROUTED:
            top.translate(top.home1, ON_LINK)

    return grant


SETTINGS = {
    "two rules typed by hand": typed,
    "nat, hide": ours(Mode.NAT, hide=True),
    "nat, keep": ours(Mode.NAT),
    "routed": ours(Mode.ROUTED),
}


def honest(top: Topology, seconds: float) -> "subprocess.Popen[str]":
    command = ("ip", "netns", "exec", top.client.name, sys.executable, "-c", HONEST)
    return subprocess.Popen([*command, ON_LINK, str(seconds)], stdout=subprocess.PIPE, text=True)


def counted(running: "subprocess.Popen[str]") -> str:
    output, _ = running.communicate(timeout=120)
    return " of ".join(output.split())


@contextmanager
def flood(top: Topology, rate: int, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """Ready to begin when it is told a line."""
    words = ("eth0", mac(top.edge, "eth0"), ON_LINK, "80", str(rate), str(seconds))
    inside = ("ip", "netns", "exec", top.neighbour.name)
    with subprocess.Popen(
        [*inside, sys.executable, "-m", "bench.syns", *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as sender:
        if sender.stdout is None or sender.stdout.readline() != "ready\n":
            raise RuntimeError("the flood did not begin")
        yield sender


def flooded(top: Topology, rate: int, seconds: float) -> Outcome:
    """A guest that is reached as some setting has it."""
    if not reaches(top.client, ON_LINK):
        raise RuntimeError("the guest is not reached before the flood")
    before = counted(honest(top, 2))
    with flood(top, rate, seconds) as sender:
        meanwhile = honest(top, seconds - 0.5)
        sent, _ = sender.communicate("\n", timeout=seconds * 3)
        during = counted(meanwhile)
    return Outcome(before, during, counted(honest(top, 8)), int(sent) / seconds)


def once(setting: Callable[[Topology, Edge], None], rate: int, seconds: float) -> Outcome:
    """In a topology of its own."""
    with Topology() as top:
        edge = Edge(top)
        try:
            setting(top, edge)
            return flooded(top, rate, seconds)
        finally:
            edge.stop()


def run(rounds: int) -> Iterator[str]:
    """Count, once for each thirty of ``rounds``, at least once: the table. Of fewer than thirty
    without the slow flood, which takes a minute to use all ports up.
    """
    yield "\nHonest connections answered, of those asked for, at a port under a flood of SYNs"
    for name, setting in SETTINGS.items():
        for rate, seconds in FLOODS.items():
            if rate == SLOW and rounds < 30:
                continue
            for _ in range(max(1, rounds // 30)):
                found = once(setting, rate, seconds)
                yield (
                    f"{name:<24} {found.rate:>9,.0f} SYN/s   before {found.before:>10}"
                    f"   during {found.during:>12}   after {found.after:>10}"
                )
