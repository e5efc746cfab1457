"""What of this machine must not be given away: whoever holds it holds the machine."""

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from zthook.kernel.links import default_routers, default_source
from zthook.kernel.route_listing import others_routes
from zthook.model.addresses import IPAddress
from zthook.model.publication import Protocol

ESTABLISHED, CLOSED, LISTENING = "01", "07", "0A"
"""States in /proc/net; CLOSED is a UDP socket that takes packets of everybody."""
SSH_PORT = 22
LONGEST_NAME = 16
"""Of a process, its line's end included (TASK_COMM_LEN)."""
LOGIN_DAEMONS = frozenset({"sshd", "sshd-session", "sshd-auth", "dropbear"})
"""Process names; OpenSSH 9.8 and later hands each connection to a process of its own."""


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """One line of /proc/net/tcp."""

    address: IPAddress
    port: int
    state: str
    inode: str


def login_addresses(proc: Path = Path("/proc")) -> frozenset[IPAddress]:
    """The local addresses of established login connections (SSH).

    Told by the process that has the socket or the listening one, and where processes can
    not be seen, by port 22.
    """
    sockets = [one for name in ("tcp", "tcp6") for one in _sockets(proc, name)]
    ours = _login_inodes(proc)
    ports = {one.port for one in sockets if one.state == LISTENING and one.inode in ours}
    return frozenset(
        one.address
        for one in sockets
        if one.state == ESTABLISHED and (one.inode in ours or one.port in ports | {SSH_PORT})
    )


@dataclass(frozen=True, slots=True)
class Served:
    """A port on which a program of this machine waits; ``0.0.0.0`` is every IPv4 address that
    it has, ``::`` every address.
    """

    protocol: Protocol
    port: int
    address: IPAddress


def served_ports(proc: Path = Path("/proc")) -> frozenset[Served]:
    """What this machine serves by TCP and UDP, whoever does."""
    waiting = ((Protocol.TCP, LISTENING), (Protocol.UDP, CLOSED))
    return frozenset(
        Served(protocol, port, _address(address))
        for protocol, state in waiting
        for name in (protocol.value, f"{protocol.value}6")
        for address, port in _waiting(proc, name, state)
    )


def _waiting(proc: Path, name: str, state: str) -> Iterator[tuple[str, int]]:
    """Address and port of each socket of that state, read no further than they go: /proc/net/tcp
    begins with those that listen, and a busy machine has thousands of others behind them.
    """
    try:
        with (proc / "thread-self" / "net" / name).open(encoding="ascii") as lines:
            next(lines)
            for line in lines:
                _, local, _, found, _ = line.split(maxsplit=4)
                if found == state:
                    address, _, port = local.partition(":")
                    yield address, int(port, 16)
                elif state == LISTENING:
                    return
    except FileNotFoundError:
        return  # IPv6 is off


def _sockets(proc: Path, name: str) -> Iterator[TcpSocket]:
    # thread-self: /proc/net would show the network namespace of the process's first thread.
    try:
        lines = (proc / "thread-self" / "net" / name).read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return  # IPv6 is off
    for line in lines[1:]:
        fields = line.split()
        address, _, port = fields[1].partition(":")
        if fields[3] in {ESTABLISHED, LISTENING}:
            yield TcpSocket(_address(address), int(port, 16), fields[3], fields[9])


def _address(text: str) -> IPAddress:
    """The kernel prints each 32 bits in the machine's byte order."""
    words = (int(text[at : at + 8], 16) for at in range(0, len(text), 8))
    found = ip_address(b"".join(struct.pack("=I", word) for word in words))
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _login_inodes(proc: Path) -> frozenset[str]:
    # By descriptors: every pass looks at every process, and with paths that takes thrice as long.
    with _directory(proc) as folder:
        return frozenset(
            inode
            for name in os.listdir(folder)  # noqa: PTH208 - a descriptor
            if name.isdigit() and _name(folder, name) in LOGIN_DAEMONS
            for inode in _socket_inodes(proc / name)
        )


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    """Its descriptor."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield folder
    finally:
        os.close(folder)


def _name(proc: int, process: str) -> str:
    try:
        comm = os.open(f"{process}/comm", os.O_RDONLY, dir_fd=proc)
    except OSError:
        return ""  # it ended while we looked
    try:
        return os.read(comm, LONGEST_NAME).decode(errors="replace").strip()
    except OSError:
        return ""
    finally:
        os.close(comm)


def _socket_inodes(process: Path) -> Iterator[str]:
    try:
        for descriptor in (process / "fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                yield target[len("socket:[") : -1]
    except OSError:
        return  # it ended, or is not ours to look into


def needed(overlay: Iterable[IPAddress]) -> dict[IPAddress, str]:
    """``reasons`` as this machine is now; ``overlay`` are its addresses there."""
    routes = others_routes()
    return reasons(default_source(routes), login_addresses(), overlay, default_routers(routes))


def reasons(
    sources: Iterable[IPAddress],
    logins: Iterable[IPAddress],
    overlay: Iterable[IPAddress],
    routers: Iterable[IPAddress],
) -> dict[IPAddress, str]:
    """Address → why it is protected, in words that follow "it is".

    Who answers ARP for his router's address takes the internet from himself and his neighbours.
    """
    return {
        **dict.fromkeys(routers, "the router of the edge's default route"),
        **dict.fromkeys(overlay, "the edge's own address on the overlay"),
        **dict.fromkeys(logins, "in use by a login session (SSH)"),
        **dict.fromkeys(sources, "the source address of the edge's default route"),
    }
