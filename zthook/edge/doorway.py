"""Letting connections in: who has too many, comes too fast or does not finish is cut off.

uvicorn sees a connection once TLS is agreed upon; until then, and before that costs anything,
it is ours.
"""

import asyncio
import logging
import socket
import ssl
import struct
from asyncio import sslproto
from collections import Counter, OrderedDict
from collections.abc import Callable

from zthook.edge.connection import BoundedConnection
from zthook.edge.rates import Rates

log = logging.getLogger("zthook.edge.server")

MOST_CONNECTIONS = 8192
MOST_OF_ONE_SOURCE = 64
"""An agent needs two; several hosts may come by one LAN gateway."""
MOST_HANDSHAKES = 256
"""At once; of more the oldest of a stranger is cut, as an honest one takes milliseconds."""
HANDSHAKE_SECONDS = 5.0
BURST = 64.0
PER_SECOND = 8.0
"""Connections that one source may begin."""
STRANGERS_BURST, STRANGERS_PER_SECOND = 256.0, 16.0
"""Those that may be begun from all sources together from which no host has spoken yet."""
_AT_ONCE = 64
_BUFFER = 16 * 1024
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset, and the kernel keeps nothing of it."""

Handshake = asyncio.Task[None]


class Doorway:
    """Accepts at ``link`` and hands over what ``connection`` makes, once TLS is up.

    ``regular`` tells from which addresses hosts have spoken: however many strangers there
    are, those come in; else there are ``most`` connections, where that is said. It stands
    where uvicorn has an ``asyncio.Server``: ``close`` and ``wait_closed``.
    """

    def __init__(
        self,
        link: socket.socket,
        context: ssl.SSLContext,
        connection: Callable[[], BoundedConnection],
        regular: Callable[[str], bool],
        most: int | None = None,
    ) -> None:
        # Each connection has a buffer of this size for as long as it lives: 256 kB is what
        # asyncio gives it, half a gigabyte for a thousand hosts.
        sslproto.SSLProtocol.max_size = _BUFFER
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._context = context
        self._connection = connection
        self._regular = regular
        self._most = most
        self._of_source: Counter[str] = Counter()
        self._handshakes: OrderedDict[Handshake, str] = OrderedDict()
        self._rates = Rates(self._loop.time, burst=BURST, per_second=PER_SECOND)
        self._strangers = Rates(
            self._loop.time, burst=STRANGERS_BURST, per_second=STRANGERS_PER_SECOND
        )
        link.settimeout(0)
        link.listen(1024)
        self._loop.add_reader(link, self._accept)

    def close(self) -> None:
        """Let nobody in any more; who is in stays."""
        self._loop.remove_reader(self._link)
        for handshake in self._handshakes:
            handshake.cancel()

    async def wait_closed(self) -> None:
        """Until nobody is on the doorstep."""
        await asyncio.gather(*self._handshakes, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                link, (source, *_) = self._link.accept()
            except BlockingIOError:
                return
            except OSError as error:  # it left again, or we have no descriptor for it
                log.warning("a connection can not be taken: %s", error.strerror)
                return
            if self._may(source):
                self._begin(link, source)
            else:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                link.close()

    def _may(self, source: str) -> bool:
        if self._of_source[source] >= MOST_OF_ONE_SOURCE or self._rates.take(source):
            return False
        if self._regular(source):
            return True
        return self._of_source.total() < (
            self._most or MOST_CONNECTIONS
        ) and not self._strangers.take("")

    def _begin(self, link: socket.socket, source: str) -> None:
        if len(self._handshakes) >= MOST_HANDSHAKES:
            self._cut_one()
        self._of_source[source] += 1
        connection = self._connection()
        connection.on_lost = lambda: self._left(source)
        handshake = self._loop.create_task(self._agree(link, connection))
        self._handshakes[handshake] = source

        def done(handshake: Handshake) -> None:  # also where it was cut before it began
            self._handshakes.pop(handshake, None)
            if handshake.cancelled() or handshake.exception() is not None:
                link.close()
                connection.lost()

        handshake.add_done_callback(done)

    def _cut_one(self) -> None:
        strangers = (one for one, source in self._handshakes.items() if not self._regular(source))
        oldest = next(strangers, next(iter(self._handshakes)))
        del self._handshakes[oldest]
        oldest.cancel()

    async def _agree(self, link: socket.socket, connection: BoundedConnection) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._loop.connect_accepted_socket(
            lambda: connection,
            link,
            ssl=self._context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
        )

    def _left(self, source: str) -> None:
        self._of_source[source] -= 1
        if not self._of_source[source]:
            del self._of_source[source]
