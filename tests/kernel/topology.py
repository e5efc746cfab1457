"""client and neighbour — router — uplink — edge — overlay — two members, a guest behind each.

Addresses are documentation ones. Ways of arrival: 203.0.113.0/24 is the uplink's own prefix
(on-link), 192.0.2.0/24 is routed to the edge, 198.18.0.10 is translated by the router to
203.0.113.40 ("arrives as"). A topology that speaks IPv6 has the addresses' twins instead; its
tests are written with the IPv4 addresses all the same, and are told such.
"""

import fcntl
import os
import re
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum
from functools import partial
from itertools import count, groupby
from pathlib import Path
from typing import Self, TypeVar

from pyroute2 import netns

from tests.kernel_host.twins import four, six

T = TypeVar("T")
Address = tuple[str, int]

PATIENCE = 5.0
"""Seconds until something that must happen counts as not happening."""
SILENCE = 0.4
"""Seconds without an answer that count as none; a packet takes well under a millisecond here."""
FIRST_TRY = 0.9
"""Seconds in which a connection comes about that has not lost its SYN: another follows after 1."""

_numbers = count()


CHANGES = re.compile(r"^ip (-6 )?(link|addr|route|rule|neigh) (add|set|del|delete|replace|flush)\b")
OF_ONE_VERSION = re.compile(r"^ip (?=(-\w+ )*(addr|route|rule|neigh)\b)")
SIOCGIFHWADDR = 0x8927
ECHO = {4: (socket.IPPROTO_ICMP, 8, 0), 6: (socket.IPPROTO_ICMPV6, 128, 129)}
"""The protocol of pings, and the types of request and reply."""


def six_rules(text: str) -> str:
    """The same rules for the twins."""
    ported = re.sub(r"([0-9.]{7,}):(\d+)", r"[\1]:\2", text)
    return re.sub(r"\bip(?= )", "ip6", six(ported))


class TwinSocket(socket.socket):
    """An IPv6 socket that is told IPv4 addresses, and tells them."""

    def bind(self, address: Address) -> None:  # type: ignore[override]
        super().bind((six(address[0]), address[1]))

    def connect(self, address: Address) -> None:  # type: ignore[override]
        super().connect((six(address[0]), address[1]))

    def sendto(self, data: bytes, address: Address) -> int:  # type: ignore[override]
        return super().sendto(data, (six(address[0]), address[1]))

    def recvfrom(self, size: int) -> tuple[bytes, Address]:  # type: ignore[override]
        data, (host, port, *_) = super().recvfrom(size)
        return data, (four(host), port)

    def accept(self) -> tuple[socket.socket, Address]:
        one, (host, port, *_) = super().accept()
        return one, (four(host), port)

    def getsockname(self) -> Address:
        host, port, *_ = super().getsockname()
        return four(host), port


class Namespace:
    """One network namespace with a thread that lives in it.

    Where ``version`` is 6, commands are given for the twins of the addresses in them.
    """

    def __init__(self, name: str, version: int = 4) -> None:
        self.version = version
        self._later: list[str] | None = None
        self.name = f"ke{os.getpid()}-{next(_numbers)}-{name}"
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self._thread = ThreadPoolExecutor(1, initializer=netns.setns, initargs=(self.name,))
        self.run(
            "ip link set lo up",
            "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0",
        )

    def run(self, *commands: str, check: bool = True) -> str:
        """Run commands inside, one after the other; the last one's output.

        In as few processes as can be: a topology takes a hundred commands, and a process for
        each was most of what a test cost.
        """
        output = ""
        for kind, some in groupby(map(self.spoken, commands), _kind):
            if kind is Kind.CHANGE and self._later is not None:
                self._later += some
            elif kind is Kind.SETTING:
                self.call(partial(_set, some))
            elif kind is Kind.CHANGE and check:
                output = self._ip(list(some))
            else:
                for command in some:
                    output = self._run(command.split(), check=check)
        return output

    @contextmanager
    def later(self) -> Iterator[None]:
        """Commands of ``ip`` that change something are carried out at the end, together."""
        self._later = []
        yield
        some, self._later = self._later, None
        if some:
            self._ip(some)

    def _ip(self, commands: list[str]) -> str:
        """Commands of ``ip`` that change something: ``-6`` is of a whole batch."""
        output = ""
        for version, some in _batches(commands):
            words = ["ip", *(["-6"] if version == 6 else ()), "-n", self.name, "-batch", "-"]
            lines = (command.removeprefix("ip ").removeprefix("-6 ") for command in some)
            output = self._run(words, "\n".join(lines))
        return output

    def _run(self, command: list[str], text: str | None = None, *, check: bool = True) -> str:
        where = [] if text is not None else ["ip", "netns", "exec", self.name]
        done = subprocess.run(
            [*where, *command],
            input=text,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 4,
            check=False,
        )
        assert not check or done.returncode == 0, f"{text or command}: {done.stderr}"
        return done.stdout

    def spoken(self, command: str) -> str:
        """The command for the twins, where IPv6 is spoken."""
        if self.version == 4:
            return command
        command = command.replace("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")
        command = command.replace("conntrack -L", "conntrack -L -f ipv6")
        if command.startswith("nft "):
            return six_rules(command)
        return OF_ONE_VERSION.sub("ip -6 ", six(command))

    def nft(self, text: str) -> str:
        """Feed ``text`` to nft inside."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, "nft", "-f", "-"],
            input=text if self.version == 4 else six_rules(text),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def call(self, do: Callable[[], T]) -> T:
        """Run ``do`` in the thread inside."""
        return self._thread.submit(do).result(timeout=60)

    def socket(self, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> socket.socket:
        """A socket of this namespace, with a time limit."""

        def made() -> socket.socket:
            if self.version == 6:
                return TwinSocket(socket.AF_INET6, kind, protocol)
            return socket.socket(socket.AF_INET, kind, protocol)

        one = self.call(made)
        one.settimeout(PATIENCE)
        return one

    def close(self) -> None:
        self._thread.shutdown()
        netns.remove(self.name)


class Kind(Enum):
    """Of command: those of a kind that follow one another are carried out together."""

    CHANGE, SETTING, OTHER = range(3)


def _kind(command: str) -> Kind:
    if command.startswith("sysctl -qw "):
        return Kind.SETTING
    return Kind.CHANGE if CHANGES.match(command) else Kind.OTHER


def _batches(commands: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """With the version that each is for; of links any."""
    version, some = 0, list[str]()
    for command in commands:
        own = 6 if command.startswith("ip -6 ") else 0 if command.startswith("ip link ") else 4
        if own and version and own != version:
            yield version, some
            some = []
        some.append(command)
        version = own or version
    yield version, some


def _set(commands: Iterable[str]) -> None:
    for command in commands:
        for setting in command.removeprefix("sysctl -qw ").split():
            name, _, value = setting.partition("=")
            Path("/proc/sys", *name.split(".")).write_text(value, encoding="ascii")


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


def mac(where: Namespace, device: str) -> str:
    """The device's MAC."""

    def asked() -> str:
        with socket.socket() as one:
            told = fcntl.ioctl(one, SIOCGIFHWADDR, struct.pack("40s", device.encode()))
        return told[18:24].hex(":")

    return where.call(asked)


