"""Many small UDP packets, each of another flow, as fast as one core makes them.

Run by ``bench.dataplane`` in the sender's namespace: ``python -m bench.flood DEVICE MAC
DESTINATION PACKETS`` prints the seconds of its core that sending took. What the machines behind
the device do with a packet is done on the same core before the next one is sent, so the seconds
count it too.
"""

import os
import struct
import sys
import time
from ipaddress import IPv4Address

from bench.burst import Burst, checksum

FIRST_CLIENT = IPv4Address("198.18.128.1")  # RFC 2544: for benchmarks
PORTS = 60_000
FIRST_PORT = 1_025
SERVICE = 80


def frame(mac: bytes, source: IPv4Address, port: int, destination: IPv4Address) -> bytes:
    """An Ethernet frame with an empty datagram (its check sum left out, as UDP allows)."""
    head = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, source.packed, destination.packed
    )
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    return mac + bytes(6) + b"\x08\x00" + head + struct.pack(">HHHH", port, SERVICE, 8, 0)


def frames(mac: bytes, destination: IPv4Address, count: int) -> bytes:
    """``count`` of them, one behind the other, no two of one flow."""
    return b"".join(
        frame(mac, FIRST_CLIENT + one // PORTS, FIRST_PORT + one % PORTS, destination)
        for one in range(count)
    )


def main(device: str, mac: str, destination: str, count: str) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    everything = frames(bytes.fromhex(mac.replace(":", "")), IPv4Address(destination), int(count))
    with Burst(device, everything, int(count)) as burst:
        begun = time.thread_time()
        burst.send(int(count))
        print(time.thread_time() - begun)


if __name__ == "__main__":
    main(*sys.argv[1:])
