"""Packets, sent from inside a namespace: a program, started as `probe.py OPERATION JSON`.

Prints one JSON object: what came back, or {"failed": KIND, "why": TEXT} with KIND one of
"timeout", "refused", "unreachable", "reset", "damaged", "other". It is started for each probe:
stdlib only, none of the lab, few imports.
"""

import errno
import json
import os
import select
import socket
import sys
import time
from typing import Any

from pattern import BLOCK, pattern  # type: ignore[import-not-found]  # beside this program

Answer = dict[str, Any]
Source = tuple[str, int] | None
"""The address and port a probe is sent from; None: the kernel's choice."""

KINDS = {
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
}
ROUND = 4096
"""Bytes of the pattern that a stream sends at a time, and awaits back."""


def connection(address: str, port: int, timeout: float, source: Source) -> socket.socket:
    """A TCP connection."""
    return socket.create_connection((address, port), timeout, tuple(source) if source else None)


def http(
    address: str,
    port: int,
    timeout: float,
    method: str = "GET",
    path: str = "/",
    count: int = 0,
    source: Source = None,
) -> Answer:
    """One HTTP request; its body is ``count`` bytes of the pattern."""
    with connection(address, port, timeout, source) as peer:
        head = f"{method} {path} HTTP/1.0\r\nContent-Length: {count}\r\n\r\n"
        peer.sendall(head.encode() + pattern(count))
        answer = b"".join(iter(lambda: peer.recv(65536), b""))
    start, _, body = answer.partition(b"\r\n\r\n")
    if not start:
        return {"failed": "reset", "why": "closed without an answer"}
    return {"status": int(start.split()[1]), "body": body.decode()}


def tcp(address: str, port: int, timeout: float, source: Source = None) -> Answer:
    """A connection is made and closed."""
    with connection(address, port, timeout, source) as peer:
        name = peer.getsockname()
    return {"source": name[0], "source_port": name[1]}


def udp(
    address: str, port: int, timeout: float, text: str = "hello", source: Source = None
) -> Answer:
    """A datagram, said again every 200 ms until one comes back."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as peer:
        if source:
            peer.bind(tuple(source))
        peer.connect((address, port))
        peer.settimeout(0.2)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                peer.send(text.encode())
                return {"text": peer.recv(65536).decode()}
            except TimeoutError:
                continue
    raise TimeoutError("no datagram came back")


def stream(address: str, port: int, timeout: float, pause: float) -> Answer:
    """Send the pattern to an echo, a round every ``pause`` seconds, until stdin ends.

    Prints {"bytes": N} after each round. A failure is: no progress for ``timeout`` seconds, a
    connection that breaks, or anything else coming back.
    """
    total = 0
    with connection(address, port, timeout, None) as peer:
        while not select.select([0], [], [], pause)[0]:
            sent = BLOCK[total % len(BLOCK) :][:ROUND]
            peer.sendall(sent)
            if received(peer, ROUND) != sent:
                return {"failed": "damaged", "why": f"after {total} bytes", "bytes": total}
            total += ROUND
            print(json.dumps({"bytes": total}), flush=True)
    return {"bytes": total, "ended": True}


def received(peer: socket.socket, count: int) -> bytes:
    """Exactly ``count`` bytes."""
    came = b""
    while len(came) < count:
        part = peer.recv(count - len(came))
        if not part:
            raise ConnectionResetError(errno.ECONNRESET, "the other side closed the connection")
        came += part
    return came


def kind_of(error: OSError) -> str:
    """How an error is called in the answer."""
    if isinstance(error, TimeoutError):
        return "timeout"
    return KINDS.get(error.errno or 0, "other")


def main() -> None:
    """Carry out one operation."""
    operations: dict[str, Any] = {"http": http, "tcp": tcp, "udp": udp, "stream": stream}
    try:
        answer = operations[sys.argv[1]](**json.loads(sys.argv[2]))
    except OSError as error:
        answer = {"failed": kind_of(error), "why": str(error)}
    print(json.dumps(answer), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
