"""Sends packets that the kernel would not: a program, `forge.py DEVICE MAC JSON`, stdlib only.

MAC is the next hop's. JSON is a list of objects with source, destination, protocol (1, 6 or
17), and where they matter source_port, destination_port, text. TCP is a SYN, ICMP an echo
request.
"""

import json
import socket
import struct
import sys

ICMP, TCP, UDP = 1, 6, 17
PREFERENCE = {"source_port": 40404, "destination_port": 80, "text": "forged"}


def checksum(content: bytes) -> int:
    """As in RFC 1071."""
    padded = content + b"\0" * (len(content) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def transport(wanted: dict[str, object]) -> bytes:
    """The IP payload; a sum of zero stands where the pseudo header's belongs."""
    ports = struct.pack("!HH", wanted["source_port"], wanted["destination_port"])
    text = str(wanted["text"]).encode()
    if wanted["protocol"] == TCP:
        return ports + struct.pack("!IIBBHHH", 1, 0, 5 << 4, 2, 65535, 0, 0)
    if wanted["protocol"] == UDP:
        return ports + struct.pack("!HH", 8 + len(text), 0) + text
    head = struct.pack("!BBHHH", 8, 0, 0, 7, 1)
    return struct.pack("!BBHHH", 8, 0, checksum(head + text), 7, 1) + text


def packet(wanted: dict[str, object]) -> bytes:
    """The IPv4 packet."""
    source = socket.inet_aton(str(wanted["source"]))
    destination = socket.inet_aton(str(wanted["destination"]))
    protocol = int(str(wanted["protocol"]))
    payload = transport(wanted)
    if protocol == TCP:  # UDP may go without a sum, TCP may not
        pseudo = source + destination + struct.pack("!BBH", 0, protocol, len(payload))
        total = struct.pack("!H", checksum(pseudo + payload))
        payload = payload[:16] + total + payload[18:]
    before = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol)
    total = struct.pack("!H", checksum(before + b"\0\0" + source + destination))
    return before + total + source + destination + payload


def main(device: str, mac: str, packets: list[dict[str, object]]) -> None:
    """Send each once."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((device, 0))
        head = bytes.fromhex(mac.replace(":", "")) + sender.getsockname()[4] + b"\x08\x00"
        for wanted in packets:
            sender.send(head + packet(PREFERENCE | wanted))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
