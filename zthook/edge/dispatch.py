"""A request to what answers it, by path and method; each error to its answer.

Starlette's application does this too. It goes through six layers for it, and makes each of them
anew for each request: a sixteenth of what a heartbeat costs.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from zthook.edge.answering import refuse
from zthook.edge.refusals import Refusals
from zthook.errors import ZthookError

log = logging.getLogger("zthook.edge.api")

Endpoint = Callable[[Request], Awaitable[Response]]


class Dispatcher:
    """The ASGI application of ``endpoints``: path → method → what answers. HEAD is answered as
    GET is, by servers that leave the body out.
    """

    def __init__(self, endpoints: Mapping[str, Mapping[str, Endpoint]], refusals: Refusals) -> None:
        self._endpoints = endpoints
        self._refuse = refuse(refusals)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever comes of it."""
        request = Request(scope, receive, send)
        try:
            answer = await self._endpoint(scope)(request)
        except Exception as error:
            if not isinstance(error, ZthookError | HTTPException | ClientDisconnect):
                log.exception("%s %s", scope["method"], scope["path"])
            answer = await self._refuse(request, error)
        await answer(scope, receive, send)

    def _endpoint(self, scope: Scope) -> Endpoint:
        methods = self._endpoints.get(scope["path"])
        if methods is None:
            raise HTTPException(404)
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in methods:
            allowed = [*methods, "HEAD"] if "GET" in methods else methods
            raise HTTPException(405, headers={"allow": ", ".join(allowed)})
        return methods[method]
