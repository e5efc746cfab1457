"""One connection of the API, cut where the other side is slow, or is nobody and lingers."""

import asyncio
from collections.abc import Callable

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""How long a request's head may take from its first byte; the first one's from the start."""
TAKING_SECONDS = 20.0
"""How long an answer may wait to be taken."""
UNREAD_SECONDS = 2.0
"""How long the answer can be taken to a request whose body was not wanted."""
KEPT_SECONDS = 90
"""Longer than a lease: an agent's heartbeats stay on one connection."""
STRANGERS_KEPT_SECONDS = 5


class BoundedConnection(H11Protocol):
    """uvicorn's, with deadlines. ``on_lost`` is called once, when it ends in whatever way."""

    on_lost: Callable[[], None] | None = None
    _head: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None

    def lost(self) -> None:
        """It ended, or never came about."""
        if self.on_lost is not None:
            self.on_lost()
            self.on_lost = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._follow_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._head, self._taking):
            if timer is not None:
                timer.cancel()
        self.lost()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._follow_head()

    def pause_writing(self) -> None:
        """The other side takes nothing: not for long."""
        super().pause_writing()
        if self._taking is None:
            self._taking = self.loop.call_later(TAKING_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def on_response_complete(self) -> None:
        known = "host" in self.scope["state"]
        self.timeout_keep_alive = KEPT_SECONDS if known else STRANGERS_KEPT_SECONDS
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            # It was answered without its body: nothing more is read, and the answer can be.
            self.flow.pause_reading()
            self.loop.call_later(UNREAD_SECONDS, self.transport.abort)
        self._follow_head()

    def _follow_head(self) -> None:
        """Have a timer while a head is awaited of which something came, or the first one."""
        waits = self.conn.their_state is h11.IDLE
        if waits and (self.cycle is None or self.conn.trailing_data[0]):
            if self._head is None:
                self._head = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
        elif self._head is not None:
            self._head.cancel()
            self._head = None
