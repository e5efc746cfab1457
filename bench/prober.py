"""A datagram every 2 ms to an echo, always of one flow, and the time of each answer.

``python prober.py ADDRESS PORT`` prints a JSON object for each answer, with the Unix time in
nanoseconds of the first and of the last, until its stdin ends. Standard library only.
"""

import json
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
        due, answers, first = time.monotonic(), 0, 0
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
                        last = time.time_ns()
                        answers, first = answers + 1, first or last
                        said = {"answers": answers, "first": first, "last": last}
                        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
