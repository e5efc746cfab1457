"""The socket that libvirt's hook calls: requests in, verdicts out.

A request is ``zthook-hook 1``, guest, operation, suboperation and extra, a zero byte behind
each, then the domain's XML to the end of the stream. The answer is ``0``, or ``1`` and a
reason. Libvirt holds the guest's lock meanwhile, so nothing on this way may call libvirt.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from zthook.errors import ZthookError
from zthook.wire.control_server import peer_uid

log = logging.getLogger(__name__)

MAX_REQUEST = 16 * 1024 * 1024
"""Bytes of one request."""

READ_SECONDS = 10.0
"""How long a client may take to say what it wants; hooks leave after 5 s at the latest."""

_GREETING = "zthook-hook 1"


@dataclass(frozen=True, slots=True)
class HookCall:
    """One call of the hook, as libvirt made it: its four arguments, and the domain's XML."""

    guest: str
    operation: str
    suboperation: str
    extra: str
    xml: bytes

    @property
    def decides(self) -> bool:
        """Whether the hook may be waiting for a verdict: before the start of a guest whose
        XML says ``required`` somewhere. To every other call the answer changes nothing.
        """
        return (self.operation, self.suboperation) == ("prepare", "begin") and (
            b"required" in self.xml
        )


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """The verdict; ``reason`` is what the person who starts the guest reads on a refusal."""

    allow: bool
    reason: str = ""

    def encode(self) -> bytes:
        return b"0" if self.allow else b"1" + self.reason.encode()


ALLOW = HookAnswer(allow=True)

OnHook = Callable[[HookCall], Awaitable[HookAnswer]]


class _NotAHook(Exception):
    """What came is no request; the text says why."""


def parse_request(request: bytes) -> HookCall:
    """Read one whole request. Raises ValueError on anything else."""
    *head, xml = request.split(b"\0", 5)
    words = [word.decode("utf-8", "replace") for word in head]
    if len(words) != 5 or words[0] != _GREETING:
        raise ValueError(f"it begins with {request[:20]!r}, not with {_GREETING!r} and four words")
    _, guest, operation, suboperation, extra = words
    return HookCall(guest, operation, suboperation, extra, xml)


async def _read(reader: asyncio.StreamReader) -> bytes:
    request = bytearray()
    while part := await reader.read(1 << 18):
        request += part
        if len(request) > MAX_REQUEST:
            raise _NotAHook(f"it is larger than {MAX_REQUEST} bytes")
    return bytes(request)


async def _receive(reader: asyncio.StreamReader, peer: socket.socket) -> HookCall:
    uid = peer_uid(peer)
    if uid not in {0, os.geteuid()}:
        raise _NotAHook(f"it comes from user id {uid}; only root may call")
    try:
        async with asyncio.timeout(READ_SECONDS):
            return parse_request(await _read(reader))
    except TimeoutError:
        raise _NotAHook(f"it was not complete within {READ_SECONDS:g} s") from None
    except (ValueError, OSError) as error:
        raise _NotAHook(str(error)) from error


async def _decide(call: HookCall, on_hook: OnHook) -> HookAnswer:
    """The handler's answer; where it fails, only a guest that insists is kept from starting."""
    try:
        return await on_hook(call)
    except ZthookError as error:
        log.warning("guest %s: %s: %s", call.guest, call.operation, error)
        return HookAnswer(allow=not call.decides, reason=f"{error.message} {error.hint}".strip())
    except Exception as error:
        log.exception("guest %s: %s failed", call.guest, call.operation)
        return HookAnswer(allow=not call.decides, reason=f"the agent failed: {error!r}")


async def _send(writer: asyncio.StreamWriter, answer: HookAnswer) -> None:
    """Hand the answer over; a hook that has left by its deadline does not hear it."""
    with contextlib.suppress(ConnectionError):
        writer.write(answer.encode())
        writer.write_eof()


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_hook: OnHook
) -> None:
    try:
        call = await _receive(reader, writer.get_extra_info("socket"))
    except _NotAHook as fault:
        log.warning("a call of the hook's socket was turned away: %s", fault)
        await _send(writer, HookAnswer(allow=False, reason=f"the agent turned it away: {fault}"))
        return
    if call.decides:
        await _send(writer, await _decide(call, on_hook))
    else:
        await _send(writer, ALLOW)
        await _decide(call, on_hook)


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(os.fspath(path))
    finally:
        os.umask(before)
    listener.listen(socket.SOMAXCONN)
    return listener


@contextlib.asynccontextmanager
async def serve_hooks(where: Path | socket.socket, on_hook: OnHook) -> AsyncIterator[None]:
    """Answer the hook at ``where`` while inside: a path to listen at (mode 0600, removed at
    the end), or a socket that listens already and stays.

    ``on_hook`` is awaited for each call, many at a time. Calls that decide nothing are
    answered before it runs. Where it raises, guests that do not insist start all the same,
    and a required one is refused with the error's text.
    """
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        conversations.add(task)
        try:
            await _converse(reader, writer, on_hook)
        finally:
            conversations.discard(task)
            writer.close()

    listener = _listen(where) if isinstance(where, Path) else where
    server = await asyncio.start_unix_server(converse, sock=listener)
    try:
        yield
    finally:
        server.close()
        for task in list(conversations):
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)
        if isinstance(where, Path):
            where.unlink(missing_ok=True)
