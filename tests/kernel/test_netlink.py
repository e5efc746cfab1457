"""What our own netlink socket makes of the kernel's answers, said here by the test."""

import errno
import socket
import struct
from collections.abc import Iterator

import pytest

from zthook.errors import KernelError
from zthook.kernel.netlink import (
    DONE,
    DUMP_INTERRUPTED,
    ERROR,
    HEADER,
    ROUTE,
    TRIES,
    Netlink,
    attribute,
    attributes,
)

OBJECT, MULTI = 24, 0x2


def said(kind: int, payload: bytes, flags: int = MULTI) -> bytes:
    return HEADER.pack(HEADER.size + len(payload), kind, flags, 1, 0) + payload


END = said(DONE, struct.pack("=i", 0))
CHANGED = said(OBJECT, b"torn", MULTI | DUMP_INTERRUPTED)


class Kernel:
    """Our socket's other end: what it says is there before anybody asks."""

    def __init__(self) -> None:
        here, self._there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.asks = Netlink(ROUTE)
        self.asks._socket.close()
        self.asks._socket = here
        here.settimeout(0.05)

    def says(self, *datagrams: bytes) -> None:
        for one in datagrams:
            self._there.send(one)

    def listed(self) -> list[bytes]:
        return self.asks.dump(26, b"body", about="listing")

    def close(self) -> None:
        self.asks.close()
        self._there.close()


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    yield made
    made.close()


def test_a_listing_in_several_datagrams(kernel: Kernel) -> None:
    kernel.says(said(OBJECT, b"one!") + said(OBJECT, b"two!"), said(OBJECT, b"last"), END)
    assert kernel.listed() == [b"one!", b"two!", b"last"]


def test_what_changed_while_it_was_listed_is_listed_anew(kernel: Kernel) -> None:
    kernel.says(said(OBJECT, b"old!"), CHANGED, END, said(OBJECT, b"new!"), END)
    assert kernel.listed() == [b"new!"]
    kernel.says(said(OBJECT, b"next"), END)
    assert kernel.listed() == [b"next"], "nothing of before is left unread"


def test_what_changes_all_the_time_is_an_error(kernel: Kernel) -> None:
    kernel.says(*[CHANGED, END] * TRIES)
    with pytest.raises(KernelError, match="listing: it changed again and again meanwhile"):
        kernel.listed()
    kernel.says(said(OBJECT, b"next"), END)
    assert kernel.listed() == [b"next"]


@pytest.mark.parametrize("kind", [ERROR, DONE])
def test_a_listing_that_fails_is_no_short_one(kernel: Kernel, kind: int) -> None:
    """Also where the kernel says so at its end."""
    kernel.says(said(OBJECT, b"one!"), said(kind, struct.pack("=i", -errno.ENOENT)))
    with pytest.raises(KernelError, match=r"listing: the kernel says ENOENT \(No such file"):
        kernel.listed()


def test_silence_is_an_error(kernel: Kernel) -> None:
    kernel.says(said(OBJECT, b"one!"))
    with pytest.raises(KernelError, match="listing: the kernel did not answer"):
        kernel.listed()


def test_attributes_are_read_as_they_were_written() -> None:
    written = attribute(1, b"abc") + attribute(0x8002, attribute(3, b"")) + attribute(4, b"four")
    assert attributes(written) == {1: b"abc", 2: attribute(3, b""), 4: b"four"}
    assert attributes(b"head" + written, 4) == attributes(written)
    assert attributes(written + b"\1\0") == attributes(written), "what is cut off is not read"
