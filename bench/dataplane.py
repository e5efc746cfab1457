"""What a packet that begins a flow costs at the edge, beside a plain router and today's rules.

A sender, an edge and a sink in namespaces. Each figure is what the edge does beyond receiving:
what sending and receiving cost (the edge then drops at once) is taken off.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from pyroute2 import netns

from bench.measure import Timing
from bench.namespace import network_namespace
from zthook.kernel.edge.dataplane import KernelEdgeDataplane
from zthook.model.addresses import AddressRange
from zthook.model.mappings import EdgePlane, Forwarding
from zthook.model.publication import Mode

PACKETS = 50_000
"""Each a flow; where clients are hidden one address of ours has 64,512 ports for them."""
SIZES = (1, 1_000, 10_000, 65_000)
FIRST_PUBLIC = IPv4Address("198.19.0.0")  # RFC 2544: for benchmarks
FIRST_PRIVATE = IPv4Address("10.0.0.1")
HOST, EDGE = IPv4Address("192.168.193.2"), IPv4Address("192.168.193.222")
AGAINST = "routing with conntrack"
INGRESS = """table netdev bench {
    chain drop_all { type filter hook ingress device uplink0 priority 0; policy drop; }
}
"""
CONNTRACK = """table inet bench {
    chain look { type filter hook forward priority 0; policy accept; ct state invalid drop; }
}
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """The three machines, and the MACs of the edge's uplink and of the sink."""

    sender: str
    edge: str
    sink: str
    mac: str
    sink_mac: str

    def inside(self, *command: object, stdin: str | None = None) -> str:
        """Run a program at the edge; what it prints."""
        return _in(self.edge, *command, stdin=stdin)

    def flood(self, destination: IPv4Address) -> float:
        """Seconds for PACKETS flows, with no memory of earlier ones."""
        self.inside("conntrack", "-F")
        command = (sys.executable, "-m", "bench.flood", "out0", self.mac, destination, PACKETS)
        return float(_in(self.sender, *command))


def _in(namespace: str, *command: object, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, *map(str, command)],
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout


def _address_of(namespace: str, device: str) -> str:
    return _in(namespace, "cat", f"/sys/class/net/{device}/address").strip()


