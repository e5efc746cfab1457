"""Calls made inside a network namespace, each in that namespace's one thread."""

import contextlib
import ctypes
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import ParamSpec, TypeVar

from tests.lab.namespace import Namespace

P = ParamSpec("P")
T = TypeVar("T")
CLONE_NEWNET = 0x40000000
IP_PKTINFO = 8
HOP_BY_HOP, DISCOVERY = 0, range(130, 138)


class Inside:
    """One thread that lives in ``namespace``; sockets made there stay there."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self._thread = ThreadPoolExecutor(1, initializer=self._enter)

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with self.namespace.path.open("rb") as file:
            if libc.setns(file.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")

    def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self._thread.submit(call, *args, **kwargs).result(timeout=30)

    def socket(self, *kind: int) -> socket.socket:
        """A socket of this namespace, with a deadline of its own."""
        made = self(socket.socket, *kind)
        made.settimeout(3)
        return made

    def close(self) -> None:
        self._thread.shutdown()


class Echo:
    """A TCP and a UDP server that say back what they hear and remember who spoke in ``heard``."""

    def __init__(
        self,
        inside: Inside,
        port: int,
        family: int = socket.AF_INET,
        heard: list[str] | None = None,
    ) -> None:
        self.heard: list[str] = [] if heard is None else heard
        self._connections: list[socket.socket] = []
        self._tcp = inside.socket(family, socket.SOCK_STREAM)
        self._udp = inside.socket(family, socket.SOCK_DGRAM)
        for one in (self._tcp, self._udp):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            for one in (self._tcp, self._udp):
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            self._udp.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        for one in (self._tcp, self._udp):
            one.bind(("", port))
            one.settimeout(None)
        self._tcp.listen(16)
        # One for each connection: what tests cut off no side ever ends.
        self._threads = ThreadPoolExecutor(64)
        self._threads.submit(self._accept)
        self._threads.submit(self._answer)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, peer = self._tcp.accept()
                self.heard.append(peer[0])
                self._connections.append(connection)
                self._threads.submit(self._echo, connection)

    @staticmethod
    def _echo(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while words := connection.recv(4096):
                connection.sendall(words)

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                words, [(level, kind, about)], _, peer = self._udp.recvmsg(4096, 100)
                if not words:
                    return
                self.heard.append(peer[0])
                # From the address that was asked, by itself it would be that of the way back;
                # but by any device.
                asked = about[:16] if level == socket.IPPROTO_IPV6 else bytes(4) + about[4:8]
                self._udp.sendmsg([words], [(level, kind, asked + bytes(4))], 0, peer)

    def close(self) -> None:
        self._tcp.shutdown(socket.SHUT_RDWR)
        self._tcp.close()
        with contextlib.suppress(OSError):  # an unconnected socket: the reader wakes all the same
            self._udp.shutdown(socket.SHUT_RDWR)
        self._udp.close()
        for connection in self._connections:  # the other side may be gone without a word
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._threads.shutdown(wait=True, cancel_futures=True)


class Capture:
    """Every IP packet of a version that arrives at a device: (source, destination) as text.

    Of IPv6 without what neighbours say to each other.
    """

    def __init__(self, inside: Inside, device: str, version: int = 4) -> None:
        kind = {4: 0x0800, 6: 0x86DD}[version]
        self._socket = inside.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(kind))
        self._socket.bind((device, kind))
        self._version = version
        self._socket.settimeout(0)
        self.seen: list[tuple[str, str]] = []

    def packets(self) -> list[tuple[str, str]]:
        """All so far, those that the device sent itself not among them."""
        while True:
            try:
                packet, where = self._socket.recvfrom(65535)
            except BlockingIOError:
                return self.seen
            if where[2] != socket.PACKET_OUTGOING and not self._is_of_neighbours(packet):
                ends = (packet[8:24], packet[24:40]) if self._version == 6 else (
                    packet[12:16], packet[16:20],
                )  # fmt: skip
                source, destination = map(ip_address, ends)
                self.seen.append((str(source), str(destination)))

    def _is_of_neighbours(self, packet: bytes) -> bool:
        """Neighbour and router discovery, and multicast listeners."""
        if self._version != 6:
            return False
        return packet[6] == HOP_BY_HOP or (
            packet[6] == socket.IPPROTO_ICMPV6 and packet[40] in DISCOVERY
        )

    def close(self) -> None:
        self._socket.close()


def own_name(purpose: str) -> str:
    """A namespace's name that no other test run has."""
    return f"zkh{os.getpid()}-{purpose}"
