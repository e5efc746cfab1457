"""TCP between real ends, through a lane that speaks: many short connections, and one long one.

One thread is both ends, so that its seconds count client, edge and guest.
"""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle

from bench.lanes import Lane, Target, inside
from bench.traffic import ANSWERED, ASKED, SERVICE, SERVICES

BLOCK = bytes(1 << 18)
PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Talk:
    """With the guest at a target; ``listening`` is he, by port."""

    lane: Lane
    target: Target
    listening: dict[int, socket.socket]

    def connections(self, count: int) -> float:
        """Seconds a short connection: made, asked, answered and ended."""
        clients = self._clients(count)
        begun = time.thread_time()
        for client, port in zip(clients, cycle(self.listening), strict=False):
            guest = self._connect(client, port)
            client.sendall(ASKED)
            guest.recv(len(ASKED))
            guest.sendall(ANSWERED)
            client.recv(len(ANSWERED))
            client.close()
            guest.close()
        return (time.thread_time() - begun) / count

    def bulk(self, size: int) -> float:
        """Seconds a byte of one stream from the client to the guest."""
        (client,) = self._clients(1)
        guest = self._connect(client, SERVICE)
        buffer, received = bytearray(len(BLOCK)), 0
        with client, guest:
            client.settimeout(0)
            guest.settimeout(0)
            begun = time.thread_time()
            while received < size:
                readable, writable, _ = select.select([guest], [client], [], PATIENCE)
                if writable:
                    client.send(BLOCK)
                if readable:
                    received += guest.recv_into(buffer)
                if not (readable or writable):
                    raise RuntimeError(f"{self.target}: nothing moves")
            return (time.thread_time() - begun) / received

    def _clients(self, count: int) -> list[socket.socket]:
        with inside(self.lane.clients):
            made = [socket.socket() for _ in range(count)]
        for one in made:
            one.settimeout(PATIENCE)
        return made

    def _connect(self, client: socket.socket, port: int) -> socket.socket:
        client.connect((str(self.target.public), port))
        return self.listening[port].accept()[0]


@contextmanager
def talking(lane: Lane, target: Target) -> Iterator[Talk]:
    """The guest listens; the lane speaks already."""
    with ExitStack() as stack:
        listening = {}
        for port in range(SERVICE, SERVICE + SERVICES):
            with inside(lane.guests):
                one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((str(target.private), port))
            one.listen()
            one.settimeout(PATIENCE)
            listening[port] = one
        yield Talk(lane, target, listening)
