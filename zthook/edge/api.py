"""The edge's HTTPS API: HTTP in, calls of the service in its one thread, JSON out.

Every answer that is not 2xx is an ErrorReply. Who asks is the bearer credential; where a
host is reached is the source address of its connection, never what a request says.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from http import HTTPStatus
from ipaddress import IPv4Address
from typing import Any, Protocol, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from zthook.edge.answering import reply
from zthook.edge.asked import bearer_of, number_of, read_message, source_of
from zthook.edge.callers import Callers
from zthook.edge.changes import Changes
from zthook.edge.dispatch import Dispatcher, Endpoint
from zthook.edge.openapi import OPERATIONS, HealthReply, document
from zthook.edge.refusals import Refusals
from zthook.edge.strangers import Doorstep, Strangers, too_many
from zthook.edge.worker import Worker
from zthook.errors import NotAuthenticated
from zthook.wire.messages import (
    CHANGES_SECONDS,
    LONGEST_CHANGES_SECONDS,
    MAX_STRANGERS_BODY,
    ChangesReply,
    ClaimsReply,
    EnrolReply,
    EnrolRequest,
    HeartbeatReply,
    HeartbeatRequest,
    ListRequest,
    ReserveRequest,
    SessionReply,
    SessionRequest,
)

T = TypeVar("T")

LONGEST_QUEUE, LONGEST_BEAT = 1.5, 4.0
"""Seconds that decisions, and heartbeats, may wait for their turn."""


class Turn(Protocol):
    """``Worker.run`` or ``run_brief``."""

    async def __call__(self, act: Callable[[], T], /) -> T: ...


class Service(Protocol):
    """What the API asks of ``edge.service.EdgeService``; each call in the one thread."""

    def authenticate(self, credential: str) -> str: ...
    def enrol(self, secret: str, hostname: str, source: str, known: str) -> EnrolReply: ...
    def open_session(
        self, host: str, request: SessionRequest, source: IPv4Address
    ) -> SessionReply: ...
    def list_claims(self, host: str, request: ListRequest, source: IPv4Address) -> ClaimsReply: ...
    def reserve(self, host: str, request: ReserveRequest, source: IPv4Address) -> ClaimsReply: ...
    def beat(
        self, host: str, request: HeartbeatRequest, source: IPv4Address
    ) -> HeartbeatReply | None: ...
    def welcome(
        self, host: str, request: HeartbeatRequest, source: IPv4Address
    ) -> HeartbeatReply: ...
    def generation(self, host: str, session: int) -> int: ...
    def leave(self, host: str) -> None: ...


class Api:
    """The endpoints; each is named as its operation in ``edge.openapi``."""

    def __init__(
        self,
        service: Service,
        worker: Worker,
        changes: Changes,
        *,
        edge_id: str,
        ca_pem: str,
        changes_seconds: float = CHANGES_SECONDS,
        longest_seconds: float = LONGEST_CHANGES_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.service = service
        self.worker = worker
        self.waiters = changes
        self.edge_id = edge_id
        self.ca_pem = ca_pem
        self.changes_seconds, self.longest_seconds = changes_seconds, longest_seconds
        self.strangers = Strangers(clock)
        self.callers = Callers(clock)
        self.document = msgspec.json.encode(document())

    async def ca(self, _request: Request) -> Response:
        return Response(self.ca_pem, media_type="application/x-pem-file")

    async def openapi(self, _request: Request) -> Response:
        return Response(self.document, media_type="application/json")

    async def health(self, _request: Request) -> Response:
        await self.worker.run(lambda: None)
        return reply(HealthReply(edge=self.edge_id))

    async def enrol(self, request: Request) -> Response:
        asked, _ = await read_message(request, EnrolRequest, MAX_STRANGERS_BODY)
        source = str(source_of(request))
        known = bearer_of(request) if "authorization" in request.headers else ""
        spend = self.service.enrol
        return reply(await self.worker.run(spend, asked.secret, asked.hostname, source, known))

    async def session(self, request: Request) -> Response:
        return await self._decided(request, SessionRequest, self.service.open_session)

    async def claims(self, request: Request) -> Response:
        return await self._decided(request, ListRequest, self.service.list_claims)

    async def reserve(self, request: Request) -> Response:
        return await self._decided(request, ReserveRequest, self.service.reserve)

    async def heartbeat(self, request: Request) -> Response:
        """In a brief turn; in one of all calls where the lease begins or the host has moved."""
        _not_now(self.worker.brief_queue_seconds, LONGEST_BEAT)
        service, worker = self.service, self.worker

        async def decide(message: HeartbeatRequest, source: IPv4Address) -> HeartbeatReply:
            beaten = await self._as_host(
                request, lambda host: service.beat(host, message, source), worker.run_brief
            )
            if beaten is not None:
                return beaten
            _not_now(worker.queue_seconds, LONGEST_BEAT)
            return await self._as_host(request, lambda host: service.welcome(host, message, source))

        return await self._speak(request, HeartbeatRequest, decide)

    async def leave(self, request: Request) -> Response:
        async with self._arrived(request):
            await self._as_host(request, self.service.leave)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def changes(self, request: Request) -> Response:
        """Wait for the host's generation to pass ``after``; a removed host hears 401 at once."""
        async with self._arrived(request) as host:
            return await self._wait_for_changes(request, host)

    async def _wait_for_changes(self, request: Request, host: str) -> Response:
        session, after = number_of(request, "session"), number_of(request, "after")
        seconds = self.changes_seconds
        if "seconds" in request.query_params:
            seconds = min(number_of(request, "seconds"), self.longest_seconds)
        deadline = asyncio.get_running_loop().time() + seconds
        gone = asyncio.create_task(_disconnected(request))
        try:
            with self.waiters.waiting(host) as woken:
                while True:
                    woken.clear()
                    generation = await self._as_host(
                        request,
                        lambda name: self.service.generation(name, session),
                        self.worker.run_brief,
                    )
                    if generation > after or self.waiters.closed:
                        break
                    if not await _wait(woken, gone, deadline):
                        break
        finally:
            gone.cancel()
        return reply(ChangesReply(generation=generation))

    async def _decided(
        self, request: Request, kind: type[T], act: Callable[[str, T, IPv4Address], Any]
    ) -> Response:
        """Answer a message with what is decided about it."""
        _not_now(self.worker.queue_seconds, LONGEST_QUEUE)
        return await self._speak(
            request,
            kind,
            lambda message, source: self._as_host(request, lambda host: act(host, message, source)),
        )

    async def _speak(
        self,
        request: Request,
        kind: type[T],
        decide: Callable[[T, IPv4Address], Coroutine[Any, Any, Any]],
    ) -> Response:
        """Read a message of ``kind`` and answer it; the body only of who may speak at all."""
        async with self._arrived(request) as name:
            message, size = await read_message(request, kind)
            self.callers.sent(name, size)
            deciding = decide(message, source_of(request))
            # Whose turn is now has not left yet, and most come one by one.
            now = self.worker.idle
            return reply(await (deciding if now else _unless_left(request, deciding)))

    @asynccontextmanager
    async def _arrived(self, request: Request) -> AsyncIterator[str]:
        """Whose request this is, counted as one of his. Raises NotAuthenticated,
        TooManyRequests.

        One that was let in before is believed so far without a turn of the thread; what it is
        here for is done in one, and only for who is a host still.
        """
        shown = request.headers.get("authorization", "")
        host = self.strangers.who(shown) or await self._as_host(
            request, lambda name: name, self.worker.run_brief
        )
        request.state.host = host
        with self.callers.calling(host):
            yield host

    async def _as_host(
        self, request: Request, act: Callable[[str], T], run: Turn | None = None
    ) -> T:
        """Authenticate and act in one turn of the thread: no host is removed in between.

        ``run`` is ``Worker.run`` where none is said.
        """
        credential = bearer_of(request)

        def authenticated() -> T:
            request.state.host = self.service.authenticate(credential)
            return act(request.state.host)

        shown = request.headers["authorization"]
        try:
            done = await (run or self.worker.run)(authenticated)
        except NotAuthenticated:
            self.strangers.forget(shown)
            if hasattr(request.state, "host"):
                del request.state.host
            raise
        self.strangers.met(str(source_of(request)), shown, request.state.host)
        return done


