"""What every request passes first, and every answer bears: bounds, its own pages only, headers."""

from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zthook.edge.answering import reply
from zthook.edge.rates import Rates
from zthook.edge.refusals import Refusals
from zthook.edge.strangers import turned_away
from zthook.edge.web.logins import COOKIE, Logins
from zthook.errors import NotAuthorised
from zthook.wire.faults import to_reply

BURST, PER_SECOND = 120.0, 5.0
"""Requests of one login, or of one address that has none."""

HEADERS = {
    # No script, style or picture but our own files; nothing is made of text, whatever a guest
    # calls itself; nobody puts the page into his own.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """The application, behind what turns others away. ``clock`` returns seconds that rise.

    Whose login it is, "" for nobody's, is in the request's state as ``login``.
    """

    def __init__(
        self, app: ASGIApp, logins: Logins, refusals: Refusals, clock: Callable[[], float]
    ) -> None:
        self._app = app
        self._logins = logins
        self._refusals = refusals
        self._rates = Rates(clock, burst=BURST, per_second=PER_SECOND)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers, client = Headers(scope=scope), scope.get("client")
        source = str(client[0]) if client else ""
        login = self._logins.key(cookie_of(headers))
        scope.setdefault("state", {})["login"] = login
        answer: ASGIApp = self._app
        if wait := self._rates.take(login or source):
            self._refusals.tell(source, 429, "the page", "too many requests")
            answer = turned_away(wait)
        elif _from_elsewhere(scope, headers):
            self._refusals.tell(source, 403, "the page", "asked for by another page")
            answer = _not_ours()
        await answer(scope, receive, with_headers)


def cookie_of(headers: Headers) -> str:
    """The login's cookie, "" where there is none."""
    try:
        found: Any = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return str(found.value) if found is not None else ""


def _from_elsewhere(scope: Scope, headers: Headers) -> bool:
    """Whether another page's script or form has sent what is more than a look."""
    if scope["method"] in {"GET", "HEAD"}:
        return False
    origin = headers.get("origin")
    ours = f"https://{headers.get('host', '')}"
    return origin not in (None, ours) or headers.get("sec-fetch-site") in {
        "cross-site",
        "same-site",
    }


def _not_ours() -> Response:
    status, body = to_reply(NotAuthorised("this was sent by another page than the edge's own"))
    return reply(body, status)
