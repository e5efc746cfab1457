"""Hands frames on between two tap devices, not as they come: as a program, and by itself.

`relay.py ONE OTHER SEED LATE DOUBLED LOST` makes the devices, prints "ready", and at its end
(SIGTERM) a JSON object of what it did. The last three are shares of the frames: some are held back
for up to HELD_SECONDS, so that others overtake them, some come twice, the second one late, and some
never. The same seed decides the same for the same frames in the same order. Stdlib only.
"""

import fcntl
import heapq
import json
import os
import random
import select
import signal
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from types import FrameType

SET_DEVICE = 0x400454CA
TAP, WITHOUT_HEADER = 0x0002, 0x1000
HELD_SECONDS = 0.03
LONGEST = 65536
AT_ONCE = 64
"""Frames that are read from one side before the other one is looked at."""


def tap(name: str) -> int:
    """A new tap device, there for as long as this file is open."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, SET_DEVICE, struct.pack("16sH22x", name.encode(), TAP | WITHOUT_HEADER))
    return file


@dataclass
class Relay:
    """``taps`` are the two files; a frame from one leaves by the other."""

    taps: tuple[int, int]
    chance: random.Random
    late: float
    doubled: float
    lost: float
    did: Counter[str] = field(default_factory=Counter)
    _waiting: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    _last: dict[int, int] = field(default_factory=dict)
    _number: int = 0

    def run(self) -> None:
        """For ever."""
        while True:
            left = self._waiting[0][0] - time.monotonic() if self._waiting else None
            readable, _, _ = select.select(
                self.taps, [], [], None if left is None else max(0.0, left)
            )
            for file in readable:
                self._take(file)
            self._send_what_is_due()

    def _take(self, file: int) -> None:
        there = self.taps[file == self.taps[0]]
        for _ in range(AT_ONCE):
            try:
                frame = os.read(file, LONGEST)
            except BlockingIOError:
                return
            self._decide(there, frame)

    def _decide(self, there: int, frame: bytes) -> None:
        self._number += 1
        self.did["came"] += 1
        if self.chance.random() < self.lost:
            self.did["lost"] += 1
            return
        if self.chance.random() < self.doubled:
            self.did["doubled"] += 1
            self._hold(there, frame)
        if self.chance.random() < self.late:
            self.did["late"] += 1
            self._hold(there, frame)
        else:
            self._send(there, self._number, frame)

    def _hold(self, there: int, frame: bytes) -> None:
        due = time.monotonic() + self.chance.uniform(0, HELD_SECONDS)
        heapq.heappush(self._waiting, (due, self._number, there, frame))

    def _send_what_is_due(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, number, there, frame = heapq.heappop(self._waiting)
            self._send(there, number, frame)

    def _send(self, there: int, number: int, frame: bytes) -> None:
        self.did["overtaken"] += number < self._last.get(there, 0)
        self._last[there] = max(number, self._last.get(there, 0))
        try:
            os.write(there, frame)
        except OSError:  # the device is down, or its queue is full: as on any wire
            self.did["refused"] += 1


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit


def _main(one: str, other: str, seed: str, *shares: str) -> None:
    signal.signal(signal.SIGTERM, _end)
    late, doubled, lost = map(float, shares)
    chance = random.Random(int(seed))  # noqa: S311 - the same again
    relay = Relay((tap(one), tap(other)), chance, late, doubled, lost)
    print("ready", flush=True)
    try:
        relay.run()
    finally:
        print(json.dumps(relay.did), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
