"""A host with its guests, its home line and its way to an edge, as namespaces that carry packets.

    client 198.51.100.7 ── edge .222 ──┐ overlay 192.168.193.0/24, MTU 2800
       │                    member .5 ─┤
       └─ home line 192.0.2.0/24 ── host .2 ── virbr0 192.168.122.1 ── guest .50, sibling .51
                                        ├───── virbr1 10.99.0.1 ────── lonely 10.99.0.50
                                        └───── br0 10.20.0.2 ───────── neighbour 10.20.0.50
                                                  └ router 10.20.0.1, its default gateway

The client stands on the far side of the home line too, so that what leaks there is seen. It
reaches the guests in both modes: the addresses of PUBLIC the edge translates, those of ROUTED
it only routes. ELSEWHERE stands for guests on another host: the edge itself has it.
"""

import re
import socket
import struct
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

from tests.kernel_host import libvirt_rules
from tests.kernel_host.inside import Capture, Echo, Inside, own_name
from tests.kernel_host.twins import four, six, six_plane
from tests.lab.namespace import Namespace, cable
from zthook.kernel.host.dataplane import KernelHostDataplane
from zthook.model.addresses import AddressRange
from zthook.model.mappings import GuestRule, HostPlane
from zthook.model.publication import Egress, Mode, PortRange

PLACES = (
    "client", "edge", "member", "switch", "host",
    "guest", "sibling", "lonely", "neighbour", "router",
)  # fmt: skip
CLIENT, EDGE, MEMBER = "198.51.100.7", "192.168.193.222", "192.168.193.5"
GUEST, SIBLING = "192.168.122.50", "192.168.122.51"
LONELY, NEIGHBOUR = "10.99.0.50", "10.20.0.50"
HOST_ON_OVERLAY, HOST_ON_LAN, HOST_AT_HOME = "192.168.193.2", "10.20.0.2", "192.0.2.2"
EDGE_MAC = "02:00:00:00:02:22"
PUBLIC = {
    GUEST: "203.0.113.10",
    NEIGHBOUR: "203.0.113.11",
    LONELY: "203.0.113.12",
    SIBLING: "203.0.113.13",
}
ROUTED = {GUEST: "203.0.113.20", SIBLING: "203.0.113.21"}
SHARED, ELSEWHERE = "203.0.113.19", "203.0.113.30"
POOLS = (AddressRange.parse("203.0.113.0/27"),)
PORT, OTHER_PORT = 8080, 8081

BRIDGE_FILTER = " ".join(
    f"/proc/sys/net/bridge/bridge-nf-call-{name}" for name in ("iptables", "ip6tables")
)
ECHO_REQUEST = {
    4: (socket.IPPROTO_ICMP, 20, bytes.fromhex("0800f7fe00010000"), bytes.fromhex("0000fffe0001")),
    6: (socket.IPPROTO_ICMPV6, 0, bytes.fromhex("8000000000010000"), bytes([129])),
}
"""Protocol, bytes before the answer, request, and how the answer begins."""

EDGE_RULES = """
table ip byhand {{
    chain arriving {{
        type nat hook prerouting priority dstnat;
        iifname "up0" ip daddr {shared} dnat to ip daddr . tcp dport map {{
            {shared} . 80 : {guest} . {port}, {shared} . 81 : {sibling} . {port} }}
        iifname "up0" dnat to ip daddr map {{ {inward} }}
    }}
    chain leaving {{
        type nat hook postrouting priority srcnat;
        oifname "up0" snat to ip saddr map {{ {outward} }}
    }}
}}
"""


