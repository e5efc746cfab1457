"""Simulated hosts, run by ``bench.load`` in a namespace of theirs: one process, no libvirt.

``python -m bench.crowd PLAN`` reads commands from stdin, a line each, and answers each with a
line of JSON. Each host has an address, a session, sequences, a list of claims that is sent
whole when the edge lacks it, one connection for its requests and one for the long request, as
an agent has. The HTTP is written by hand: a thousand real clients would need more than the
machine that is to be measured.
"""

import asyncio
import contextlib
import json
import os
import random
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from zthook.errors import TooManyRequests
from zthook.host.backoff import Backoff
from zthook.model.waiting import within
from zthook.wire.messages import (
    LONGEST_CHANGES_SECONDS,
    ChangesReply,
    ClaimMessage,
    ClaimsReply,
    HeartbeatReply,
    HeartbeatRequest,
    ListRequest,
    Message,
    SessionReply,
    SessionRequest,
    claims_digest,
)
from zthook.wire.tls import pinned_context, server_name

HEARTBEAT_SECONDS = 20.0
"""A third of a lease, as the agent does it."""
GIVES_UP_SECONDS = 5.0
LONG_SECONDS = LONGEST_CHANGES_SECONDS + 10
"""As the agent does."""


class Plan(msgspec.Struct, frozen=True):
    """``hosts`` has for each its address and its credential; ``claims`` what each claims."""

    address: str
    port: int
    edge: str
    ca_pem: str
    hosts: list[tuple[str, str]]
    claims: list[list[ClaimMessage]]


@dataclass
class Line:
    """A connection from one address, made when it is used."""

    plan: Plan
    context: ssl.SSLContext
    source: str
    credential: str
    wait: float = 1.0
    _ends: bool = False
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, kind: type[Any], message: Message | None) -> Any:
        """One request. Raises OSError where no answer comes, RuntimeError where it is a no."""
        body = b"" if message is None else msgspec.json.encode(message)
        try:
            patience = LONG_SECONDS if path.startswith("changes") else GIVES_UP_SECONDS
            async with asyncio.timeout(patience):
                status, answer = await self._exchange(method, path, body)
        except (OSError, EOFError, TimeoutError) as error:
            self.hang_up()
            raise OSError(f"no answer: {error!r}") from error
        if status == 429:
            raise TooManyRequests("the edge wants us to wait", seconds=self.wait)
        if status != 200:
            raise RuntimeError(f"{method} {path}: {status} {answer[:200]!r}")
        return msgspec.json.decode(answer, type=kind)

    async def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                self.plan.address,
                self.plan.port,
                ssl=self.context,
                server_hostname=server_name(self.plan.edge),
                local_addr=(self.source, 0),
            )
        reader, writer = self._streams
        writer.write(
            f"{method} /v1/{path} HTTP/1.1\r\nhost: edge\r\n"
            f"authorization: Bearer {self.credential}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        self.wait = float(head.partition("retry-after: ")[2].split("\r\n")[0] or 1)
        if "connection: close" in head:
            self._ends = True
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        status, answer = int(head.split(" ", 2)[1]), await reader.readexactly(length)
        if self._ends:
            self.hang_up()
        return status, answer

    def hang_up(self) -> None:
        self._ends = False
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


@dataclass
class Crowd:
    """All hosts. ``seconds`` has what each request took since it was emptied last."""

    plan: Plan
    seconds: dict[str, list[float]] = field(default_factory=dict)
    failed: int = 0
    put_off: int = 0

    def __post_init__(self) -> None:
        context = pinned_context(self.plan.ca_pem)
        self.hosts = [
            Simulated(self, number, *(Line(self.plan, context, *host) for _ in range(2)))
            for number, host in enumerate(self.plan.hosts)
        ]

    async def timed(self, what: str, act: Callable[[], Awaitable[Any]]) -> Any:
        begun = time.perf_counter()
        done = await act()  # what failed or was put off is counted apart
        self.seconds.setdefault(what, []).append(time.perf_counter() - begun)
        return done

    async def settle(self) -> dict[str, Any]:
        """Every host at once: until it has a session and its whole list is active. Who has that
        renews its lease while others come.
        """
        all_there, coming = asyncio.Event(), len(self.hosts)

        async def come(host: Simulated) -> float:
            nonlocal coming
            seconds = await host.settle()
            coming -= 1
            if not coming:
                all_there.set()
            await host.stay(all_there)
            return seconds

        ends = await asyncio.gather(*map(come, self.hosts))
        return self.figures(max(ends))

    async def rest(self, seconds: float) -> dict[str, Any]:
        """Heartbeats in their time and the long requests open, nothing else."""
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, over.set)
        await asyncio.gather(*(host.beat(over) for host in self.hosts))
        return self.figures(seconds)

    async def press(self, seconds: float) -> dict[str, Any]:
        """Heartbeats one after the other, of forty hosts at a time."""
        begun = time.perf_counter()
        turns = iter(self.hosts * 1000)

        async def one_after_the_other() -> None:
            while time.perf_counter() - begun < seconds:
                with contextlib.suppress(RuntimeError):  # counted, each try of it
                    await next(turns).heartbeat()

        await asyncio.gather(*(one_after_the_other() for _ in range(40)))
        return self.figures(time.perf_counter() - begun)

    def figures(self, seconds: float) -> dict[str, Any]:
        """What was asked since the last time, and how long it took."""
        found = {
            what: {"count": len(took), "p50": _at(took, 0.5), "p99": _at(took, 0.99)}
            for what, took in sorted(self.seconds.items())
        }
        failed, put_off = self.failed, self.put_off
        self.seconds, self.failed, self.put_off = {}, 0, 0
        mine = os.times()
        return {
            "seconds": seconds,
            "requests": found,
            "failed": failed,
            "put_off": put_off,
            "own_cpu": mine.user + mine.system,
            "listening": sum(host.listening for host in self.hosts),
        }


