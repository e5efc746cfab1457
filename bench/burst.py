"""Frames by the thousand, put on a device as fast as one core can, or at a rate.

Standard library only, as C's sendmmsg(2) sends a thousand packets a call. As root, and in a
network namespace made for it.
"""

import ctypes
import os
import socket
import time
from typing import Any, Self

BATCH = 1024
PACKET_QDISC_BYPASS = 20
SOL_PACKET = 263
PAUSE = 0.001


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    # In one structure with the header, what was sent would lie in the header's padding.
    _fields_ = (("header", _Header), ("sent", ctypes.c_uint))


class Frames:
    """``count`` frames of one size, one behind the other in ``everything``, ready to be sent."""

    def __init__(self, everything: bytes, count: int) -> None:
        size = len(everything) // count
        self.count = count
        self._buffer = ctypes.create_string_buffer(everything, len(everything))
        start = ctypes.addressof(self._buffer)
        self._vectors = (_Vector * count)(
            *(_Vector(start + size * one, size) for one in range(count))
        )
        self._messages = (_Message * count)()
        for one in range(count):
            header = self._messages[one].header
            header.vectors = ctypes.pointer(self._vectors[one])
            header.vector_count = 1

    def at(self, first: int) -> Any:
        """Where the message with that frame is."""
        return ctypes.byref(self._messages[first])


class Burst:
    """Frames on ``device``, of the network namespace in which this is made."""

    def __init__(self, device: str, frames: Frames) -> None:
        self.frames = frames
        self._sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
        self._out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._out.bind((device, 0))
        self._out.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()

    def send(self, count: int, first: int = 0) -> None:
        """Send so many, beginning with that one, and again from the first behind the last."""
        done = 0
        while done < count:
            at = (first + done) % self.frames.count
            some = min(BATCH, count - done, self.frames.count - at)
            sent = self._sendmmsg(self._out.fileno(), self.frames.at(at), some, 0)
            if sent <= 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            done += sent

    def send_at(self, rate: int, seconds: float, least: int = 0) -> int:
        """Send ``rate`` a second for so long, or as many as go; how many it were.

        ``least`` are sent however long that takes, up to ten times as long.
        """
        begun, done = time.monotonic(), 0
        while (passed := time.monotonic() - begun) < seconds or (
            done < least and passed < 10 * seconds
        ):
            due = min(int(min(passed, seconds) * rate) - done, BATCH)
            if due > 0:
                self.send(due, done)
                done += due
            else:
                time.sleep(PAUSE)
        return done
