"""The daemons' end of the control sockets; see ``control`` for what they are."""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from zthook.errors import ZthookError
from zthook.wire.control import MAX_LINE, ControlReply, ControlRequest
from zthook.wire.faults import to_reply
from zthook.wire.messages import UNREADABLE, ErrorReply

READ_SECONDS = 10.0
"""How long an asker may take to say what it wants."""

Handler = Callable[[dict[str, Any]], Awaitable[Any]]
"""Takes a command's arguments, returns what msgspec can encode, raises ZthookError."""


def peer_uid(link: socket.socket) -> int:
    """The user id of a Unix socket's other end, as the kernel knows it."""
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    return int(uid)


async def _answer(line: bytes, commands: dict[str, Handler]) -> ControlReply:
    try:
        request = msgspec.json.decode(line, type=ControlRequest)
        handler = commands[request.command]
    except (*UNREADABLE, KeyError) as error:
        return ControlReply(
            error=ErrorReply(error="bad_request", message=f"not a command: {error}")
        )
    try:
        result = await handler(request.arguments)
    except ZthookError as error:
        return ControlReply(error=to_reply(error)[1])
    return ControlReply(result=msgspec.Raw(msgspec.json.encode(result)))


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