def make_app(api: Api, refusals: Refusals) -> ASGIApp:
    """The ASGI application."""
    endpoints: defaultdict[str, dict[str, Endpoint]] = defaultdict(dict)
    for operation in OPERATIONS:
        endpoints[operation.path][operation.method] = getattr(api, operation.name)
    return Doorstep(Dispatcher(endpoints, refusals), api.strangers, refusals)


def _not_now(queue: float, longest: float) -> None:
    """Raise TooManyRequests where an answer would come too late to be of use.

    Who waits for it gives up after five seconds and asks again: were everybody heard,
    the edge would be busy with answers that nobody waits for any more.
    """
    if queue > longest:
        raise too_many(queue)


async def _unless_left(request: Request, deciding: Coroutine[Any, Any, T]) -> T:
    """What is decided; not decided at all where the client leaves before its turn comes.

    Raises ClientDisconnect then.
    """
    decided = asyncio.create_task(deciding)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({decided, gone}, return_when="FIRST_COMPLETED")
        if not decided.done():
            raise ClientDisconnect
        return await decided
    finally:
        decided.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _wait(woken: asyncio.Event, gone: asyncio.Task[None], deadline: float) -> bool:
    """Whether to look again: not once the time is over or the client has left."""
    left = deadline - asyncio.get_running_loop().time()
    woke = asyncio.create_task(woken.wait())
    try:
        done, _ = await asyncio.wait({woke, gone}, timeout=left, return_when="FIRST_COMPLETED")
    finally:
        woke.cancel()
    return bool(done) and not gone.done()
