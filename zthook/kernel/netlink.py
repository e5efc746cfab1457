"""A plain netlink socket.

pyroute2 takes 20 MB, and for each message as long as this for thirty.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import NamedTuple, Self

from zthook.errors import KernelError

ROUTE = 0
NETFILTER = 12
PROTOCOL = 123
"""The route protocol number that says: this route is ours."""

REQUEST, ACK, DUMP, CREATE = 0x1, 0x4, 0x300, 0x400
NOOP, ERROR, DONE = 1, 2, 3
BATCH_ENDS = 16, 17
SO_SNDBUFFORCE, ROOM = 32, 4096
DUMP_INTERRUPTED = 0x10
SOL_NETLINK, STRICT_CHECK = 270, 12

HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
KIND_MASK = 0x3FFF
"""An attribute's kind without the flags "nested" and "network byte order"."""

LONGEST_ANSWER = 10.0
BATCH = 100
TRIES = 5
"""How often a listing is begun, where what it lists changes all the time."""


def aligned(length: int) -> int:
    """Netlink pads everything to four bytes."""
    return (length + 3) & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """One encoded attribute; for a nested one ``value`` is its attributes."""
    padding = bytes(aligned(len(value)) - len(value))
    return ATTRIBUTE.pack(4 + len(value), kind) + value + padding


def attributes(payload: bytes, offset: int = 0) -> dict[int, bytes]:
    """Kind → value of the attributes in ``payload`` from ``offset`` on."""
    found = {}
    while offset + ATTRIBUTE.size <= len(payload):
        length, kind = ATTRIBUTE.unpack_from(payload, offset)
        if length < ATTRIBUTE.size:
            break
        found[kind & KIND_MASK] = payload[offset + ATTRIBUTE.size : offset + length]
        offset += aligned(length)
    return found


def message(kind: int, flags: int, body: bytes, number: int = 1) -> bytes:
    """One request, header and all; its answer has the same ``number``."""
    return HEADER.pack(HEADER.size + len(body), kind, flags | REQUEST, number, 0) + body