def _at(took: list[float], share: float) -> float:
    return sorted(took)[min(len(took) - 1, int(len(took) * share))]


class Simulated:
    """One host."""

    def __init__(self, crowd: Crowd, number: int, line: Line, long_line: Line) -> None:
        self.crowd = crowd
        self.claims = crowd.plan.claims[number]
        self.chance = random.Random(number)  # noqa: S311 - repeatable, no secret
        self.line = line
        self.long_line = long_line
        self.session = 0
        self.sequence = 0
        self.generation = 0
        self.digest = ""
        self.waiting: asyncio.Task[None] | None = None

    async def settle(self) -> float:
        """Seconds from now until the edge has all of it, however often that is tried."""
        begun = time.perf_counter()
        backoff = Backoff(chance=self.chance)
        while True:
            try:
                await self._settle()
            except (OSError, RuntimeError) as error:
                self.crowd.failed += 1
                await asyncio.sleep(backoff.after(error))
            except TooManyRequests as error:
                self.crowd.put_off += 1
                await asyncio.sleep(backoff.after(error))
            else:
                return time.perf_counter() - begun

    async def _settle(self) -> None:
        greeting = SessionRequest(agent="crowd", instance=os.urandom(8).hex())
        reply: SessionReply = await self._ask("POST", "session", SessionReply, greeting)
        self.session, self.sequence, self.generation = reply.session, 0, reply.generation
        self.sequence += 1
        message = ListRequest(session=self.session, sequence=self.sequence, claims=self.claims)
        said: ClaimsReply = await self._ask("PUT", "claims", ClaimsReply, message)
        wrong = [one for one in said.mappings if one.state != "active"]
        if wrong:
            raise RuntimeError(f"not active: {wrong[0]}")
        self.digest, self.generation = claims_digest(self.claims), said.generation
        self.listen()

    def listen(self) -> None:
        """Have a long request open from now on."""
        if not self.listening:
            self.waiting = asyncio.create_task(self._listen())

    @property
    def listening(self) -> bool:
        return self.waiting is not None and not self.waiting.done()

    async def _listen(self) -> None:
        # The first time any part of it, as hosts that have been here for long are.
        seconds = self.chance.uniform(1, LONGEST_CHANGES_SECONDS)
        while True:
            query = {"session": self.session, "after": self.generation, "seconds": int(seconds)}
            seconds = LONGEST_CHANGES_SECONDS
            try:
                reply = await self.long_line.ask(
                    "GET", f"changes?{urlencode(query)}", ChangesReply, None
                )
            except (OSError, RuntimeError, TooManyRequests):
                self.crowd.failed += 1
                return  # the next time it settles or beats it listens again
            self.generation = reply.generation

    async def stay(self, over: asyncio.Event) -> None:
        """As ``beat``; the edge may have to be told everything once more."""
        while not over.is_set():
            try:
                await self.beat(over)
            except RuntimeError:
                self.crowd.failed += 1
                await self.settle()

    async def beat(self, over: asyncio.Event) -> None:
        """Heartbeats in their time, until it is over."""
        pause = self.chance.uniform(0, HEARTBEAT_SECONDS)
        while not await within(over, pause):
            self.listen()
            await self.heartbeat()
            pause = HEARTBEAT_SECONDS

    async def heartbeat(self) -> None:
        """As often as it takes: a connection may have been ended while it rested."""
        backoff = Backoff(chance=self.chance)
        for _ in range(5):
            try:
                return await self._heartbeat()
            except OSError:
                self.crowd.failed += 1
            except TooManyRequests as error:
                self.crowd.put_off += 1
                await asyncio.sleep(backoff.after(error))
        raise RuntimeError("no heartbeat came through")

    async def _heartbeat(self) -> None:
        self.sequence += 1
        message = HeartbeatRequest(session=self.session, sequence=self.sequence, digest=self.digest)
        reply: HeartbeatReply = await self._ask("POST", "heartbeat", HeartbeatReply, message)
        if not reply.current:
            raise RuntimeError("the edge lacks the list")

    async def _ask(self, method: str, path: str, kind: type[Any], message: Message) -> Any:
        return await self.crowd.timed(path, lambda: self.line.ask(method, path, kind, message))


async def main(plan: Path) -> None:
    crowd = Crowd(msgspec.json.decode(plan.read_bytes(), type=Plan))
    commands: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
        "settle": crowd.settle,
        "rest": crowd.rest,
        "press": crowd.press,
    }
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, *numbers = line.split()
        print(json.dumps(await commands[name](*map(float, numbers))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
