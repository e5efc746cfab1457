"""Edges to measure, each between a client's side and a guest's side, in namespaces of their own.

All have the same addresses and MACs, so that the same frames go through each. What one end
sends is done with (forwarded by the edge, and dropped by the other end) before sending returns,
all on one core: the seconds of the thread that sends are what a packet's whole way costs.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from pyroute2 import netns

from bench.namespace import network_namespace
from zthook.kernel.netlink import ACK, NETFILTER, Netlink, message

CLIENT, UPLINK = IPv4Address("203.0.113.1"), IPv4Address("203.0.113.2")
OVERLAY, HOST = IPv4Address("192.168.193.222"), IPv4Address("192.168.193.2")
CLIENT_MAC, UPLINK_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
OVERLAY_MAC, HOST_MAC = "02:00:00:00:00:03", "02:00:00:00:00:04"
PUBLICS = "198.19.0.0/16"  # RFC 2544: for benchmarks
FORGET = (1 << 8) | 2
"""Connection tracking's "delete": of all, where it is not said which."""

SINK = """table netdev bench {{
    chain sink {{ type filter hook ingress device {} priority 0; policy drop; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Target:
    """What clients address, as what the guest's side answers, and to whom (None: the client)."""

    public: IPv4Address
    private: IPv4Address
    answers_to: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """One edge and its two ends, by the names of their namespaces."""

    clients: str
    edge: str
    guests: str
    _conntrack: Netlink = field(repr=False)

    def inside(self, *command: object, stdin: str | None = None) -> None:
        """Run a program at the edge."""
        run_in(self.edge, *command, stdin=stdin)

    def forget(self) -> None:
        """End all of the edge's connections."""
        self._conntrack.carry_out([message(FORGET, ACK, bytes(4))], about=lambda _: "forgetting")

    def speak(self, *targets: Target) -> None:
        """The two ends drop no more, but are machines with these addresses."""
        for namespace in (self.clients, self.guests):
            run_in(namespace, "nft", "delete", "table", "netdev", "bench")
        addresses = {address for one in targets for address in (one.public, one.private)}
        _ip(
            f"-n {self.clients} addr add {CLIENT}/24 dev out0",
            f"-n {self.clients} route add {PUBLICS} via {UPLINK}",
            f"-n {self.clients} neigh add {UPLINK} lladdr {UPLINK_MAC} dev out0",
            f"-n {self.guests} addr add {HOST}/24 dev in0",
            f"-n {self.guests} route add default via {OVERLAY}",
            f"-n {self.guests} neigh add {OVERLAY} lladdr {OVERLAY_MAC} dev in0",
            *(f"-n {self.guests} addr add {address}/32 dev lo" for address in addresses),
        )


@contextmanager
def lane(number: int) -> Iterator[Lane]:
    """Cabled and addressed; both ends drop what they get."""
    with ExitStack() as stack:
        clients, edge, guests = (
            stack.enter_context(network_namespace(f"{name}{number}"))
            for name in ("clients", "edge", "guests")
        )
        _cable(clients, "out0", CLIENT_MAC, edge, "uplink0", UPLINK_MAC)
        _cable(edge, "overlay0", OVERLAY_MAC, guests, "in0", HOST_MAC)
        _ip(
            f"-n {edge} addr add {UPLINK}/24 dev uplink0",
            f"-n {edge} addr add {OVERLAY}/24 dev overlay0",
            f"-n {edge} route add default via {CLIENT}",
            f"-n {edge} neigh add {CLIENT} lladdr {CLIENT_MAC} dev uplink0",
            f"-n {edge} neigh add {HOST} lladdr {HOST_MAC} dev overlay0",
        )
        run_in(edge, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for namespace, device in ((clients, "out0"), (guests, "in0")):
            run_in(namespace, "nft", "-f", "-", stdin=SINK.format(device))
        with inside(edge):
            conntrack = stack.enter_context(Netlink(NETFILTER))
        yield Lane(clients, edge, guests, conntrack)


def _cable(one: str, device: str, mac: str, other: str, peer: str, peer_mac: str) -> None:
    veth = f"link add {device} address {mac} type veth peer name {peer} address {peer_mac}"
    _ip(
        f"-n {one} {veth} netns {other}",
        f"-n {one} link set {device} up",
        f"-n {other} link set {peer} up",
    )


def _ip(*commands: str) -> None:
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)


def run_in(namespace: str, *command: object, stdin: str | None = None) -> str:
    """Run a program in a namespace; what it prints."""
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, *map(str, command)],
        input=stdin,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread is in the namespace."""
    netns.pushns(namespace)
    try:
        yield
    finally:
        netns.popns()
