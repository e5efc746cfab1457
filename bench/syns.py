"""SYNs whose senders never answer, each of another address and port.

``python -m bench.syns DEVICE MAC DESTINATION PORT RATE SECONDS [LEAST]``, in a namespace from which
only machines made for it are reached: prints a line when it is ready, waits for one, and prints
how many it sent, ``LEAST`` also where the machine is too slow for the rate.
"""

import random
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address

from bench.burst import Burst, Frames
from bench.frames import SYN, Flow, Segment, ether, segments

FIRST_CLIENT = int(IPv4Address("198.18.0.0"))  # RFC 2544: a /15 for benchmarks
CLIENTS = 1 << 17
OWN_MAC = "02:00:00:00:5e:ed"  # a bridge takes none from nobody
MOST = 400_000


def flows(destination: IPv4Address, service: int, count: int) -> Iterator[Flow]:
    """``count`` of them, the same for the same count."""
    chance = random.Random(count)  # noqa: S311
    for _ in range(count):
        source = FIRST_CLIENT + chance.randrange(CLIENTS)
        yield Flow(source, chance.randrange(1024, 65536), int(destination), service)


def main(
    device: str,
    mac: str,
    destination: str,
    service: str,
    rate: str,
    seconds: str,
    least: str = "0",
) -> None:
    count = min(int(int(rate) * float(seconds)), MOST)
    some = flows(IPv4Address(destination), int(service), count)
    frames = Frames(segments(ether(OWN_MAC, mac), some, Segment(SYN, 1, 0)), count)
    with Burst(device, frames) as burst:
        print("ready", flush=True)
        sys.stdin.readline()
        print(burst.send_at(int(rate), float(seconds), int(least)))


if __name__ == "__main__":
    main(*sys.argv[1:])
