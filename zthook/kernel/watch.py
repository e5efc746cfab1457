"""Being told that the kernel's state changed. What is told is a hint, never the change itself."""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

from zthook.kernel.netlink import HEADER, NETFILTER, ROUTE, aligned

KINDS = {
    "link": (16, 17),
    "address": (20, 21),
    "route": (24, 25),
    "neighbour": (28, 29),
    "rule": (32, 33),
}
_KIND_OF = {number: kind for kind, numbers in KINDS.items() for number in numbers}
# Multicast groups: the bits of RTMGRP_* for both families.
_GROUPS = {
    "link": 0x1,
    "address": 0x10 | 0x100,
    "route": 0x40 | 0x400,
    "neighbour": 0x4,
    "rule": 0x80 | 1 << 18,
}
_NFTABLES_GROUP = 1 << 6


@dataclass(frozen=True, slots=True)
class Notification:
    """What changed, by whose socket (its port; 0 for the kernel itself), and the message.

    ``kind`` is a key of KINDS, "nft", or "lost" where the kernel could not tell everything.
    """

    kind: str
    port: int
    payload: bytes


class Subscription:
    """Notifications of these kinds since it was opened, without waiting for any."""

    def __init__(self, *kinds: str) -> None:
        wanted = {ROUTE: sum(_GROUPS[kind] for kind in kinds if kind != "nft")}
        if "nft" in kinds:
            wanted[NETFILTER] = _NFTABLES_GROUP
        self.sockets = tuple(_listen(protocol, groups) for protocol, groups in wanted.items())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more."""
        for one in self.sockets:
            one.close()

    def drain(self) -> Iterator[Notification]:
        """Everything that has come; nothing stays unread."""
        for one in self.sockets:
            while (datagram := _receive(one)) is not None:
                yield from _notifications(one, datagram)


class Watch:
    """Calls ``on_change(kind)`` in the running event loop for each kind that changed.

    Kinds are "link", "address", "route", "rule", "neighbour", "nft"; where the kernel lost
    notifications, all that were asked for. Own changes are told as well.
    """

    def __init__(
        self, on_change: Callable[[str], None], kinds: tuple[str, ...] = (*KINDS, "nft")
    ) -> None:
        self._on_change = on_change
        self._kinds = kinds
        self._subscription = Subscription(*kinds)
        self._loop = asyncio.get_running_loop()
        for one in self._subscription.sockets:
            self._loop.add_reader(one, self._readable)

    def close(self) -> None:
        """Call no more."""
        for one in self._subscription.sockets:
            self._loop.remove_reader(one)
        self._subscription.close()

    def _readable(self) -> None:
        changed = {one.kind for one in self._subscription.drain()}
        for kind in self._kinds:
            if kind in changed or "lost" in changed:
                self._on_change(kind)


def _listen(protocol: int, groups: int) -> socket.socket:
    flags = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    one = socket.socket(socket.AF_NETLINK, flags, protocol)
    one.bind((0, groups))
    return one


def _receive(one: socket.socket) -> bytes | None:
    """One datagram, empty where some were lost, None where there is none."""
    try:
        return one.recv(1 << 17)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno == errno.ENOBUFS:
            return b""
        raise


def _notifications(one: socket.socket, datagram: bytes) -> Iterator[Notification]:
    if not datagram:
        yield Notification("lost", 0, b"")
    offset = 0
    while offset + HEADER.size <= len(datagram):
        length, number, _, _, port = HEADER.unpack_from(datagram, offset)
        kind = "nft" if one.proto == NETFILTER else _KIND_OF.get(number)
        if kind is not None:
            yield Notification(kind, port, datagram[offset + HEADER.size : offset + length])
        offset += max(aligned(length), HEADER.size)