class Home:
    """All of it, with an echo server in each guest, until close().

    ``version`` is the IP version that is spoken; addresses are written, and told, as IPv4.
    """

    def __init__(self) -> None:
        self.version = 4
        self.spaces = {name: Namespace.create(own_name(name)) for name in PLACES}
        self.inside = {name: Inside(space) for name, space in self.spaces.items()}
        for space in self.spaces.values():
            # Addresses count at once.
            space.sysctl(ipv6__conf__default__accept_dad=0, ipv6__conf__default__dad_transmits=0)
        self._cable_overlay()
        self._cable_edge()
        self._cable_host()
        self.load_rules()
        self.echo: dict[str, Echo] = {}
        self._echoes: list[Echo] = []
        for name in (one for one in PLACES if one != "switch"):
            self.echo[name] = self._serve(name, PORT)
        self.other_echo = self._serve("guest", OTHER_PORT)

    def _serve(self, place: str, port: int) -> Echo:
        """Both versions, which remember together who spoke."""
        one = Echo(self.inside[place], port)
        self._echoes += [one, Echo(self.inside[place], port, socket.AF_INET6, one.heard)]
        return one

    def close(self) -> None:
        for echo in self._echoes:
            echo.close()
        for inside in self.inside.values():
            inside.close()
        for space in self.spaces.values():
            space.remove()

    def _cable_overlay(self) -> None:
        switch = self.spaces["switch"]
        switch.ip("link add br0 mtu 2800 type bridge", "link set br0 up")
        switch.unfilter_bridges()
        for name in ("edge", "member", "host"):
            cable(self.spaces[name], "zt0", switch, name, mtu=2800)
            switch.ip(f"link set {name} master br0")
        self.spaces["edge"].ip(f"link set zt0 address {EDGE_MAC}")
        self._both("edge", f"addr add {EDGE}/24 dev zt0")
        self._both("host", f"addr add {HOST_ON_OVERLAY}/24 dev zt0")
        self._both(
            "member",
            f"addr add {MEMBER}/24 dev zt0",
            *(f"route add {one}/32 via {HOST_ON_OVERLAY}" for one in PUBLIC),
            f"route add 10.20.0.1/32 via {HOST_ON_OVERLAY}",
        )

    def _both(self, place: str, *commands: str) -> None:
        """``ip`` commands there, for each version."""
        self.spaces[place].ip(*commands, *map(six, commands))

    def _cable_edge(self) -> None:
        cable(self.spaces["client"], "eth0", self.spaces["edge"], "up0")
        self._both(
            "client", f"addr add {CLIENT}/24 dev eth0", "route add 203.0.113.0/24 via 198.51.100.1"
        )
        self._both(
            "edge",
            "addr add 198.51.100.1/24 dev up0",
            f"addr add {ELSEWHERE}/32 dev lo",
            *(
                f"route add {one}/32 via {HOST_ON_OVERLAY} dev zt0"
                for one in (*PUBLIC, *ROUTED.values())
            ),
        )
        edge = self.spaces["edge"]
        edge.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        rules = EDGE_RULES.format(
            inward=", ".join(f"{public} : {private}" for private, public in PUBLIC.items()),
            outward=", ".join(f"{private} : {public}" for private, public in PUBLIC.items()),
            shared=SHARED,
            guest=GUEST,
            sibling=SIBLING,
            port=PORT,
        )
        edge.run("nft", "-f", "-", stdin=rules + six(re.sub(r"\bip\b", "ip6", rules)))

    def _cable_host(self) -> None:
        host = self.spaces["host"]
        cable(host, "wan0", self.spaces["client"], "hl0")
        self._both("client", "addr add 192.0.2.1/24 dev hl0")
        self._both(
            "host", f"addr add {HOST_AT_HOME}/24 dev wan0", "route add default via 192.0.2.1"
        )
        self._bridge("virbr0", "192.168.122.1", {"guest": GUEST, "sibling": SIBLING})
        self._bridge("virbr1", "10.99.0.1", {"lonely": LONELY})
        self._bridge("br0", HOST_ON_LAN, {"neighbour": NEIGHBOUR, "router": "10.20.0.1"})
        for name in ("guest", "sibling"):
            self._both(name, "route add default via 192.168.122.1")
        self._both("neighbour", "route add default via 10.20.0.1")
        host.sysctl(
            ipv4__ip_forward=1,
            ipv4__conf__all__rp_filter=1,
            ipv4__conf__zt0__rp_filter=1,
            ipv6__conf__all__forwarding=1,
        )

    def _bridge(self, bridge: str, address: str, members: dict[str, str]) -> None:
        host = self.spaces["host"]
        host.ip(f"link add {bridge} type bridge", f"link set {bridge} up")
        self._both("host", f"addr add {address}/24 dev {bridge}")
        for name, own in members.items():
            cable(self.spaces[name], "eth0", host, f"v-{name}")
            host.ip(f"link set v-{name} master {bridge}")
            self._both(name, f"addr add {own}/24 dev eth0")

    def load_rules(self) -> None:
        """What libvirt and the host's owner have in its firewall, into an empty one."""
        host = self.spaces["host"]
        rules = libvirt_rules.networks()
        host.run("iptables-nft-restore", "--noflush", stdin=rules)
        host.run("ip6tables-nft-restore", "--noflush", stdin=six_rules(rules))
        for command in ("iptables-nft", "ip6tables-nft"):
            host.run(command, "-t", "nat", "-A", "POSTROUTING", "-o", "wan0", "-j", "MASQUERADE")

    def filter_bridges(self, how: int) -> bool:
        """Let bridged packets pass the host's rules, too (1), or not (0); False: no such kernel."""
        done = self.spaces["host"].run("sh", "-c", f"echo {how} | tee {BRIDGE_FILTER}", check=False)
        return done.returncode == 0

    def dataplane(self) -> "Spoken":
        """The host's."""
        return Spoken(self.inside["host"](KernelHostDataplane), self.version)

    def ip(self, place: str, *commands: str) -> None:
        """``ip`` commands there."""
        lines = "".join(f"{self._said(one)}\n" for one in commands)
        if self.version == 6:  # the address counts at once
            lines = re.sub("^addr add .*", r"\g<0> nodad", lines, flags=re.MULTILINE)
        self.spaces[place].run("ip", f"-{self.version}", "-batch", "-", stdin=lines)

    def _said(self, text: str) -> str:
        return six(text) if self.version == 6 else text

    def told(self, address: str) -> str:
        """An address that the kernel, or a socket, told."""
        return four(address) if self.version == 6 else address

    def open(self, place: str, *kind: int) -> socket.socket:
        """One of the version that is spoken."""
        family = socket.AF_INET6 if self.version == 6 else socket.AF_INET
        return self.inside[place].socket(family, *kind)

    def at(self, address: str, port: int = PORT) -> tuple[str, int]:
        """As sockets take it."""
        return self._said(address), port

    def name(self, end: tuple[Any, ...]) -> tuple[str, int]:
        """What a socket says of an end of its: address and port."""
        return self.told(end[0]), end[1]

    def answers(self, place: str, address: str, *, port: int = PORT, seconds: float = 3) -> bool:
        """Whether a TCP connection from ``place`` to the echo server there comes about."""
        with self.open(place, socket.SOCK_STREAM) as one:
            one.settimeout(seconds)
            try:
                one.connect(self.at(address, port))
                return echoes(one)
            except OSError:
                return False

    def pings(self, place: str, address: str, *, seconds: float = 3) -> bool:
        """Whether an echo request from ``place`` is answered from there."""
        protocol, header, request, reply = ECHO_REQUEST[self.version]
        with self.open(place, socket.SOCK_RAW, protocol) as one:
            one.settimeout(seconds)
            one.connect(self.at(address, 0))
            one.send(request)
            try:
                while one.recv(100)[header:][: len(reply)] != reply:
                    pass
            except OSError:
                return False
            return True

    def udp(self, place: str, address: str, port: int = PORT) -> socket.socket:
        """Connected to the echo server there."""
        one = self.open(place, socket.SOCK_DGRAM)
        one.connect(self.at(address, port))
        return one

    def tcp(self, place: str, address: str, port: int = PORT) -> socket.socket:
        """Connected to the echo server there; ends at once. Raises OSError after 3 s."""
        one = self.open(place, socket.SOCK_STREAM)
        # Else what a test leaves without a way back would be said again and again in the next.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.connect(self.at(address, port))
        return one

    def heard(self, place: str) -> list[str]:
        """Who spoke to the echo server there since this was last asked."""
        heard = self.echo[place].heard
        said, heard[:] = list(map(self.told, heard)), []
        return said

    def reaches(self, guest: str) -> bool:
        """Whether the client reaches it by its public address."""
        return self.answers("client", PUBLIC[guest])

    def leak(self) -> "Seen":
        """What arrives at the far end of the home line from now on."""
        return self.seen("client", "hl0")

    def seen(self, place: str, device: str) -> "Seen":
        """What arrives there from now on."""
        return Seen(Capture(self.inside[place], device, self.version), self.told)

    def footprint(self) -> str:
        """Everything in the host's kernel that the dataplane may touch, as text; no counters."""
        shown = (
            "nft -s list ruleset",
            "iptables-nft-save",
            "ip6tables-nft-save",
            "ip rule",
            "ip -6 rule",
            "ip -4 route show table all",
            "ip -6 route show table all proto 123",
            "ip neigh show nud permanent",
        )
        return "\n".join(
            line.partition(" [")[0]  # what iptables counted with a chain's policy
            for command in shown
            for line in self.spaces["host"].run(*command.split()).stdout.splitlines()
            if not line.startswith("#")
        )


