"""Sees every packet of a device, so that a test can say that none of a kind came.

As a program, `capture.py DEVICE FAMILIES` (4, 6 or 46), it prints one JSON object a packet; stdlib
only then.
"""

import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

SIZES = (("4", 0x0800, 34), ("6", 0x86DD, 54))
"""Of each family: its name, its EtherType, and how long a frame of it is at least."""
PORTED = {6, 17}
FRAGMENT = 44
ERRORS = {(1, 3), (1, 11), (58, 1), (58, 2), (58, 3), (58, 4)}
"""Protocol and type of ICMP errors: unreachable, too big, time exceeded, a bad header."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet; ports are 0 where its protocol has none (1 is ICMP, 6 TCP, 17 UDP, 58 ICMPv6)
    or where it is a later fragment. ``error``: it is an ICMP error.
    """

    source: str
    destination: str
    protocol: int
    source_port: int
    destination_port: int
    error: bool = False


class Capture:
    """Runs on ``machine`` (a lab's) while inside; every packet of ``device`` is kept.

    By default of IPv4: in IPv6 machines talk by themselves, with their neighbours and routers.
    """

    def __init__(self, machine: Any, device: str, families: str = "4") -> None:
        self.packets: list[Packet] = []
        self._device = device
        command = machine.entering([sys.executable, __file__, device, families])
        self._child = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, text=True
        )
        self._listens = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._listens.wait(10):
            self._close()
            raise TimeoutError(f"no capture on {device}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def until(
        self, marker: Callable[[], object], is_marker: Callable[[Packet], bool]
    ) -> list[Packet]:
        """Every packet before the first that ``is_marker``, which ``marker`` sends.

        Whatever was sent before it and is not among them did not come.
        """
        from tests.lab.commands import wait_until

        marker()
        wait_until(
            lambda: any(map(is_marker, self.packets)),
            10,
            lambda: f"the marker passes {self._device}; {self.packets} did",
        )
        seen = list(self.packets)
        return seen[: next(number for number, one in enumerate(seen) if is_marker(one))]

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            if line.startswith("{"):
                self.packets.append(Packet(**json.loads(line)))
            else:
                self._listens.set()

    def _close(self) -> None:
        self._child.kill()
        self._child.wait()
        self._reader.join()
        assert self._child.stdout is not None
        self._child.stdout.close()


def _packet(frame: bytes) -> dict[str, Any]:
    """Of an Ethernet frame with an IP packet."""
    if frame[14] >> 4 == 4:
        later = struct.unpack_from("!H", frame, 20)[0] & 0x1FFF
        at, protocol = 14 + (frame[14] & 0x0F) * 4, frame[23]
        source, destination = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
    else:
        at, protocol, later = 54, frame[20], 0
        if protocol == FRAGMENT and len(frame) >= 62:
            at, protocol, later = 62, frame[54], struct.unpack_from("!H", frame, 56)[0] >> 3
        source = socket.inet_ntop(socket.AF_INET6, frame[22:38])
        destination = socket.inet_ntop(socket.AF_INET6, frame[38:54])
    ports = (0, 0)
    whole = not later and len(frame) >= at + 4
    if protocol in PORTED and whole:
        ports = struct.unpack_from("!HH", frame, at)
    return {
        "source": source,
        "destination": destination,
        "protocol": protocol,
        "source_port": ports[0],
        "destination_port": ports[1],
        "error": whole and (protocol, frame[at]) in ERRORS,
    }


def _main(device: str, families: str) -> None:
    least = {kind: size for name, kind, size in SIZES if name in families}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)) as listener:
        listener.bind((device, 0x0003))
        print("ready", flush=True)
        while frame := listener.recv(65536):
            kind = int.from_bytes(frame[12:14], "big")
            if len(frame) >= least.get(kind, 65536):
                print(json.dumps(_packet(frame)), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
