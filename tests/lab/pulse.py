"""Something every 10 ms, and what of it comes back: how long a guest is away, and what is lost.

As a program, `pulse.py KIND ADDRESS PORT`, it goes on until its stdin ends; a JSON object a tenth
of a second, the last one with "ended". stdlib only then, and none of the lab.
"""

import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

PAUSE = 0.01
LAST_SECONDS = 2.0
"""How long answers are awaited once nothing more is sent."""
STALL_SECONDS = 30.0
LINE = b"%015d\n"


@dataclass(frozen=True, slots=True)
class Beat:
    """What a pulse found: datagrams (or lines of a connection) sent and lost, in milliseconds the
    longest time without any, and "" or what broke it.
    """

    sent: int
    lost: int
    gap_ms: float
    broke: str = ""


class Pulse:
    """Runs on ``machine`` (a lab's) while inside.

    ``kind`` is "udp" (to an echo), "icmp", "tcp" (lines to an echo, both ways), or "download"
    (only the guest sends: /drip of its page; ``port`` is then 80).
    """

    def __init__(self, machine: Any, kind: str, address: str, port: int = 0) -> None:
        self.came = 0
        self._last: dict[str, Any] = {}
        port = port or (80 if kind == "download" else 7)
        command = machine.entering([sys.executable, __file__, kind, address, port])
        self._child = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.kill()
        self._end()

    def wait_moves(self, count: int = 20, deadline_seconds: float = 20) -> None:
        """Return once so many more came back."""
        from tests.lab.commands import wait_until

        goal = self.came + count
        wait_until(lambda: self.came >= goal, deadline_seconds, lambda: f"answers: {self._last}")

    def stop(self) -> Beat:
        """What it found, of all that was sent."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            self._child.wait(STALL_SECONDS + 10)
        finally:
            self._child.kill()
            self._end()
        said = self._last
        sent, came = int(said["sent"]), int(said["came"])
        return Beat(sent, sent - came, said["gap_ms"], said.get("broke", ""))

    def _end(self) -> None:
        self._child.wait()
        self._reader.join()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._last = json.loads(line)
            self.came = int(self._last["came"])


class Tally:
    """Counts what is sent and what comes."""

    def __init__(self) -> None:
        self.sent = self.came = 0
        self.gap = 0.0
        self._last = self._told = time.monotonic()

    def arrived(self) -> None:
        """One more came."""
        now = time.monotonic()
        self.gap = max(self.gap, now - self._last) if self.came else 0.0
        self._last = now
        self.came += 1

    def stalled(self) -> bool:
        """Whether nothing came for too long."""
        return time.monotonic() - self._last > STALL_SECONDS

    def tell(self, **more: object) -> None:
        """Now and then what was found so far, with ``more`` at once."""
        now = time.monotonic()
        if not more and now - self._told < 0.1:
            return
        self._told = now
        gap = max(self.gap, now - self._last if self.came and "ended" not in more else 0.0)
        said = {"sent": self.sent, "came": self.came, "gap_ms": round(gap * 1000, 1)}
        print(json.dumps({**said, **more}), flush=True)


def ended() -> bool:
    """Whether stdin is closed."""
    return bool(select.select([0], [], [], 0)[0])


def datagrams(
    tally: Tally, sock: socket.socket, made: Callable[[int], bytes], read: Callable[[bytes], int]
) -> None:
    """Send a numbered one each pause, until the end; count those that come back, each once."""
    seen: set[int] = set()
    due = time.monotonic()
    end: float | None = None
    while end is None or (time.monotonic() < end and tally.came < tally.sent):
        if end is None and time.monotonic() >= due:
            due += PAUSE
            with suppress(OSError):  # unreachable just now, as a router says: it counts as lost
                sock.send(made(tally.sent))
            tally.sent += 1
        if select.select([sock], [], [], max(0.0, min(PAUSE, due - time.monotonic())))[0]:
            try:
                number = read(sock.recv(2048))
            except OSError:
                continue
            if 0 <= number < tally.sent and number not in seen:
                seen.add(number)
                tally.arrived()
        tally.tell()
        if end is None and ended():
            end = time.monotonic() + LAST_SECONDS


def udp(tally: Tally, address: str, port: int) -> None:
    """Datagrams to an echo."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as sock:
        sock.connect((address, port))
        datagrams(tally, sock, lambda number: LINE % number, int)


def icmp(tally: Tally, address: str, port: int) -> None:
    """Echo requests."""
    six = ":" in address
    ask, reply = (128, 129) if six else (8, 0)
    mine = os.getpid() & 0xFFFF
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP

    def made(number: int) -> bytes:
        head = struct.pack("!BBHHH", ask, 0, 0, mine, number & 0xFFFF)
        return struct.pack("!BBHHH", ask, 0, checksum(head), mine, number & 0xFFFF)

    def read(packet: bytes) -> int:
        kind, _, _, whose, number = struct.unpack_from("!BBHHH", packet, 0 if six else 20)
        return number if (kind, whose) == (reply, mine) else -1

    with socket.socket(family(address), socket.SOCK_RAW, protocol) as sock:
        sock.connect((address, 0))
        datagrams(tally, sock, made, read)


def tcp(tally: Tally, address: str, port: int) -> None:
    """Lines to an echo, on one connection."""
    with socket.create_connection((address, port), 10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        due, rest, stop = time.monotonic(), b"", False
        while not (stop and tally.came == tally.sent):
            if not stop and time.monotonic() >= due:
                due = max(due + PAUSE, time.monotonic())
                sock.sendall(LINE % tally.sent)
                tally.sent += 1
            if select.select([sock], [], [], max(0.0, min(PAUSE, due - time.monotonic())))[0]:
                rest = lines(tally, sock, rest)
            if tally.stalled():
                raise TimeoutError("nothing came back")
            tally.tell()
            stop = stop or ended()


def download(tally: Tally, address: str, port: int) -> None:
    """Lines that only the other side sends, on one connection."""
    with socket.create_connection((address, port), 10) as sock:
        sock.sendall(b"GET /drip?10 HTTP/1.0\r\n\r\n")
        rest = b""
        while b"\r\n\r\n" not in rest:
            rest += sock.recv(65536)
        rest = rest.partition(b"\r\n\r\n")[2]
        while not ended():
            if select.select([sock], [], [], PAUSE)[0]:
                rest = lines(tally, sock, rest)
                tally.sent = tally.came
            if tally.stalled():
                raise TimeoutError("nothing came")
            tally.tell()


def lines(tally: Tally, sock: socket.socket, rest: bytes) -> bytes:
    """Take what came; each line must be the next one."""
    part = sock.recv(65536)
    if not part:
        raise ConnectionResetError("the other side closed the connection")
    rest += part
    while len(rest) >= 16:
        if rest[:16] != LINE % tally.came:
            raise ValueError(f"line {tally.came} is {rest[:16]!r}")
        rest = rest[16:]
        tally.arrived()
    return rest


def family(address: str) -> socket.AddressFamily:
    """Of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def checksum(content: bytes) -> int:
    """As in RFC 1071; the kernel makes ICMPv6's itself."""
    total = sum(struct.unpack(f"!{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _main(kind: str, address: str, port: int) -> None:
    tally = Tally()
    kinds = {"udp": udp, "icmp": icmp, "tcp": tcp, "download": download}
    try:
        kinds[kind](tally, address, port)
    except (OSError, ValueError) as error:
        tally.tell(ended=True, broke=str(error) or type(error).__name__)
        return
    tally.tell(ended=True)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
