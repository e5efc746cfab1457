"""The local control sockets: one JSON line each way over a Unix socket, for root only.

The agent's and the edge's own commands (``zthook status``, ``zthook edge mappings``) ask
their daemon through it. Plain sockets, as a command then starts in a third of the time
that an HTTP client takes to import.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from zthook.errors import DaemonUnreachable, ZthookError
from zthook.wire.faults import from_reply, to_reply
from zthook.wire.messages import UNREADABLE, ErrorReply

MAX_LINE = 16 * 1024 * 1024
"""Bytes of one line: the mappings of a full edge (65k) take about 14 MB."""

READ_SECONDS = 10.0
"""How long an asker may take to say what it wants."""

Handler = Callable[[dict[str, Any]], Awaitable[Any]]
"""Takes a command's arguments, returns what msgspec can encode, raises ZthookError."""


class _Request(msgspec.Struct, frozen=True):
    command: str
    arguments: dict[str, Any] = {}


class _Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorReply | None = None


def ask(path: Path, command: str, *, deadline: float = 10.0, **arguments: Any) -> Any:
    """Send one command and return its result as plain JSON values.

    ``deadline`` is in seconds for each wait. Raises DaemonUnreachable where nothing
    answers at ``path``, and whatever ZthookError the daemon answered with.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(deadline)
            link.connect(os.fspath(path))
            link.sendall(msgspec.json.encode(_Request(command, arguments)) + b"\n")
            with link.makefile("rb") as answers:
                line = answers.readline(MAX_LINE)
    except OSError as error:
        raise DaemonUnreachable(
            f"nothing answers at {path}: {error.strerror or error}",
            hint="is the daemon running? (zthook agent on a host, zthook edge serve on an edge)",
        ) from error
    if not line.endswith(b"\n"):
        raise DaemonUnreachable(f"the daemon at {path} closed before it answered {command!r}")
    reply = msgspec.json.decode(line, type=_Reply)
    if reply.error is not None:
        raise from_reply(reply.error)
    return msgspec.json.decode(reply.result)


def peer_uid(link: socket.socket) -> int:
    """The user id of a Unix socket's other end, as the kernel knows it."""
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    return int(uid)


async def _answer(line: bytes, commands: dict[str, Handler]) -> _Reply:
    try:
        request = msgspec.json.decode(line, type=_Request)
        handler = commands[request.command]
    except (*UNREADABLE, KeyError) as error:
        return _Reply(error=ErrorReply(error="bad_request", message=f"not a command: {error}"))
    try:
        result = await handler(request.arguments)
    except ZthookError as error:
        return _Reply(error=to_reply(error)[1])
    return _Reply(result=msgspec.Raw(msgspec.json.encode(result)))


@contextlib.asynccontextmanager
async def serve(path: Path, commands: dict[str, Handler]) -> AsyncIterator[None]:
    """Answer commands at ``path`` (mode 0600, root's connections only) while inside."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            link = writer.get_extra_info("socket")
            if peer_uid(link) in {0, os.geteuid()}:
                async with asyncio.timeout(READ_SECONDS):
                    line = await reader.readline()
                writer.write(msgspec.json.encode(await _answer(line, commands)) + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # the asker went away or sent no line: nobody is left to answer
        finally:
            writer.close()

    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(converse, path, limit=MAX_LINE)
    path.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)
