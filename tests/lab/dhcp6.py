"""Asks for an IPv6 address by DHCPv6 (RFC 8415), once: a program, `dhcp6.py DEVICE HOSTNAME`.

busybox has no client for it. Prints the address; the caller gives it to the device. Stdlib only.
"""

import socket
import struct
import sys
import time
from pathlib import Path

SOLICIT, ADVERTISE, REQUEST, REPLY = 1, 2, 3, 7
CLIENT_ID, SERVER_ID, IA_NA, IA_ADDRESS, WANTED, ELAPSED, NAME = 1, 2, 3, 5, 6, 8, 39
EVERYBODY = "ff02::1:2"
TRANSACTION = 0x5A4854
SECONDS = 10


def option(code: int, content: bytes) -> bytes:
    """One option."""
    return struct.pack("!HH", code, len(content)) + content


def options(text: bytes) -> dict[int, bytes]:
    """The options of a message, each by its code; of several the last."""
    found: dict[int, bytes] = {}
    while len(text) >= 4:
        code, length = struct.unpack_from("!HH", text)
        found[code], text = text[4 : 4 + length], text[4 + length :]
    return found


def message(kind: int, mac: bytes, hostname: str, *more: bytes) -> bytes:
    """What the client sends."""
    name = bytes([0, len(hostname)]) + hostname.encode()
    return struct.pack("!I", kind << 24 | TRANSACTION) + b"".join(
        (
            option(CLIENT_ID, struct.pack("!HH", 3, 1) + mac),
            option(ELAPSED, b"\0\0"),
            option(WANTED, struct.pack("!H", 23)),
            option(NAME, name),
            *more,
        )
    )


def exchange(sock: socket.socket, asked: bytes, index: int, answer: int) -> dict[int, bytes]:
    """Ask until it is answered: the answer's options."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        sock.sendto(asked, (EVERYBODY, 547, 0, index))
        try:
            came = sock.recv(2048)
        except TimeoutError:
            continue
        if struct.unpack_from("!I", came)[0] == answer << 24 | TRANSACTION:
            return options(came[4:])
    sys.exit("no DHCPv6 server answers")


def lease(device: str, hostname: str) -> str:
    """The address that the server gives."""
    mac = bytes.fromhex(Path(f"/sys/class/net/{device}/address").read_text().replace(":", ""))
    index = socket.if_nametoindex(device)
    none = struct.pack("!III", 1, 0, 0)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::", 546))
        sock.settimeout(0.5)
        offer = exchange(
            sock, message(SOLICIT, mac, hostname, option(IA_NA, none)), index, ADVERTISE
        )
        asked = (option(SERVER_ID, offer[SERVER_ID]), option(IA_NA, offer[IA_NA]))
        given = exchange(sock, message(REQUEST, mac, hostname, *asked), index, REPLY)
    address = options(given[IA_NA][12:])[IA_ADDRESS][:16]
    return socket.inet_ntop(socket.AF_INET6, address)


if __name__ == "__main__":
    print(lease(sys.argv[1], sys.argv[2]))
