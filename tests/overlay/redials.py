"""How long a redial keeps edge and host apart, and zthook's own set-up for it, at real daemons."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from tests.kernel_host.inside import Echo, Inside
from tests.lab.commands import wait_until
from tests.lab.line import Line
from tests.overlay.real_zerotier import Node, World
from zthook.host.redial import SPEAK_SECONDS, ping
from zthook.model.redial import Redial
from zthook.overlay.fast_redial import EdgeRedial, HostRedial
from zthook.overlay.redial import HOLD_SECONDS, Enrolled, Reach, reach_of

PORT = 7
EVERY = 0.01
"""Seconds between two questions."""
APART = 60.0
"""An unset daemon heals in 20 s at worst."""


class Pulse:
    """Asks every 10 ms, and knows when it was answered."""

    def __init__(self, inside: Inside, server: str) -> None:
        self._socket = inside.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((server, PORT))
        self._socket.settimeout(EVERY)
        self._ended = threading.Event()
        self.answered = time.monotonic()
        self.asked = 0.0
        """When that was asked which was answered last."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            now = time.monotonic()
            if now >= due:
                due = now + EVERY
                self._say(now)
            self._hear()

    def _say(self, now: float) -> None:
        try:
            self._socket.send(f"{now!r}".encode())
        except OSError:  # an ICMP of before, or the device is away
            return

    def _hear(self) -> None:
        try:
            said = self._socket.recv(100)
        except OSError:  # a timeout is one
            return
        self.answered, self.asked = time.monotonic(), float(said)

    def gap(self, line: Line) -> float:
        """Redial: seconds without an answer."""
        began = time.monotonic()
        wait_until(lambda: self.asked >= began, APART, "an answer before the redial")
        last = self.answered
        line.redial()
        redialled = time.monotonic()
        wait_until(lambda: self.asked >= redialled, APART, "an answer after the redial")
        return self.answered - last

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()


@contextmanager
def pulse(asker: Node, server: Node, network: str) -> Iterator[Pulse]:
    """One asks, the other answers, over the overlay."""
    echo = Echo(server.inside, PORT)
    try:
        asking = Pulse(asker.inside, server.address(network))
        try:
            yield asking
        finally:
            asking.close()
    finally:
        echo.close()


def throughput(sender: Node, receiver: Node, network: str, seconds: float = 5.0) -> float:
    """Bits a second of one TCP connection over the overlay."""
    with receiver.inside.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.bind((receiver.address(network), 0))
        listening.listen()
        with sender.inside.socket(socket.AF_INET, socket.SOCK_STREAM) as sending:
            sending.connect(listening.getsockname())
            taken, _ = listening.accept()
            received: list[int] = []

            def take() -> None:
                with taken:
                    while words := taken.recv(1 << 20):
                        received.append(len(words))

            taking = threading.Thread(target=take)
            taking.start()
            began, block = time.monotonic(), bytes(1 << 16)
            while time.monotonic() < began + seconds:
                sending.sendall(block)
        taking.join()
        return sum(received) * 8 / (time.monotonic() - began)


@contextmanager
def speaking(host: Node, edge: str, *, on: bool = True) -> Iterator[None]:
    """The agent's packet a second, with ``on``."""
    ended = threading.Event()

    def speak() -> None:
        while on and not ended.wait(SPEAK_SECONDS):
            host.inside(ping, IPv4Address(edge))

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class SetUp:
    """What edge and agent do, on a clock that makes up its mind at once."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.seconds = 0.0
        self.journals = (folder / "edge.json", folder / "host.json")
        self.edge = EdgeRedial(world.edge.home, self.journals[0], steady=lambda: self.seconds)
        self.host = HostRedial(world.host.home, self.journals[1])

    def look(self, *, later: float = 0.0) -> Redial:
        """The edge's look, so much later than the one before."""
        self.seconds += later
        host = Enrolled("home1", self.world.host.id, live=True)
        return self.world.edge.inside(self.edge.look, [host])

    def settle(self) -> Redial:
        """What is seen now counts, as it does after a minute."""
        self.look()
        return self.look(later=HOLD_SECONDS)

    def look_at_host(self) -> Redial:
        """The agent's."""
        return self.world.host.inside(self.host.look)

    def restart(self) -> None:
        """As the documentation has it: first the host's, then the edge's."""
        self.restart_host()
        self.settle()
        self.restart_edge()

    def restart_host(self) -> None:
        """Until it is reached at one address: the one that died is forgotten."""
        self.world.host.restart()
        wait_until(self.world.meets, APART, "the host is back")
        wait_until(self.one_address, 2 * APART, "one address")

    def restart_edge(self) -> None:
        """Until its bond is the one that was waiting."""
        self.world.edge.restart()
        wait_until(self.world.meets, APART, "the edge is back")
        self.wait_for("broadcast")

    def one_address(self) -> bool:
        """Whether the host speaks from one alone."""
        peer = self.world.edge.peer(self.world.host)
        return reach_of(peer, time.time(), live=True, spare=True) is Reach.ONE

    def wait_for(self, policy: str) -> None:
        """Until the edge's bond is of that standard policy."""

        def in_force() -> bool:
            self.look(later=1.0)  # which writes it again where the daemon missed it
            time.sleep(1)
            return self.world.edge.peer_policy(self.world.host) == policy

        wait_until(in_force, APART, f"a bond of {policy}")
