"""A home as people have it, for pictures: some guests, some traffic, one thing amiss."""

import math
import random
import time
from ipaddress import IPv4Address
from uuid import UUID

from tests.edge.world import Agent, Edge, FakeInside
from zthook.kernel.links import DefaultRoute
from zthook.kernel.traffic import Traffic
from zthook.model.addresses import IPAddress
from zthook.model.clock import ManualClock
from zthook.model.paths import OverlayPath
from zthook.store.rows import Standing
from zthook.wire.messages import ClaimMessage

HOURS_AGO, WATCHED = 5 * 3600.0, 240.0
"""When it began, and for how long somebody has watched when a picture is taken, seconds."""
BEAT_SECONDS = 20.0

Passed = dict[tuple[IPAddress, IPAddress], Traffic]


class PastClock(ManualClock):
    """Runs as the machine's does, some hours behind; ``advance`` brings it nearer."""

    def __init__(self) -> None:
        super().__init__(-HOURS_AGO)

    @property
    def moved(self) -> float:
        """Seconds from the machine's."""
        return self._seconds

    def boottime(self) -> float:
        return time.monotonic() + self._seconds + HOURS_AGO

    def now(self) -> float:
        return time.time() + self._seconds


GUESTS = {
    # name: (host, public, private, ports, bytes a second in and out)
    "web": ("home1", "203.0.113.10", "192.168.122.50", (), 42_000, 1_350_000),
    "mail": ("home1", "203.0.113.11", "192.168.122.51", ("tcp/25", "tcp/465", "tcp/993"), 5e3, 9e3),
    "git": ("home1", "203.0.113.12", "192.168.122.60", ("tcp/22", "tcp/443:3000"), 18_000, 64_000),
    "game": ("home2", "203.0.113.13", "192.168.7.20", ("udp/27000-27100",), 210_000, 480_000),
    "backup": ("home2", "198.51.100.1", "192.168.7.21", (), 2_900_000, 61_000),
    "metrics": ("home2", "198.51.100.2", "192.168.7.22", ("tcp/443",), 0, 0),
}


def household() -> tuple[Edge, dict[str, Agent]]:
    """An edge with it, and the agents of its hosts."""
    inside = FakeInside()
    inside.kernel.defaults.append(DefaultRoute(4, "up1", IPv4Address("198.51.100.254")))
    edge = Edge(inside=inside)
    clock = edge.clock = PastClock()
    edge.boot()
    agents = {name: edge.host(name) for name in ("home1", "home2", "home3")}
    for number, name in enumerate(GUESTS):
        pass_time(edge, agents, 700)
        start(agents, name, number)
    claim(agents["home3"], "nas", "203.0.113.14", "192.168.1.10", ("tcp/443",), 41)
    pass_time(edge, agents, 1900)
    claim(agents["home1"], "web-new", "203.0.113.10", "192.168.122.70", (), 40)
    edge.service.add_host("attic")
    behind = -WATCHED - clock.moved
    pass_time(edge, agents, behind - 300)
    pass_time(edge, agents, 300, silent="home3")
    return edge, agents


def pass_time(edge: Edge, agents: dict[str, Agent], seconds: float, silent: str = "") -> None:
    """So much time goes by, in which all but one say that they are there."""
    for _ in range(int(seconds / BEAT_SECONDS)):
        edge.advance(BEAT_SECONDS)
        for name, agent in agents.items():
            if name != silent:
                agent.heartbeat()


def start(agents: dict[str, Agent], name: str, number: int) -> None:
    """A guest of the list starts."""
    host, public, private, ports, *_ = GUESTS[name]
    claim(agents[host], name, public, private, ports, number)


def claim(
    agent: Agent, name: str, public: str, private: str, ports: tuple[str, ...], number: int
) -> None:
    guest = str(UUID(int=0x6F1A1C529D0A4A53A5F60D4F8D3F2B00 + number))
    message = ClaimMessage(
        guest=guest, name=name, public=public, private=private, ports=list(ports)
    )
    agent.claims[guest, public] = message
    agent.list()


class Passing:
    """What a kernel would have counted by now: waves with some noise, the same each time."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._random = random.Random(4)  # noqa: S311
        self._passed: dict[str, list[float]] = {}
        self._at = edge.clock.boottime()

    def __call__(self) -> Passed:
        now = self._edge.clock.boottime()
        seconds, self._at = now - self._at, now
        found: Passed = {}
        for one in self._edge.ledger.claims():
            rates = GUESTS.get(one.name, ())[4:] or (0, 0)
            if one.standing is not Standing.HOLDING or one.private is None:
                continue
            kept = self._passed.setdefault(one.name, [rates[0] * 9000.0, rates[1] * 9000.0])
            for way in (0, 1):
                wave = 1 + 0.5 * math.sin(now / (19 + 7 * way) + len(one.name))
                kept[way] += rates[way] * seconds * wave * self._random.uniform(0.55, 1.45)
            key = IPv4Address(one.public), IPv4Address(one.private)
            came, went = map(int, kept)
            found[key] = Traffic(came, came // 900, went, went // 900)
        return found


def paths(_device: str, macs: list[str]) -> dict[str, OverlayPath]:
    """home1 is near, home2 is relayed."""
    ways = [OverlayPath(direct=True, latency=0.0124), OverlayPath(direct=False, latency=0.087)]
    return dict(zip(macs, ways, strict=False))
