"""HTTP to the edge, under its pinned CA: one request, one typed answer or one typed error."""

import os
import ssl
from collections.abc import Iterator, Mapping
from typing import TypeVar

import httpx
import msgspec

from zthook.errors import EdgeUnreachable, Temporary, TooManyRequests
from zthook.host.credential import Credential
from zthook.wire.faults import from_reply
from zthook.wire.keepalive import KEEPALIVE
from zthook.wire.messages import UNREADABLE, ErrorReply, Message
from zthook.wire.tls import pinned_context, server_name

T = TypeVar("T")

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
"""An edge answers in milliseconds; a redialled line heals in 20 s at worst, by new tries."""


MOST_PATIENCE = 60.0


class EdgeHttp:
    """Connections to one edge. ``transport`` stands in for the network in tests."""

    def __init__(
        self, credential: Credential, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._credential = credential
        where = credential.address
        headers = {"Authorization": f"Bearer {credential.credential}"}
        self._http = httpx.AsyncClient(
            transport=transport
            or httpx.AsyncHTTPTransport(
                verify=pinned_context(credential.ca_pem),
                limits=httpx.Limits(max_connections=4, max_keepalive_connections=1),
                socket_options=KEEPALIVE,
            ),
            base_url=f"https://{f'[{where}]' if ':' in where else where}:{credential.port}/v1/",
            headers=headers if credential.credential else {},
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(
        self,
        method: str,
        path: str,
        kind: type[T],
        message: Message | None = None,
        *,
        params: Mapping[str, int] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> T:
        """Ask and return the answer; ``seconds`` is how long it may take to come.

        Raises EdgeUnreachable where none comes, else the ZthookError the edge answered.
        """
        request = self._http.build_request(
            method,
            path,
            content=None if message is None else msgspec.json.encode(message),
            params=params,
            headers={"Content-Type": "application/json"} if message else None,
            timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS),
            extensions={"sni_hostname": server_name(self._credential.edge)},
        )
        try:
            response = await self._http.send(request)
        except (httpx.HTTPError, OSError) as error:
            raise _unreachable(self._credential, error) from error
        return _read(response, kind)


def _read(response: httpx.Response, kind: type[T]) -> T:
    try:
        if response.is_success:
            return msgspec.json.decode(response.content or b"null", type=kind)
        refused = from_reply(msgspec.json.decode(response.content, type=ErrorReply))
    except UNREADABLE as broken:
        raise Temporary(
            f"the edge answered status {response.status_code} with what no edge says: {broken}"
        ) from broken
    if isinstance(refused, TooManyRequests):
        refused.seconds = _seconds(response.headers.get("retry-after", ""))
    raise refused


def _seconds(retry_after: str) -> float:
    """What the edge says, within reason: at most a minute."""
    return min(float(retry_after), MOST_PATIENCE) if retry_after.isdecimal() else 1.0


def _unreachable(credential: Credential, error: Exception) -> EdgeUnreachable:
    if _about_certificate(error):
        return EdgeUnreachable(
            f"what answers at {credential.where} is not the edge this host joined "
            f"(edge {credential.edge})",
            hint="was the edge set up anew? then enrol again: zthook leave, zthook join TOKEN",
        )
    return EdgeUnreachable(
        f"the edge at {credential.where} does not answer: {_said(error)}",
        hint="is the overlay up here and there (ping it), and does `zthook edge serve` run?",
    )


def _about_certificate(error: Exception) -> bool:
    return any(isinstance(one, ssl.SSLCertVerificationError) for one in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what lies below it; a group stands for the first of its errors."""
    while error is not None:
        yield error
        below = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = below or error.__cause__ or error.__context__


def _said(error: Exception) -> str:
    """In the system's own words where they are there: httpx has one sentence for them all."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    numbers = [one.errno for one in _causes(error) if isinstance(one, OSError) and one.errno]
    return os.strerror(numbers[-1]) if numbers else str(error) or type(error).__name__
