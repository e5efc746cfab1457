"""A transport that writes an answer's head and body as one."""

import asyncio
from typing import Any

MOST_BYTES = 16 * 1024
"""What is kept back; more is written at once, so that who does not take it holds up who writes."""


class Gathering(asyncio.Transport):
    """Hands on to ``transport``; what is written in one turn of the loop goes as one.

    uvicorn writes heads by themselves: two records of TLS and two packets for a small answer.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._kept: list[bytes] = []
        self._kept_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._kept:
            self._loop.call_soon(self.flush)
        self._kept.append(bytes(data))
        self._kept_bytes += len(data)
        if self._kept_bytes > MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is kept back."""
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        if kept and not self._transport.is_closing():
            self._transport.write(b"".join(kept))

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        self._kept, self._kept_bytes = [], 0
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()