class Netlink:
    """Requests and their answers, in the network namespace of the thread that made it; for one
    thread at a time.
    """

    def __init__(self, protocol: int) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, protocol)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.settimeout(LONGEST_ANSWER)
        if protocol == ROUTE:
            # Without it the kernel ignores what a listing is to be narrowed down to.
            self._socket.setsockopt(SOL_NETLINK, STRICT_CHECK, 1)
        self._socket.bind((0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ask(
        self,
        kind: int,
        flags: int,
        body: bytes,
        *,
        about: str,
        fine: Collection[int] = frozenset(),
    ) -> bytes:
        """The payload of the one answer, empty for an error in ``fine`` (errno).

        Raises KernelError.
        """
        self._send(message(kind, flags, body), about)
        one = next(self._receive(about))
        if one.kind == ERROR and one.code not in fine:
            raise _refusal(about, one.code)
        return b"" if one.kind == ERROR else one.payload

    def dump(self, kind: int, body: bytes, *, about: str) -> list[bytes]:
        """The payload of every object listed, anew where they changed meanwhile.

        Raises KernelError.
        """
        for _ in range(TRIES - 1):
            with suppress(_ChangedError):
                return list(self.stream(kind, body, about=about))
        return list(self.stream(kind, body, about=about))

    def stream(self, kind: int, body: bytes, *, about: str) -> Iterator[bytes]:
        """As ``dump``, one by one: take them all before the next request.

        Where they changed meanwhile KernelError comes after the last one.
        """
        return self._answers(message(kind, DUMP, body), about)

    def digest(self, kind: int, body: bytes, *, about: str) -> bytes:
        """Of every object listed, as it is listed: looking at none of them, in a third of the
        time. Raises KernelError.
        """
        found, last = blake2b(), b""
        self._send(message(kind, DUMP, body), about)
        for last in self._at_hand(about):
            found.update(last)
        ends = list(_answers_in(last))
        refused = next((one.code for one in ends if one.kind == ERROR or one.code > 0), 0)
        if refused or not ends or ends[-1].kind != DONE:
            raise _refusal(about, refused or errno.ENOBUFS)
        return found.digest()

    @property
    def port(self) -> int:
        """What notifications of changes made by this socket carry."""
        found: int = self._socket.getsockname()[0]
        return found

    def carry_out(
        self,
        requests: Sequence[bytes],
        *,
        about: Callable[[int], str],
        fine: Collection[int] = frozenset(),
    ) -> None:
        """Send requests made with the flag ACK; errors in ``fine`` (errno) count as done.

        ``about`` tells, where it is asked, what the request of that number does. Raises
        KernelError for the first other error; some of the requests after it may have been done.
        """
        for first in range(0, len(requests), BATCH):
            batch = requests[first : first + BATCH]
            self._send(b"".join(batch), about(first))
            # All of them, also after a refusal: what is left is the next batch's first answer.
            codes = self._codes(len(batch), about(first))
            for number, code in enumerate(codes, first):
                if code and code not in fine:
                    raise _refusal(about(number), code)

    def transact(
        self, subsystem: int, requests: Sequence[tuple[int, bytes]], *, about: Sequence[str]
    ) -> None:
        """Carry out requests (kind and body) of netfilter's ``subsystem``: all of them or none.

        ``about`` says of each what it does. Raises KernelError for the first that is refused.
        """
        ends = (message(kind, 0, struct.pack(">BBH", 0, 0, subsystem), 0) for kind in BATCH_ENDS)
        numbered = (
            message(kind, ACK | CREATE, body, number)
            for number, (kind, body) in enumerate(requests, 1)
        )
        begin, end = ends
        together = b"".join((begin, *numbered, end))
        # As nft does: it has to be one datagram.
        self._socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, len(together) + ROOM)
        self._send(together, about[0])
        codes = {one.number: one.code for one in self._all_there(about[0])}
        for number, what in enumerate(about, 1):
            if number not in codes or codes[number]:
                raise _refusal(what, codes.get(number, codes.get(0, errno.ENOBUFS)))

    def _all_there(self, about: str) -> Iterator["_Answer"]:
        """What was answered by now, as the kernel has done a transaction once it is sent."""
        for datagram in self._at_hand(about):
            yield from _answers_in(datagram)

    def _at_hand(self, about: str) -> Iterator[bytes]:
        """Each datagram of an answer that waits for nothing but to be taken."""
        self._socket.settimeout(0)
        try:
            while True:
                yield self._datagram(about)
        except BlockingIOError:
            return
        finally:
            self._socket.settimeout(LONGEST_ANSWER)

    def _codes(self, count: int, about: str) -> list[int]:
        """The answer to each request sent, as the kernel gives them in their order."""
        codes: list[int] = []
        while len(codes) < count:
            codes += [one.code for one in self._receive(about)]
        return codes

    def _answers(self, request: bytes, about: str) -> Iterator[bytes]:
        self._send(request, about)
        changed = False
        while True:
            for one in self._receive(about):
                changed = changed or bool(one.flags & DUMP_INTERRUPTED)
                if one.kind == ERROR or one.code > 0:
                    raise _refusal(about, one.code)
                if one.kind == DONE and changed:
                    raise _ChangedError(f"{about}: it changed again and again meanwhile")
                if one.kind == DONE:
                    return
                yield one.payload

    def _send(self, request: bytes, about: str) -> None:
        try:
            self._socket.send(request)
        except OSError as error:
            raise KernelError(f"{about}: {error.strerror}") from error

    def _receive(self, about: str) -> Iterator["_Answer"]:
        """Each message in one datagram."""
        yield from _answers_in(self._datagram(about))

    def _datagram(self, about: str) -> bytes:
        try:
            return self._socket.recv(1 << 18)
        except TimeoutError as error:
            raise KernelError(f"{about}: the kernel did not answer") from error
        except BlockingIOError:
            raise
        except OSError as error:
            raise KernelError(f"{about}: {error.strerror}") from error


class _Answer(NamedTuple):
    kind: int
    flags: int
    code: int
    """The error's number, 0 for none."""
    payload: bytes
    number: int


def _answers_in(datagram: bytes) -> Iterator[_Answer]:
    offset = 0
    while offset + HEADER.size <= len(datagram):
        length, kind, flags, number, _ = HEADER.unpack_from(datagram, offset)
        payload = datagram[offset + HEADER.size : offset + length]
        yield _Answer(kind, flags, _error_number(kind, payload), payload, number)
        offset += aligned(length)


class _ChangedError(KernelError):
    """What was listed is neither what was there before nor after."""


def _error_number(kind: int, payload: bytes) -> int:
    return -struct.unpack_from("=i", payload)[0] if kind in {ERROR, DONE} and payload else 0


def _refusal(about: str, code: int) -> KernelError:
    name = errno.errorcode.get(code, str(code))
    return KernelError(f"{about}: the kernel says {name} ({os.strerror(code)})")
