"""A file on its way to or from a guest while something happens, checked by its checksum.

As a program, `transfer.py get|put ADDRESS COUNT BYTES_PER_SECOND`, it prints {"bytes": N} as it
goes, at that speed until its stdin ends, and {"bytes": N, "ended": true} where all of it came
undamaged; else {"failed": KIND, …} as tests/lab/probe.py.
"""

import hashlib
import json
import select
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LAB = Path(__file__).parents[1] / "lab"
CHUNK = 65536
SILENCE = 20.0
"""Seconds without any progress after which it failed."""


def transfer(machine: Any, verb: str, address: str, count: int, speed: int = 4_000_000) -> Any:
    """A running tests.lab.stream.Stream on ``machine``: stop() waits for the rest of the file."""
    from tests.lab.stream import Stream

    words = [sys.executable, __file__, verb, address, count, speed]
    return Stream(machine.entering(words), machine.environment())


def paced(count: int, speed: int) -> Iterator[int]:
    """Positions in the file, each when it is due; without pause once stdin has ended."""
    began, hurried = time.monotonic(), False
    for position in range(0, count, CHUNK):
        ahead = position / speed - (time.monotonic() - began)
        if not hurried and ahead > 0:
            hurried = bool(select.select([0], [], [], ahead)[0])
        yield position


def say(position: int) -> None:
    """Progress."""
    print(json.dumps({"bytes": position}), flush=True)


def get(peer: socket.socket, whole: bytes, speed: int) -> bool:
    """Download and compare checksums."""
    peer.sendall(b"GET /bytes?%d HTTP/1.0\r\n\r\n" % len(whole))
    came = peer.makefile("rb")
    while came.readline().strip():
        pass
    found = hashlib.sha256()
    for position in paced(len(whole), speed):
        found.update(came.read(min(CHUNK, len(whole) - position)))
        say(position)
    return found.digest() == hashlib.sha256(whole).digest() and came.read() == b""


def put(peer: socket.socket, whole: bytes, speed: int) -> bool:
    """Upload; the guest says how much of it came, and whether it was right."""
    peer.sendall(b"PUT /sink HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(whole))
    for position in paced(len(whole), speed):
        peer.sendall(whole[position : position + CHUNK])
        say(position)
    answer = peer.makefile("rb").read()
    return answer.split(b"\r\n\r\n")[1].split() == [b"%d" % len(whole), b"ok"]


def _main(verb: str, address: str, count: int, speed: int) -> None:
    sys.path.insert(0, str(LAB))
    from pattern import pattern  # type: ignore[import-not-found]
    from probe import kind_of  # type: ignore[import-not-found]

    try:
        with socket.create_connection((address, 80), SILENCE) as peer:
            whole = (get if verb == "get" else put)(peer, pattern(count), speed)
        answer = {"bytes": count, "ended": True} if whole else {"failed": "damaged"}
    except OSError as error:
        answer = {"failed": kind_of(error), "why": str(error)}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
