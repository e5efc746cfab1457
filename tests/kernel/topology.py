"""client and neighbour — router — uplink — edge — overlay — two members, a guest behind each.

Addresses are documentation ones. Ways of arrival: 203.0.113.0/24 is the uplink's own prefix
(on-link), 192.0.2.0/24 is routed to the edge, 198.18.0.10 is translated by the router to
203.0.113.40 ("arrives as"). A topology that speaks IPv6 has the addresses' twins instead; its
tests are written with the IPv4 addresses all the same, and are told such.
"""

import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Self

from tests.kernel.namespace import Namespace


class EchoServer:
    """Accepts on every address of a namespace, answers what it reads, and remembers who came.

    ``peers`` are (address, port), ``segments`` the largest segment it may send to each.
    """

    def __init__(self, where: Namespace, port: int, answer: bytes, address: str) -> None:
        self.peers: list[tuple[str, int]] = []
        self.segments: list[int] = []
        self._answer = answer
        self._connections: list[socket.socket] = []
        self._listening = where.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind((address, port))
        self._listening.listen(64)
        self._listening.settimeout(None)
        self._udp = where.socket(socket.SOCK_DGRAM)
        self._udp.bind((address, port))
        self._udp.settimeout(None)
        self._threads = ThreadPoolExecutor(16)
        self._threads.submit(self._accept)
        self._threads.submit(self._reply)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, peer = self._listening.accept()
                self.peers.append(peer)
                self._connections.append(connection)
                self.segments.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
                self._threads.submit(self._echo, connection)

    def _echo(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while received := connection.recv(65536):
                connection.sendall(self._answer + received)

    def _reply(self) -> None:
        with suppress(OSError):
            while True:
                received, peer = self._udp.recvfrom(65536)
                if not received:
                    return
                self.peers.append(peer)
                self._udp.sendto(self._answer + received, peer)

    def close(self) -> None:
        for one in (self._listening, self._udp, *self._connections):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._threads.shutdown()


class Topology:
    """All of it, an echo server on port 80 of the edge and of each guest.

    ``version`` is the IP version that is spoken.
    The edge has forwarding off and no rules, as a rented server comes. Both guests have the
    same addresses.
    """

    def __init__(self, overlay_mtu: int = 2800, version: int = 4) -> None:
        self.version = version
        self._made: list[Namespace] = []
        self._servers: list[EchoServer] = []
        try:
            self._make()
            with ExitStack() as together:
                for one in self._made:
                    together.enter_context(one.later())
                self._connect(overlay_mtu)
            self.own_server = self.serve(self.edge, 80, b"edge ")
            self.server1 = self.serve(self.guest1, 80, b"guest1 ")
            self.server2 = self.serve(self.guest2, 80, b"guest2 ")
        except BaseException:
            self.close()
            raise

    def namespace(self, name: str) -> Namespace:
        """One more, removed with the topology."""
        self._made.append(Namespace(name, self.version))
        return self._made[-1]

    def _make(self) -> None:
        self.router = self.namespace("router")
        self.client = self.namespace("client")
        self.neighbour = self.namespace("neighbour")
        self.edge = self.namespace("edge")
        self.switch = self.namespace("overlay")
        self.home1, self.home2 = self.namespace("home1"), self.namespace("home2")
        self.guest1, self.guest2 = self.namespace("guest1"), self.namespace("guest2")

    def _connect(self, mtu: int) -> None:
        self.router.run("ip link add wire type bridge", "ip link set wire up")
        self.switch.run("ip link add sw type bridge", "ip link set sw up")
        self.cable(self.client, "eth0", self.router, "client")
        for one in (self.edge, self.neighbour):
            self.cable(one, "eth0", self.router, f"p{one.name.rpartition('-')[2][:8]}", "wire")
        self.router.run(
            "ip addr add 203.0.113.1/24 dev wire",
            "ip addr add 198.51.100.1/24 dev client",
            "ip route add 192.0.2.0/24 via 203.0.113.2",
            "sysctl -qw net.ipv4.ip_forward=1",
        )
        self.router.nft(
            "table ip provider { chain in { type nat hook prerouting priority dstnat;"
            " ip daddr 198.18.0.10 dnat to 203.0.113.40\n }\n}"
        )
        self.address(self.client, "198.51.100.7/24", "198.51.100.1")
        # The newest of a prefix would be IPv6's first choice as the source.
        self.client.run("ip addr add 198.51.100.8/24 dev eth0 preferred_lft 0")
        self.address(self.edge, "203.0.113.2/24", "203.0.113.1")
        self.address(self.neighbour, "203.0.113.3/24", "203.0.113.1")
        self.plug_overlay(self.edge, "192.168.193.222/24", mtu)
        for number, (home, guest) in enumerate(
            ((self.home1, self.guest1), (self.home2, self.guest2)), start=2
        ):
            self._home(home, guest, f"192.168.193.{number}/24", mtu)

    def _home(self, home: Namespace, guest: Namespace, overlay: str, mtu: int) -> None:
        self.plug_overlay(home, overlay, mtu)
        self.cable(home, "virbr0", guest, "eth0")
        home.run(
            "ip addr add 192.168.122.1/24 dev virbr0",
            "sysctl -qw net.ipv4.ip_forward=1",
            "ip rule add iif virbr0 lookup 100",
            "ip route add default via 192.168.193.222 dev zt0 table 100",
            "ip route add 192.168.193.0/24 dev zt0 table 100",
        )
        self.address(guest, "192.168.122.50/24", "192.168.122.1")
        guest.run("ip addr add 192.168.122.51/24 dev eth0 preferred_lft 0")

    def cable(
        self, one: Namespace, device: str, other: Namespace, far: str, bridge: str = ""
    ) -> None:
        """Lay a cable; ``bridge`` is the one that its far end is plugged into."""
        ends = f"{device} netns {one.name} type veth peer name {far} netns {other.name}"
        subprocess.run(["ip", "link", "add", *ends.split()], check=True)
        one.run(f"ip link set {device} up")
        plug = (f"ip link set {far} master {bridge}",) if bridge else ()
        other.run(*plug, f"ip link set {far} up")

    def address(self, where: Namespace, address: str, gateway: str) -> None:
        where.run(f"ip addr add {address} dev eth0", f"ip route add default via {gateway}")

    def plug_overlay(self, where: Namespace, address: str, mtu: int = 2800) -> None:
        """Join the overlay with a new device, as ZeroTier makes one."""
        far = f"m{address.split('/')[0].rpartition('.')[2]}"
        self.cable(where, "zt0", self.switch, far, "sw")
        self.switch.run(f"ip link set {far} mtu {mtu}")
        where.run(f"ip link set zt0 mtu {mtu}", f"ip addr add {address} dev zt0")

    def translate(self, home: Namespace, public: str, private: str = "192.168.122.50") -> None:
        """What a host does for a routed mapping, for all of the address."""
        home.nft(
            f"""table ip routed {{
    chain arriving {{ type nat hook prerouting priority dstnat; policy accept;
        iifname zt0 ip daddr {public} dnat to {private}; }}
    chain leaving {{ type nat hook postrouting priority srcnat; policy accept;
        oifname zt0 ip saddr {private} snat to {public}; }}
}}"""
        )

    def serve(
        self, where: Namespace, port: int, answer: bytes = b"", address: str = ""
    ) -> EchoServer:
        """An echo server that ends with the topology; ``answer`` precedes its echoes."""
        self._servers.append(EchoServer(where, port, answer, address))
        return self._servers[-1]

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for one in reversed(self._made):
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
