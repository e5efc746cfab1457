"""A datagram every 2 ms to an echo, always of one flow, and the time of each answer.

``python prober.py ADDRESS PORT`` prints a line with the Unix time in nanoseconds for each
answer, until its stdin ends. Standard library only.
"""

import select
import socket
import sys
import time
from contextlib import suppress

PAUSE = 0.002


def main(address: str, port: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(0)
        link.connect((address, int(port)))
        due = time.monotonic()
        while True:
            with suppress(OSError):  # unreachable just now, as a router says
                link.send(b"x")
            due += PAUSE
            while (left := due - time.monotonic()) > 0:
                ready, _, _ = select.select([link, sys.stdin], [], [], left)
                if sys.stdin in ready:
                    return
                if link in ready:
                    with suppress(OSError):
                        link.recv(100)
                        print(time.time_ns(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