@contextmanager
def machines() -> Iterator[Bench]:
    """Cabled and addressed; the sink drops what it gets."""
    with ExitStack() as stack:
        sender, edge, sink = (
            stack.enter_context(network_namespace(name)) for name in ("sender", "edge", "sink")
        )
        for one, device, other, peer in (
            (sender, "out0", edge, "uplink0"),
            (edge, "overlay0", sink, "in0"),
        ):
            _in(one, *f"ip link add {device} type veth peer name {peer} netns {other}".split())
            _in(one, "ip", "link", "set", device, "up")
            _in(other, "ip", "link", "set", peer, "up")
        for namespace, address, device in (
            (edge, "203.0.113.2/24", "uplink0"),
            (edge, f"{EDGE}/24", "overlay0"),
            (sink, f"{HOST}/24", "in0"),
        ):
            _in(namespace, "ip", "addr", "add", address, "dev", device)
        _in(edge, "ip", "route", "add", "default", "via", "203.0.113.1")
        sink_mac = _address_of(sink, "in0")
        _in(edge, *f"ip neigh replace {HOST} lladdr {sink_mac} dev overlay0".split())
        _in(edge, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        _in(sink, "nft", "-f", "-", stdin=INGRESS.replace("uplink0", "in0"))
        yield Bench(sender, edge, sink, _address_of(edge, "uplink0"), sink_mac)


def routed_plainly(bench: Bench, *, following: bool) -> Iterator[IPv4Address]:
    """A route to the destination; ``following`` also connections."""
    bench.inside("ip", "route", "add", f"{FIRST_PUBLIC}/32", "via", HOST)
    if following:
        bench.inside("nft", "-f", "-", stdin=CONNTRACK)
    yield FIRST_PUBLIC
    bench.inside("ip", "route", "del", f"{FIRST_PUBLIC}/32")
    if following:
        bench.inside("nft", "delete", "table", "inet", "bench")


def ours(bench: Bench, size: int, mode: Mode, *, hide: bool = False) -> Iterator[IPv4Address]:
    """``size`` mappings of one kind; the last one is measured."""
    forwardings = (
        Forwarding(
            public=FIRST_PUBLIC + one,
            arrives_as=FIRST_PUBLIC + one,
            private=FIRST_PRIVATE + one,
            next_hop=HOST,
            next_hop_mac=bench.sink_mac,
            uplink="uplink0",
            hide=hide,
            mode=mode,
        )
        for one in range(size)
    )
    plane = EdgePlane(
        overlay="overlay0",
        overlay_address=EDGE,
        uplinks=frozenset({"uplink0"}),
        api_port=9443,
        pool_ranges=(AddressRange(FIRST_PUBLIC, FIRST_PUBLIC + 2**16 - 1),),
        forwardings=frozenset(forwardings),
    )
    netns.pushns(bench.edge)
    try:
        dataplane = KernelEdgeDataplane()
        dataplane.apply(plane)
        yield FIRST_PUBLIC + size - 1
        dataplane.close()
        empty = KernelEdgeDataplane()
        empty.apply(EdgePlane("overlay0", EDGE, plane.uplinks, 9443, plane.pool_ranges))
        empty.close()
    finally:
        netns.popns()
    bench.inside("nft", "delete", "table", "inet", "zthook")


def by_iptables(bench: Bench, size: int) -> Iterator[IPv4Address]:
    """Two rules a guest, as people type them; the last one is measured."""
    pairs = [(FIRST_PUBLIC + one, FIRST_PRIVATE + one) for one in range(size)]
    bench.inside(
        "iptables-restore",
        stdin="\n".join(
            [
                "*nat",
                *(f"-A PREROUTING -d {public} -j DNAT --to {private}" for public, private in pairs),
                *(
                    f"-A POSTROUTING -s {private} -j SNAT --to {public}"
                    for public, private in pairs
                ),
                "COMMIT\n",
            ]
        ),
    )
    last = f"{pairs[-1][1]}/32"
    bench.inside("ip", "route", "add", last, "via", HOST)
    yield pairs[-1][0]
    bench.inside("ip", "route", "del", last)
    bench.inside("iptables", "-t", "nat", "-F")


def measured(bench: Bench, setting: Iterator[IPv4Address], rounds: int) -> list[float]:
    """Seconds of each round within a setting, which is undone."""
    destination = next(setting)
    bench.flood(destination)
    seconds = [bench.flood(destination) for _ in range(rounds)]
    for _ in setting:
        pass
    return seconds


def run(rounds: int) -> str:
    """Measure, and return the table; a tenth of ``rounds``, at least three, each."""
    some = max(3, rounds // 10)
    settings: dict[str, Callable[[Bench], Iterator[IPv4Address]]] = {
        "plain routing": lambda bench: routed_plainly(bench, following=False),
        AGAINST: lambda bench: routed_plainly(bench, following=True),
    }
    for size in SIZES:
        settings |= {
            f"N={size}: nat, keep": lambda bench, n=size: ours(bench, n, Mode.NAT),
            f"N={size}: nat, hide": lambda bench, n=size: ours(bench, n, Mode.NAT, hide=True),
            f"N={size}: routed": lambda bench, n=size: ours(bench, n, Mode.ROUTED),
        }
    settings |= {
        f"N={size}: two iptables rules a guest": lambda bench, n=size: by_iptables(bench, n)
        for size in SIZES[:2]
    }
    with machines() as bench:
        bench.inside("nft", "-f", "-", stdin=INGRESS)
        alone = Timing(tuple(bench.flood(FIRST_PUBLIC) for _ in range(some))).median
        bench.inside("nft", "delete", "table", "netdev", "bench")
        timings = {name: measured(bench, make(bench), some) for name, make in settings.items()}
    return _table({name: [one - alone for one in found] for name, found in timings.items()})


def _table(timings: dict[str, list[float]]) -> str:
    base = Timing(tuple(timings[AGAINST])).median
    width = max(map(len, timings))
    title = "A packet that begins a flow, at the edge beyond receiving it"
    lines = [f"\n{title} (ratios to: {AGAINST})"]
    for name, seconds in timings.items():
        median = Timing(tuple(seconds)).median
        low, high = (one / PACKETS * 1e6 for one in (min(seconds), max(seconds)))
        each = median / PACKETS * 1e6
        lines.append(
            f"{name:<{width}}  {each:6.2f} µs ({low:.2f} to {high:.2f})  {median / base:7.2f}x"
        )
    return "\n".join(lines)
