"""Frames sent through a lane, and the seconds of one core that they take."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address

from bench.burst import Burst, Frames
from bench.frames import ACK, FIN, PUSH, SYN, Flow, Segment, datagrams, ether, segments
from bench.lanes import (
    CLIENT_MAC,
    HOST_MAC,
    OVERLAY_MAC,
    UPLINK_MAC,
    Lane,
    Target,
    inside,
    run_in,
)

FIRST_CLIENT = int(IPv4Address("198.18.128.0"))  # RFC 2544: for benchmarks
CLIENTS = 256
FIRST_PORT = 1_024
"""Each flow has a port of its own, which it keeps where clients are hidden."""
SERVICE, SERVICES = 8_000, 64
"""Several ports: what begins at one faster than 300 a second is a siege to hidden clients."""
INWARD, OUTWARD = ether(CLIENT_MAC, UPLINK_MAC), ether(HOST_MAC, OVERLAY_MAC)
ASKED, ANSWERED = b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 204 .\r\n\r\n"
CONNECTION = (
    (INWARD, Segment(SYN, 0, 0)),
    (OUTWARD, Segment(SYN | ACK, 0, 1)),
    (INWARD, Segment(ACK, 1, 1)),
    (INWARD, Segment(PUSH | ACK, 1, 1, ASKED)),
    (OUTWARD, Segment(PUSH | ACK, 1, 1 + len(ASKED), ANSWERED)),
    (INWARD, Segment(FIN | ACK, 1 + len(ASKED), 1 + len(ANSWERED))),
    (OUTWARD, Segment(FIN | ACK, 1 + len(ANSWERED), 2 + len(ASKED))),
    (INWARD, Segment(ACK, 2 + len(ASKED), 2 + len(ANSWERED))),
)
"""A short connection, packet by packet."""


@contextmanager
def one_core() -> Iterator[None]:
    """This thread runs on one core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Between a lane's ends, for one of its targets."""

    lane: Lane
    target: Target

    def flows(self, count: int) -> float:
        """Seconds a packet, each the first of a flow."""
        self.lane.forget()
        inward, _ = _datagrams(self.target, count, count)
        return self._send(INWARD, inward) / count

    def connections(self, count: int) -> float:
        """Seconds a short TCP connection, from its first packet to its last."""
        self.lane.forget()
        return sum(self._send(*one) for one in _segments(self.target, count)) / count

    def established(self, count: int, flows: int) -> float:
        """Seconds a packet, half of them each way, in so many flows that are there already."""
        both = tuple(zip((INWARD, OUTWARD), _datagrams(self.target, count, flows), strict=True))
        self.lane.forget()
        for one in both:
            self._send(*one)
        return sum(self._send(*one) for one in both) / (2 * count)

    def check(self, count: int) -> None:
        """Whether all gets to the other end: what is dropped half way costs less.

        Raises RuntimeError.
        """
        packets = {way: sum(one == way for one, _ in CONNECTION) for way in (INWARD, OUTWARD)}
        before = self._arrived()
        self.connections(count)
        lost = {way: before[way] + packets[way] * count - n for way, n in self._arrived().items()}
        if any(missing > 0 for missing in lost.values()):
            raise RuntimeError(f"{self.target}: {lost} did not arrive")

    def _arrived(self) -> dict[bytes, int]:
        """Packets by the way that they came."""
        ends = {INWARD: (self.lane.guests, "in0"), OUTWARD: (self.lane.clients, "out0")}
        counter = "/sys/class/net/{}/statistics/rx_packets"
        return {
            way: int(run_in(where, "cat", counter.format(device)))
            for way, (where, device) in ends.items()
        }

    def _send(self, way: bytes, frames: Frames) -> float:
        inward = way == INWARD
        with inside(self.lane.clients if inward else self.lane.guests):
            burst = Burst("out0" if inward else "in0", frames)
        with burst:
            begun = time.thread_time()
            burst.send(frames.count)
            return time.thread_time() - begun


def _inward(target: Target, count: int) -> list[Flow]:
    public = int(target.public)
    return [
        Flow(FIRST_CLIENT + n % CLIENTS, FIRST_PORT + n, public, SERVICE + n % SERVICES)
        for n in range(count)
    ]


def _outward(target: Target, flows: Sequence[Flow]) -> list[Flow]:
    to, private = target.answers_to, int(target.private)
    return [Flow(private, f.service, int(to) if to else f.source, f.port) for f in flows]


@cache
def _datagrams(target: Target, count: int, flows: int) -> tuple[Frames, Frames]:
    """``count`` each way, in so many flows."""
    inward = _inward(target, flows) * (count // flows)
    outward = _outward(target, inward)
    return Frames(datagrams(INWARD, inward), count), Frames(datagrams(OUTWARD, outward), count)


@cache
def _segments(target: Target, count: int) -> tuple[tuple[bytes, Frames], ...]:
    inward = _inward(target, count)
    flows = {INWARD: inward, OUTWARD: _outward(target, inward)}
    return tuple((way, Frames(segments(way, flows[way], said), count)) for way, said in CONNECTION)
