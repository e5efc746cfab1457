"""The program behind a Pulse: `pulsing.py KIND ADDRESS PORT` sends until its stdin ends.

It says a JSON object a tenth of a second, the last one with "ended". stdlib only.
"""

import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress

PAUSE = 0.01
LAST_SECONDS = 2.0
"""How long answers are awaited once nothing more is sent."""
STALL_SECONDS = 30.0
LINE = b"%015d\n"


class Tally:
    """Counts what is sent (from ``port``) and what comes."""

    def __init__(self) -> None:
        self.sent = self.came = self.port = 0
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
        gap_ms = round(gap * 1000, 1)
        said = {"port": self.port, "sent": self.sent, "came": self.came, "gap_ms": gap_ms}
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
        tally.port = sock.getsockname()[1]
        datagrams(tally, sock, lambda number: LINE % number, int)


def flows(tally: Tally, address: str, port: int) -> None:
    """Datagrams to an echo, each from a port of its own: a connection of its own on the way."""
    asked: dict[socket.socket, float] = {}
    due = time.monotonic()
    end: float | None = None
    while end is None or (asked and time.monotonic() < end):
        if end is None and time.monotonic() >= due:
            due += PAUSE
            one = socket.socket(family(address), socket.SOCK_DGRAM)
            with suppress(OSError):
                one.connect((address, port))
                one.send(LINE % tally.sent)
            tally.sent += 1
            asked[one] = time.monotonic()
        for one in select.select([*asked], [], [], max(0.0, due - time.monotonic()))[0]:
            with suppress(OSError):
                one.recv(2048)
                tally.arrived()
            asked.pop(one)
            one.close()
        for one in [one for one, since in asked.items() if time.monotonic() - since > LAST_SECONDS]:
            asked.pop(one)
            one.close()
        tally.tell()
        if end is None and ended():
            end = time.monotonic() + LAST_SECONDS


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
        tally.port = sock.getsockname()[1]
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
        tally.port = sock.getsockname()[1]
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
    kinds = {"udp": udp, "flows": flows, "icmp": icmp, "tcp": tcp, "download": download}
    try:
        kinds[kind](tally, address, port)
    except (OSError, ValueError) as error:
        tally.tell(ended=True, broke=str(error) or type(error).__name__)
        return
    tally.tell(ended=True)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