def six_rules(rules: str) -> str:
    """The same of libvirt's for IPv6, for a network with ``<nat ipv6='yes'>``."""
    lines = [line for line in rules.splitlines() if "-d 224." not in line and "-d 255." not in line]
    return six("\n".join([*lines, ""])).replace("icmp-port-", "icmp6-port-")


class Spoken:
    """A dataplane that is told of the twins of addresses, where IPv6 is spoken."""

    def __init__(self, dataplane: KernelHostDataplane, version: int) -> None:
        self._dataplane = dataplane
        self._version = version
        self.drifted, self.traffic, self.answers, self.close = (
            dataplane.drifted, dataplane.traffic, dataplane.answers, dataplane.close,
        )  # fmt: skip

    def apply(self, desired: HostPlane | None) -> list[str]:
        if desired is not None and self._version == 6:
            desired = six_plane(desired)
        return self._dataplane.apply(desired)


class Seen:
    """What a capture saw, as IPv4."""

    def __init__(self, capture: Capture, told: Callable[[str], str]) -> None:
        self._capture, self._told = capture, told
        self.close = capture.close

    def packets(self) -> list[tuple[str, str]]:
        return [(self._told(one), self._told(other)) for one, other in self._capture.packets()]


def echoes(connection: socket.socket, words: bytes = b"hello") -> bool:
    """Whether what is sent comes back, within the socket's deadline."""
    connection.send(words)
    try:
        return connection.recv(len(words)) == words
    except OSError:
        return False