@contextmanager
def connection(
    where: Namespace, address: str, port: int, *, source: str = "", wait: float = PATIENCE
) -> Iterator[socket.socket]:
    """A TCP connection, from ``source`` if it says so; raises OSError where none comes about."""
    with where.socket() as one:
        one.settimeout(wait)
        one.bind((source, 0))
        one.connect((address, port))
        one.settimeout(PATIENCE)
        yield one


def reaches(
    where: Namespace, address: str, port: int = 80, *, source: str = "", wait: float = PATIENCE
) -> bool:
    """Whether a TCP connection comes about and its bytes come back."""
    return tells(where, address, port, source=source, wait=wait) != b""


def tells(
    where: Namespace, address: str, port: int = 80, *, source: str = "", wait: float = PATIENCE
) -> bytes:
    """What a TCP connection is answered with; nothing where none comes about."""
    with suppress(OSError), connection(where, address, port, source=source, wait=wait) as one:
        return answer(one, wait=wait)
    return b""


def answer(one: socket.socket, word: bytes = b"are you there?", wait: float = PATIENCE) -> bytes:
    """What comes back for ``word``; nothing where nothing does."""
    one.settimeout(wait)
    try:
        one.sendall(word)
        return one.recv(65536)
    except OSError:
        return b""


def asks(
    where: Namespace, address: str, port: int = 80, *, source: str = "", wait: float = PATIENCE
) -> bytes:
    """What a UDP datagram is answered with; nothing where it is not."""
    with where.socket(socket.SOCK_DGRAM) as one:
        one.bind((source, 0))
        one.connect((address, port))
        return answer(one, wait=wait)


def pings(where: Namespace, address: str, *, wait: float = PATIENCE) -> bool:
    """Whether an ICMP echo request is answered (its checksum is all that is not zero)."""
    protocol, request, reply = ECHO[where.version]
    with where.socket(socket.SOCK_RAW, protocol) as one:
        one.connect((address, 0))
        found = answer(one, struct.pack("!BBHHH", request, 0, 0xF7FD, 1, 1), wait)
        return found[20 if where.version == 4 else 0 :][:1] == bytes([reply])


def echoes(one: socket.socket, *, wait: float = PATIENCE) -> bool:
    """Whether something comes back."""
    return answer(one, wait=wait) != b""


def silent(ask: Callable[..., object], *where: object, **options: object) -> bool:
    """Whether one of these hears nothing, waiting no longer than an answer takes at most on a quiet
    machine: an answer that is there is waited for with PATIENCE.
    """
    return not ask(*where, wait=SILENCE, **options)


class Stream:
    """Writes to an echoing connection without pause, and checks what comes back."""

    def __init__(self, one: socket.socket) -> None:
        self.sent = 0
        self.echoed = 0
        self.intact = True
        self._one = one
        self._going = True
        self._threads = ThreadPoolExecutor(2)
        self._writing = self._threads.submit(self._write)
        self._reading = self._threads.submit(self._read)

    def _write(self) -> None:
        while self._going:
            self._one.sendall(_block(self.sent))
            self.sent += BLOCK
        self._one.shutdown(socket.SHUT_WR)

    def _read(self) -> None:
        received = b""
        while some := self._one.recv(1 << 20):
            received += some
            while len(received) >= BLOCK:
                self.intact = self.intact and received[:BLOCK] == _block(self.echoed)
                self.echoed += BLOCK
                received = received[BLOCK:]

    def grew(self) -> bool:
        """Whether more comes back than up to now."""
        before = self.echoed
        return eventually(lambda: self.echoed > before)

    def end(self) -> bool:
        """Write no more; whether every byte came back as it was."""
        self._going = False
        self._writing.result(timeout=60)
        self._reading.result(timeout=60)
        self._threads.shutdown()
        return self.intact and self.sent == self.echoed > 0


BLOCK = 8192


def _block(offset: int) -> bytes:
    return struct.pack("=Q", offset) * (BLOCK // 8)


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it becomes true, in time."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
