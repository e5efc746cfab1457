"""A network namespace with a thread of its own in it, in which tests run commands and sockets."""

import fcntl
import os
import re
import socket
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import Enum
from functools import partial
from itertools import count, groupby
from pathlib import Path
from typing import TypeVar

from pyroute2 import netns

from tests.kernel_host.twins import four, six

T = TypeVar("T")
Address = tuple[str, int]

_numbers = count()

PATIENCE = 5.0
"""Seconds until something that must happen counts as not happening."""

CHANGES = re.compile(r"^ip (-6 )?(link|addr|route|rule|neigh) (add|set|del|delete|replace|flush)\b")
OF_ONE_VERSION = re.compile(r"^ip (?=(-\w+ )*(addr|route|rule|neigh)\b)")
SIOCGIFHWADDR = 0x8927


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


def mac(where: Namespace, device: str) -> str:
    """The device's MAC."""

    def asked() -> str:
        with socket.socket() as one:
            told = fcntl.ioctl(one, SIOCGIFHWADDR, struct.pack("40s", device.encode()))
        return told[18:24].hex(":")

    return where.call(asked)