def read_exactly(connection: socket.socket, length: int) -> bytes:
    """What comes; less than ``length`` bytes only where the other side ended it."""
    parts: list[bytes] = []
    while (left := length - sum(map(len, parts))) and (part := connection.recv(left)):
        parts.append(part)
    return b"".join(parts)


def plane(
    *rules: GuestRule, edge_mac: str = EDGE_MAC, pools: tuple[AddressRange, ...] = ()
) -> HostPlane:
    """The host's, with these guests."""
    return HostPlane("zt0", IPv4Address(EDGE), edge_mac, frozenset(rules), pools)


def rule(
    private: str,
    device: str = "virbr0",
    *,
    hide: bool = False,
    public: str | None = None,
    mode: Mode = Mode.NAT,
    egress: Egress = Egress.HOME,
    ports: Iterable[str] = (),
    allow: Iterable[str] = (),
) -> GuestRule:
    """A guest's; it is active where its public address is given."""
    return GuestRule(
        IPv4Address(private),
        device,
        hide,
        public=ip_address(public) if public else None,
        mode=mode,
        egress=egress,
        ports=tuple(map(PortRange.parse, ports)),
        allow=tuple(map(ip_network, allow)),
        active=public is not None,
    )


def routed(private: str, device: str = "virbr0", **more: Any) -> GuestRule:
    """One whose address the edge only routes here."""
    return rule(private, device, public=ROUTED[private], mode=Mode.ROUTED, **more)
