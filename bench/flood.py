"""Many small UDP packets, each of another flow, as fast as one core makes them.

Run by ``bench.dataplane`` in the sender's namespace: ``python -m bench.flood DEVICE MAC
DESTINATION PACKETS`` prints the seconds of its core that sending took. What the machines behind
the device do with a packet is done on the same core before the next one is sent, so the seconds
count it too. Standard library only, as C's sendmmsg(2) sends a thousand packets a call.
"""

import ctypes
import os
import socket
import struct
import sys
import time
from ipaddress import IPv4Address

BATCH = 1024
FIRST_CLIENT = IPv4Address("198.18.128.1")  # RFC 2544: for benchmarks
PORTS = 60_000
FIRST_PORT = 1_025
SERVICE = 80
PACKET_QDISC_BYPASS = 20
SOL_PACKET = 263


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("sent", ctypes.c_uint),
    )


def frame(mac: bytes, source: IPv4Address, port: int, destination: IPv4Address) -> bytes:
    """An Ethernet frame with an empty datagram (its check sum left out, as UDP allows)."""
    head = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, source.packed, destination.packed
    )
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack(">H", ~total & 0xFFFF) + head[12:]
    return mac + bytes(6) + b"\x08\x00" + head + struct.pack(">HHHH", port, SERVICE, 8, 0)


def frames(mac: bytes, destination: IPv4Address, count: int) -> bytes:
    """``count`` of them, one behind the other, no two of one flow."""
    return b"".join(
        frame(mac, FIRST_CLIENT + one // PORTS, FIRST_PORT + one % PORTS, destination)
        for one in range(count)
    )


def send(device: str, everything: bytes, count: int) -> float:
    """Send them all; the seconds of this core that took."""
    size = len(everything) // count
    buffer = ctypes.create_string_buffer(everything, len(everything))
    start = ctypes.addressof(buffer)
    vectors = (_Vector * count)(*(_Vector(start + size * one, size) for one in range(count)))
    messages = (_Message * count)()
    for one in range(count):
        messages[one].vectors = ctypes.pointer(vectors[one])
        messages[one].vector_count = 1
    sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind((device, 0))
        out.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        begun = time.thread_time()
        done = 0
        while done < count:
            sent = sendmmsg(out.fileno(), ctypes.byref(messages[done]), min(BATCH, count - done), 0)
            if sent <= 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            done += sent
        return time.thread_time() - begun


def main(device: str, mac: str, destination: str, count: str) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    everything = frames(bytes.fromhex(mac.replace(":", "")), IPv4Address(destination), int(count))
    print(send(device, everything, int(count)))


if __name__ == "__main__":
    main(*sys.argv[1:])
