"""What a request says, read strictly and within bounds."""

import asyncio
from ipaddress import IPv4Address
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from zthook.errors import NotAuthenticated
from zthook.wire.messages import MAX_BODY, UNREADABLE

T = TypeVar("T")

BODY_SECONDS = 30.0
"""How long a body may take to arrive."""


def bearer_of(request: Request) -> str:
    """The credential. Raises NotAuthenticated where there is none."""
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not credential:
        raise NotAuthenticated("no credential: a host sends the one it got when it enrolled")
    return credential.strip()


def source_of(request: Request) -> IPv4Address:
    """Where the connection comes from: where that host is reached."""
    if request.client is None:
        raise HTTPException(400, "the connection has no source address")
    return IPv4Address(request.client.host)


def number_of(request: Request, name: str) -> int:
    """A query parameter from 0 to 2^53. Raises HTTPException 400."""
    text = request.query_params.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= 2**53):
        raise HTTPException(400, f"{name}={text[:32]!r}: a whole number from 0 to 2^53 is wanted")
    return int(text)


async def read_message(request: Request, kind: type[T], most: int = MAX_BODY) -> tuple[T, int]:
    """The body, of at most so many bytes, as ``kind``; and how many they were.

    Raises HTTPException 400, 408, 413 or 415, saying what is wrong.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != (
        "application/json"
    ):
        raise HTTPException(415, "the body must be application/json")
    body = await _body(request, most)
    try:
        return msgspec.json.decode(body, type=kind), len(body)
    except RecursionError as error:
        raise HTTPException(400, "the body is nested too deeply") from error
    except UNREADABLE as error:
        raise HTTPException(400, str(error)) from error


async def _body(request: Request, most: int) -> bytes:
    told = request.headers.get("content-length", "0")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            if told.isdigit() and int(told) > most:
                raise _too_large(most)
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise _too_large(most)
    except TimeoutError as error:
        raise HTTPException(408, f"the body took longer than {BODY_SECONDS:.0f} s") from error
    return bytes(body)


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {most} bytes")
