"""What it costs an edge that somebody on the overlay, who is no host, does his worst."""

import asyncio
import contextlib
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx

from bench.measure import Use
from tests.edge_api.machine import ADDRESS, Enrolled, Machine, inside

PORT = 9443
SECONDS = 8.0
SOURCES = 200
REQUEST = (
    b"GET /v1/changes?session=1&after=0 HTTP/1.1\r\nhost: edge\r\n"
    b"authorization: Bearer guessed\r\n\r\n"
)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


CONTEXT = _context()


async def knock(source: str) -> None:
    """A connection, and what is no TLS."""
    _, writer = await asyncio.open_connection(ADDRESS, PORT, local_addr=(source, 0))
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    writer.transport.abort()


async def handshake(source: str) -> None:
    """TLS, and nothing more."""
    link = await asyncio.open_connection(ADDRESS, PORT, ssl=CONTEXT, local_addr=(source, 0))
    link[1].transport.abort()


async def guess(source: str) -> None:
    """A guessed credential on one connection, until that is ended."""
    link = await asyncio.open_connection(ADDRESS, PORT, ssl=CONTEXT, local_addr=(source, 0))
    try:
        while True:
            link[1].write(REQUEST)
            await link[0].readuntil(b"}")
            counted[0] += 1
    finally:
        link[1].transport.abort()


counted = [0]
ATTACKS: dict[str, Callable[[str], Awaitable[None]]] = {
    "connections": knock,
    "handshakes": handshake,
    "guesses": guess,
}


async def flood(name: str, sources: int) -> None:
    """As fast as it goes, from so many addresses; prints how many tries the edge took up."""
    end = time.monotonic() + SECONDS
    taken = 0

    async def from_one(source: str) -> None:
        nonlocal taken
        while time.monotonic() < end:
            with contextlib.suppress(OSError, EOFError):
                async with asyncio.timeout(2):
                    await ATTACKS[name](source)
                taken += 1

    await asyncio.gather(
        *(from_one(f"192.168.{210 + n // 200}.{1 + n % 200}") for n in range(sources) for _ in "12")
    )
    print(taken + counted[0], flush=True)


@contextlib.contextmanager
def edge() -> Iterator[tuple[Machine, Enrolled]]:
    with contextlib.ExitStack() as last:
        machine = Machine(
            Path(last.enter_context(tempfile.TemporaryDirectory(prefix="zthook-strangers-")))
        )
        last.callback(machine.close)
        machine.namespace.ip(f"addr del {ADDRESS}/24 dev ov0", f"addr add {ADDRESS}/16 dev ov0")
        machine.host.ip(*(f"addr add 192.168.210.{1 + n}/16 dev ov0" for n in range(SOURCES)))
        machine.init()
        machine.serve()
        machine.listens_at(ADDRESS)
        host = Enrolled(machine, machine.token("home1"))
        host.begin()
        yield machine, host


def beat(host: Enrolled) -> float | None:
    """How long an honest host's heartbeat takes, with a connection of its own; None: it is lost."""
    host.sequence += 1
    began = time.perf_counter()
    body = {"session": host.session, "sequence": host.sequence}
    try:
        answer = host.ask("POST", "/v1/heartbeat", body)
    except httpx.TransportError:
        return None
    if answer.status_code != 200:
        raise RuntimeError(answer.text)
    return time.perf_counter() - began


def told(beats: list[float | None]) -> str:
    """Of some heartbeats, the median of those that were answered, and how many were not."""
    answered = [one for one in beats if one is not None]
    lost = len(beats) - len(answered)
    return f"p50 {1e3 * statistics.median(answered):.0f} ms, {lost} of {len(beats)} lost"


def measure(machine: Machine, host: Enrolled, name: str, sources: int) -> str:
    daemon = machine.daemons[-1]
    command = [sys.executable, "-m", "bench.strangers", name, str(sources)]
    before, began = Use.of(daemon.pid), time.perf_counter()
    flooding = inside(machine.host, lambda: _start(machine, command))
    beats = []
    while flooding.poll() is None:
        beats.append(beat(host))
        time.sleep(0.2)
    seconds, cpu = time.perf_counter() - began, Use.of(daemon.pid).cpu - before.cpu
    taken = int((flooding.communicate()[0] or "0").split()[-1])
    return (
        f"{name:<12} {sources:>4} addresses: {taken / seconds:7.0f}/s taken up; the daemon "
        f"{100 * cpu / seconds:5.1f}% of a core, {1e3 * cpu / max(taken, 1):6.2f} ms each; "
        f"an honest heartbeat {told(beats)}"
    )


def _start(machine: Machine, command: list[str]) -> "subprocess.Popen[str]":
    words = [str(word) for word in machine.host.entering(command)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def run(_rounds: int) -> Iterator[str]:
    """Measure: the lines."""
    with edge() as (machine, host):
        yield "\nStrangers on the overlay"
        yield f"{'nobody':<12} an honest heartbeat {told([beat(host) for _ in range(20)])}"
        for name in ATTACKS:
            for sources in (1, SOURCES):
                yield measure(machine, host, name, sources)
                time.sleep(8)  # until buckets are full again


if __name__ == "__main__":
    asyncio.run(flood(sys.argv[1], int(sys.argv[2])))
