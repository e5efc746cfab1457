"""An agent for the hook to meet: it can answer, refuse, hang, dribble, close, or be absent."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

Behaviour = Callable[["FakeAgent", socket.socket], None]


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came: what stands before the XML, and the XML."""

    head: tuple[str, ...]
    xml: bytes


def read_call(link: socket.socket) -> Call:
    raw = b""
    while part := link.recv(1 << 16):
        raw += part
    *head, xml = raw.split(b"\0", 5)
    return Call(tuple(word.decode() for word in head), xml)


class FakeAgent:
    """Listens at ``path``; ``released`` ends whatever hangs, and tests assert it was not set."""

    def __init__(self, path: Path, behaviour: Behaviour, backlog: int = 64) -> None:
        self.calls: list[Call] = []
        self.released = threading.Event()
        self._behaviour = behaviour
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(backlog)
        self._threads = [threading.Thread(target=self._accept)]

    def wait_calls(self, count: int) -> list[Call]:
        """Its calls once there are ``count``: on a busy machine a hook may leave before."""
        end = time.monotonic() + 10
        while len(self.calls) < count and time.monotonic() < end:
            time.sleep(0.005)
        return self.calls

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(link,)))
                self._threads[-1].start()

    def _serve(self, link: socket.socket) -> None:
        with link, contextlib.suppress(ConnectionError):
            self._behaviour(self, link)

    @contextlib.contextmanager
    def running(self, *, accepting: bool = True) -> Iterator["FakeAgent"]:
        """``accepting`` False leaves every connection in the backlog."""
        if accepting:
            self._threads[0].start()
        try:
            yield self
        finally:
            self.released.set()
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for thread in self._threads:
                if thread.ident is not None:
                    thread.join(10)


def answers(answer: bytes) -> Behaviour:
    def behave(agent: FakeAgent, link: socket.socket) -> None:
        agent.calls.append(read_call(link))
        link.sendall(answer)

    return behave


def answers_early(answer: bytes) -> Behaviour:
    """Answers and closes without reading what was sent."""

    def behave(agent: FakeAgent, link: socket.socket) -> None:
        link.sendall(answer)

    return behave


def hangs_before_reading(agent: FakeAgent, link: socket.socket) -> None:
    agent.released.wait(30)


def hangs_after_reading(agent: FakeAgent, link: socket.socket) -> None:
    agent.calls.append(read_call(link))
    agent.released.wait(30)


def answers_when_released(agent: FakeAgent, link: socket.socket) -> None:
    """The call counts where somebody still waits for the answer."""
    call = read_call(link)
    agent.released.wait(30)
    link.sendall(b"0")
    agent.calls.append(call)


def notes_who_hangs_up(agent: FakeAgent, link: socket.socket) -> None:
    """Never answers; the call counts once the other side is gone."""
    call = read_call(link)
    ended = select.poll()
    ended.register(link, select.POLLHUP)
    if ended.poll(10_000):
        agent.calls.append(call)


def dribbles(agent: FakeAgent, link: socket.socket) -> None:
    """A byte of a refusal now and then: never silent, never done."""
    read_call(link)
    link.sendall(b"1")
    while not agent.released.wait(0.02):
        link.sendall(b".")
