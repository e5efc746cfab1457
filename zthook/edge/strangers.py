"""Who is not known to be a host: counted by source, and turned away before anything is done.

A credential that was right once is let through to the one thread, which alone says whether
it still is. All else takes from what its source may ask, so that guessing, or asking for what
needs no credential, costs the edge next to nothing however fast it comes.
"""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from zthook.edge.rates import Rates
from zthook.edge.refusals import Refusals
from zthook.errors import TooManyRequests
from zthook.wire.faults import to_reply

K = TypeVar("K")
V = TypeVar("V")

BURST = 60.0
PER_SECOND = 2.0
TOGETHER_BURST, TOGETHER_PER_SECOND = 256.0, 16.0
"""What may be asked from all sources together from which no host has spoken yet."""
_MOST_KNOWN = 4096


class Strangers:
    """What each source may still ask, and whose credentials were right the last time.

    ``clock`` returns seconds that rise.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._rates = Rates(clock, burst=BURST, per_second=PER_SECOND)
        self._together = Rates(clock, burst=TOGETHER_BURST, per_second=TOGETHER_PER_SECOND)
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._regulars: OrderedDict[str, None] = OrderedDict()

    def wait(self, source: str, authorization: str) -> float:
        """Seconds until this source may ask again; 0 where it may now, and that is counted."""
        if _digest(authorization) in self._known:
            return 0.0
        if not self.regular(source):
            wait = self._rates.wait(source) or self._together.take("")
            if wait:  # others may be why: it is not counted as his
                return wait
        return self._rates.take(source)

    def met(self, source: str, authorization: str, host: str) -> None:
        """This one is that host's, who speaks from there."""
        _remember(self._known, _digest(authorization), host)
        self.welcome(source)

    def who(self, authorization: str) -> str:
        """Whose it was the last time, "" where it was nobody's."""
        return self._known.get(_digest(authorization), "")

    def welcome(self, source: str) -> None:
        """A host speaks from there."""
        _remember(self._regulars, source, None)

    def regular(self, source: str) -> bool:
        """Whether a host spoke from there."""
        return source in self._regulars

    def forget(self, authorization: str) -> None:
        """This one is nobody's, or no more."""
        self._known.pop(_digest(authorization), None)


class Doorstep:
    """The application, behind what turns strangers away who ask too often."""

    def __init__(self, app: ASGIApp, strangers: Strangers, refusals: Refusals) -> None:
        self._app = app
        self._strangers = strangers
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 429, or let the application answer."""
        source = _source(scope)
        wait = self._strangers.wait(source, _authorization(scope))
        if wait:
            self._refusals.tell(source, 429, "a request", "too many without a right credential")
            await turned_away(wait)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def turned_away(wait: float) -> Response:
    """The answer to who has to wait so many seconds; no more comes by that connection."""
    status, body = to_reply(too_many(wait))
    headers = {"retry-after": str(math.ceil(wait)), "connection": "close"}
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def too_many(wait: float) -> TooManyRequests:
    """The error for who has to wait so many seconds."""
    return TooManyRequests(f"too many requests: wait {math.ceil(wait)} s", seconds=wait)


def _remember(these: "OrderedDict[K, V]", one: K, what: V) -> None:
    these[one] = what
    these.move_to_end(one)
    if len(these) > _MOST_KNOWN:
        these.popitem(last=False)


def _source(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _authorization(scope: Scope) -> str:
    found = (value for name, value in scope["headers"] if name == b"authorization")
    return bytes(next(found, b"")).decode("latin-1")


def _digest(authorization: str) -> bytes:
    return hashlib.sha256(authorization.encode()).digest()
