"""The local control sockets: one JSON line each way over a Unix socket, for root only.

The agent's and the edge's own commands (``zthook status``, ``zthook edge mappings``) ask
their daemon through it. Plain sockets, as a command then starts in a third of the time
that an HTTP client takes to import; the daemons' end is ``control_server``, as a command
needs no asyncio either.
"""

import os
import socket
from pathlib import Path
from typing import Any

import msgspec

from zthook.errors import DaemonUnreachable
from zthook.wire.faults import from_reply
from zthook.wire.messages import ErrorReply

MAX_LINE = 16 * 1024 * 1024
"""Bytes of one line: the mappings of a full edge (65k) take about 14 MB."""


class ControlRequest(msgspec.Struct, frozen=True):
    """What is asked."""

    command: str
    arguments: dict[str, Any] = {}


class ControlReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What comes back: ``error`` where it is one."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorReply | None = None


def ask(path: Path, command: str, *, deadline: float = 10.0, **arguments: Any) -> Any:
    """Send one command and return its result as plain JSON values.

    ``deadline`` is in seconds for each wait. Raises DaemonUnreachable where nothing
    answers at ``path``, PermissionError where that is not for this user to ask, and whatever
    ZthookError the daemon answered with.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(deadline)
            link.connect(os.fspath(path))
            link.sendall(msgspec.json.encode(ControlRequest(command, arguments)) + b"\n")
            with link.makefile("rb") as answers:
                line = answers.readline(MAX_LINE)
    except PermissionError as error:
        raise PermissionError(error.errno, error.strerror, str(path)) from error
    except OSError as error:
        raise DaemonUnreachable(
            f"nothing answers at {path}: {error.strerror or error}",
            hint="is the daemon running? (zthook agent on a host, zthook edge serve on an edge)",
        ) from error
    if not line.endswith(b"\n"):
        raise DaemonUnreachable(f"the daemon at {path} closed before it answered {command!r}")
    reply = msgspec.json.decode(line, type=ControlReply)
    if reply.error is not None:
        raise from_reply(reply.error)
    return msgspec.json.decode(reply.result)
