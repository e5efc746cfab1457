"""What tests ask over a network: does anybody answer there, and what?

Each is asked from a namespace; what must come is waited for, what must not only for a moment.
"""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from tests.kernel.namespace import PATIENCE, Namespace

SILENCE = 0.4
"""Seconds without an answer that count as none; a packet takes well under a millisecond here."""
FIRST_TRY = 0.9
"""Seconds in which a connection comes about that has not lost its SYN: another follows after 1."""
ECHO = {4: (socket.IPPROTO_ICMP, 8, 0), 6: (socket.IPPROTO_ICMPV6, 128, 129)}
"""The protocol of pings, and the types of request and reply."""
BLOCK = 8192


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
