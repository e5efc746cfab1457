"""One connection of the API, cut where the other side is slow, or is nobody and lingers."""

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zthook.edge.gathering import Gathering

HEAD_BYTES = 16 * 1024
"""What may have come of a head that is not yet whole."""
MOST_WAITING = 8
"""Requests of one connection that wait for the answers to those before; no agent has any."""
HEAD_SECONDS = 10.0
"""How long a request's head may take from its first byte; the first one's from the start."""
TAKING_SECONDS = 20.0
"""How long an answer may wait to be taken."""
UNREAD_SECONDS = 2.0
"""How long the answer can be taken to a request whose body was not wanted."""
KEPT_SECONDS = 90
"""Longer than a lease: an agent's heartbeats stay on one connection."""
STRANGERS_KEPT_SECONDS = 5


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's, with bounds. ``on_lost`` is called once, when it ends in whatever way."""

    on_lost: Callable[[], None] | None = None
    _timer: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None
    _head = True
    """Whether a head is awaited of which something came, or the first one."""
    _head_bytes = 0
    _body = False

    def lost(self) -> None:
        """It ended, or never came about."""
        if self.on_lost is not None:
            self.on_lost()
            self.on_lost = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Gathering(transport, self.loop))
        self._follow_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._timer, self._taking):
            if timer is not None:
                timer.cancel()
        self.lost()

    def data_received(self, data: bytes) -> None:
        if not self._body:
            self._head, self._head_bytes = True, self._head_bytes + len(data)
        super().data_received(data)
        if self._head and self._head_bytes > HEAD_BYTES:
            self.send_400_response("this request's head is too long")
        self._follow_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = True
        if len(self.pipeline) >= MOST_WAITING:
            self.transport.abort()
            raise ConnectionAbortedError  # so that nothing more of it is read

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head:  # what follows a body is nobody's business here
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head, self._head_bytes, self._body = False, 0, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._body = False
        super().on_message_complete()

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
        if self._body and self.cycle.response_complete:
            # It was answered without its body: nothing more is read, and the answer can be.
            self.flow.pause_reading()
            self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def _follow_head(self) -> None:
        if self._head and self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
        elif not self._head and self._timer is not None:
            self._timer.cancel()
            self._timer = None
