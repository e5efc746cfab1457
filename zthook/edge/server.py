"""Listening on the overlay's address alone, and following it when it changes.

The socket is bound with IP_FREEBIND and so outlives its address: when ZeroTier restarts
and the same address returns, whoever waits is still there. Only another address or port
makes a new one.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from zthook.edge.connection import KEPT_SECONDS, BoundedConnection
from zthook.edge.doorway import Doorway
from zthook.errors import OverlayDown
from zthook.wire.keepalive import KEEPALIVE

log = logging.getLogger("zthook.edge.server")

IP_FREEBIND = 15
"""From linux/in.h; the socket module names it from Python 3.12 on only."""
_LEAVE_SECONDS = 2


class _Server(uvicorn.Server):
    """Signals are the daemon's, not the server's: there may be two servers for a moment.

    Connections come in by our own door.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        context: ssl.SSLContext,
        regular: Callable[[str], bool],
        most: int | None,
    ) -> None:
        super().__init__(config)
        self._context = context
        self._regular = regular
        self._most = most

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()

        def connection() -> BoundedConnection:
            return BoundedConnection(self.config, self.server_state, self.lifespan.state)

        self.servers = [
            Doorway(link, self._context, connection, self._regular, self._most)  # type: ignore[misc]
            for link in sockets or ()
        ]
        self.started = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(address: IPv4Address, port: int) -> socket.socket:
    """A socket for that address, there or not. Raises OSError, e.g. where the port is taken."""
    # TCP is named: asyncio turns off Nagle's delay only where the protocol number says so.
    link = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        link.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        for option in KEEPALIVE:
            link.setsockopt(*option)
        link.bind((str(address), port))
    except OSError:
        link.close()
        raise
    return link


def _configured(app: ASGIApp) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=BoundedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEPT_SECONDS,
        timeout_graceful_shutdown=_LEAVE_SECONDS,
    )
    config.load()
    return config


class Listener:
    """The API, or the web page, at one place at a time. Use it from the loop's thread.

    ``regular`` tells whether a host has spoken from an address; ``most`` is how many
    connections strangers may have, where they may have fewer than usual.
    """

    def __init__(
        self,
        app: ASGIApp,
        context: ssl.SSLContext,
        regular: Callable[[str], bool] = lambda _source: False,
        most: int | None = None,
    ) -> None:
        self._app = app
        self._context = context
        self._regular = regular
        self._most = most
        self._serving: tuple[_Server, asyncio.Task[None]] | None = None
        self.place: tuple[IPv4Address, int] | None = None

    async def listen(self, address: IPv4Address, port: int) -> None:
        """Be at that address and port; where that is so already, nothing happens.

        Raises OverlayDown where the port can not be had; then the place before stays.
        """
        if self.alive and self.place == (address, port):
            return
        try:
            link = bind(address, port)
        except OSError as error:
            raise OverlayDown(
                f"can not listen on {address}:{port}: {error.strerror}",
                hint="another program has that port there: ss -tlnp, or set [api] port",
            ) from error
        self.place = address, port
        log.info("listening on https://%s:%d", address, port)
        await self.serve(link)

    async def serve(self, link: socket.socket) -> None:
        """Take connections at this socket; whoever came by the one before is let go."""
        before = self._serving
        server = _Server(_configured(self._app), self._context, self._regular, self._most)
        self._serving = server, asyncio.create_task(server.serve(sockets=[link]))
        if before is not None:
            await _end(*before)

    @property
    def alive(self) -> bool:
        """Whether connections are taken, or are about to be."""
        return self._serving is not None and not self._serving[1].done()

    async def close(self) -> None:
        """Answer what was asked, within two seconds, and leave."""
        if self._serving is not None:
            await _end(*self._serving)
            self._serving = None


async def _end(server: _Server, task: "asyncio.Task[Any]") -> None:
    server.should_exit = True
    # Not the task itself: whoever is told to end while he waits would end it half-way.
    await asyncio.wait([task])
    task.result()
