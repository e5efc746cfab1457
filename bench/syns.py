"""SYNs whose senders never answer, each of another address and port.

``python -m bench.syns DEVICE MAC DESTINATION PORT RATE SECONDS``, in a namespace from which only
machines made for it are reached: prints a line when it is ready, waits for one, and prints how
many it sent.
"""

import random
import struct
import sys
from ipaddress import IPv4Address

from bench.burst import Burst, checksum

FIRST_CLIENT = int(IPv4Address("198.18.0.0"))  # RFC 2544: a /15 for benchmarks
CLIENTS = 1 << 17
OWN_MAC = bytes.fromhex("020000005eed")  # a bridge takes none from nobody
MOST = 400_000


def frame(mac: bytes, source: bytes, port: int, destination: bytes, service: int) -> bytes:
    """An Ethernet frame with a SYN without options."""
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, source, destination)
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    syn = struct.pack(">HHIIBBHHH", port, service, 1, 0, 0x50, 0x02, 8192, 0, 0)
    pseudo = source + destination + struct.pack(">BBH", 0, 6, len(syn))
    syn = syn[:16] + struct.pack(">H", checksum(pseudo + syn)) + syn[18:]
    return mac + OWN_MAC + b"\x08\x00" + head + syn


def frames(mac: bytes, destination: bytes, service: int, count: int) -> bytes:
    """``count`` of them, the same for the same count."""
    chance = random.Random(count)  # noqa: S311
    return b"".join(
        frame(
            mac,
            struct.pack(">I", FIRST_CLIENT + chance.randrange(CLIENTS)),
            chance.randrange(1024, 65536),
            destination,
            service,
        )
        for _ in range(count)
    )


def main(device: str, mac: str, destination: str, service: str, rate: str, seconds: str) -> None:
    count = min(int(int(rate) * float(seconds)), MOST)
    packed = IPv4Address(destination).packed
    everything = frames(bytes.fromhex(mac.replace(":", "")), packed, int(service), count)
    with Burst(device, everything, count) as burst:
        print("ready", flush=True)
        sys.stdin.readline()
        print(burst.send_at(int(rate), float(seconds)))


if __name__ == "__main__":
    main(*sys.argv[1:])
