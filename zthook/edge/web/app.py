"""The page over HTTP: its files, its login, and the stream of what is so now.

Whoever is not logged in gets the files, which say nothing of this edge. Nothing is changed
but who is logged in.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from typing import get_args

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from zthook.edge.answering import refuse, reply
from zthook.edge.asked import number_of, read_message
from zthook.edge.excerpts import Asked
from zthook.edge.rates import Rates
from zthook.edge.refusals import Refusals
from zthook.edge.strangers import too_many
from zthook.edge.views import State
from zthook.edge.web.files import File, page_files
from zthook.edge.web.guard import Guard
from zthook.edge.web.logins import COOKIE, LASTS_SECONDS, Logins
from zthook.edge.web.looking import Looking, Watcher
from zthook.edge.web.stream import ENDED, Stream
from zthook.edge.web.token import PageToken
from zthook.errors import NotAuthenticated, ZthookError
from zthook.model.waiting import within
from zthook.wire.hushed import Hushed

TRIES, TRIES_PER_SECOND = 10.0, 0.2
"""Tokens that one address may try."""
MOST_BODY = 1024
MOST_TEXT = 100
ALIVE_SECONDS = 5.0
"""So often something is sent, though nothing is new: who hears nothing knows that it is gone."""

Endpoint = Callable[[Request], Awaitable[Response]]


class Shown(Hushed, msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody logs in with."""

    token: str


class LoginReply(msgspec.Struct, frozen=True):
    """``seconds`` until the login ends, 0 where there is none."""

    seconds: float


class Page:
    """The endpoints. ``clock`` returns seconds that rise."""

    def __init__(
        self,
        token: PageToken,
        logins: Logins,
        looking: Looking,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.token = token
        self.logins = logins
        self.looking = looking
        self.clock = clock
        self._tries = Rates(clock, burst=TRIES, per_second=TRIES_PER_SECOND)

    async def login(self, request: Request) -> Response:
        """A cookie for who shows the token."""
        source = request.client.host if request.client else ""
        if wait := self._tries.take(source):
            raise too_many(wait)
        shown, _ = await read_message(request, Shown, MOST_BODY)
        if not self.token.fits(shown.token):
            raise NotAuthenticated("that is not the token")
        answer = reply(LoginReply(LASTS_SECONDS))
        _set_cookie(answer, self.logins.begin(source), LASTS_SECONDS)
        return answer

    async def logout(self, request: Request) -> Response:
        """The login ends, and the streams that it has open."""
        self.logins.end(request.state.login)
        self.looking.wake()
        answer = reply(LoginReply(0))
        _set_cookie(answer, "", 0)
        return answer

    async def session(self, request: Request) -> Response:
        """Whether one is logged in."""
        return reply(LoginReply(self.logins.left(request.state.login)))

    async def live(self, request: Request) -> Response:
        """What is so, and what changes, for as long as it is listened to."""
        login = request.state.login
        if not login:
            raise NotAuthenticated("log in first")
        watching = self.looking.watching(login, _asked(request))
        return _Streamed(watching, self._told)

    async def _told(self, watcher: Watcher) -> AsyncIterator[bytes]:
        looking, stream = self.looking, Stream(watcher.asked)
        while not watcher.dismissed:
            if not self.logins.left(watcher.login):
                yield ENDED
                return
            for part in stream.told(looking.seen, looking.pause, looking.fault):
                yield part
            await within(watcher.news, ALIVE_SECONDS)
            watcher.news.clear()


class _Streamed(StreamingResponse):
    """Counted for as long as it lasts. Raises TooManyRequests when it is made."""

    def __init__(
        self,
        watching: AbstractContextManager[Watcher],
        told: Callable[[Watcher], AsyncIterator[bytes]],
    ) -> None:
        self._watching = watching
        super().__init__(told(watching.__enter__()), media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._watching.__exit__(None, None, None)


def make_page(page: Page, refusals: Refusals) -> ASGIApp:
    """The ASGI application."""
    refused = refuse(refusals)
    app = Starlette(
        routes=[
            *(Route(path, _serving(file)) for path, file in page_files().items()),
            Route("/session", page.session),
            Route("/live", page.live),
            Route("/login", page.login, methods=["POST"]),
            Route("/logout", page.logout, methods=["POST"]),
        ],
        exception_handlers={
            ZthookError: refused,
            HTTPException: refused,
            ClientDisconnect: refused,
            Exception: refused,
        },
    )
    app.router.redirect_slashes = False
    return Guard(app, page.logins, refusals, page.clock)


def _serving(file: File) -> Endpoint:
    async def endpoint(_request: Request) -> Response:
        return Response(file.content, headers={"content-type": file.kind})

    return endpoint


def _asked(request: Request) -> Asked:
    """What of the mappings is wanted. Raises HTTPException 400."""
    query = request.query_params
    state: State | None = None
    if wanted := query.get("state"):
        known = [one for one in get_args(State) if one == wanted]
        if not known:
            raise HTTPException(400, f"state={wanted[:32]!r}: no mapping is ever in that state")
        state = known[0]
    first = number_of(request, "first") if "first" in query else 0
    return Asked(text=query.get("text", "").strip().lower()[:MOST_TEXT], state=state, first=first)


def _set_cookie(answer: Response, value: str, seconds: int) -> None:
    answer.set_cookie(
        COOKIE, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="strict"
    )
