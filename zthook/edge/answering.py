"""Answers of the API: JSON, an ErrorReply where it is a no, piece by piece where it is large."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from zthook.edge.refusals import Refusals
from zthook.errors import TooManyRequests, ZthookError
from zthook.wire.faults import to_reply
from zthook.wire.messages import ErrorReply

_NAMES = {401: "not_authenticated", 403: "not_authorised", 404: "not_found", 500: "unavailable"}
_ENDS_CONNECTION = {408, 413}
"""The rest of such a body is not read, so nothing more can come by that connection."""
PIECE = 64 * 1024


def refuse(refusals: Refusals) -> Callable[[Request, Exception], Awaitable[Response]]:
    """What answers an error, and tells ``refusals`` of it."""

    async def handler(request: Request, error: Exception) -> Response:
        status, body, headers = _describe(error)
        source = request.client.host if request.client else "nowhere"
        asked = f"{request.method} {request.url.path[:64]!r}"
        refusals.tell(source, status, asked, body.message, getattr(request.state, "host", ""))
        return reply(body, status, headers)

    return handler


def _describe(error: Exception) -> tuple[int, ErrorReply, dict[str, str]]:
    if isinstance(error, TooManyRequests):
        return *to_reply(error), {"retry-after": str(math.ceil(error.seconds))}
    if isinstance(error, ZthookError):
        status, body = to_reply(error)
        return status, body, {"www-authenticate": "Bearer"} if status == 401 else {}
    if isinstance(error, HTTPException):
        name = _NAMES.get(error.status_code, "bad_request")
        return (
            error.status_code,
            ErrorReply(error=name, message=error.detail),
            dict(error.headers or {})
            | ({"connection": "close"} if error.status_code in _ENDS_CONNECTION else {}),
        )
    if isinstance(error, ClientDisconnect):
        return 400, ErrorReply(error="bad_request", message="the client left"), {}
    message = "a fault of the edge: its log has the details"
    return 500, ErrorReply(error="unavailable", message=message), {}


class _InPieces(Response):
    """Written piece by piece: of who does not take it, what is yet to come is not kept."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        head = {"type": "http.response.start", "status": self.status_code}
        await send({**head, "headers": self.raw_headers})
        for at in range(0, len(self.body), PIECE):
            piece, more = self.body[at : at + PIECE], at + PIECE < len(self.body)
            await send({"type": "http.response.body", "body": piece, "more_body": more})


def reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer with this body, of whatever msgspec can encode."""
    return _InPieces(
        msgspec.json.encode(body), status, headers=headers, media_type="application/json"
    )
