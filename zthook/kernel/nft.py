"""nftables by its official library: small changes, and our own table, in process; all else
through `nft`.
"""

import errno
import json
import logging
import re
import struct
import subprocess
from collections.abc import Collection
from typing import Any

from zthook.errors import KernelError
from zthook.kernel.netlink import NETFILTER, Netlink, attribute, attributes

log = logging.getLogger(__name__)

LARGE = 64 * 1024
"""From this many characters on a child process does the work: the library keeps the memory
of its largest load for as long as the process lives (23 → 92 MiB after 65k mappings)."""
LONG = 1024 * 1024
"""The same of a listing: two hundred mapped guests come to a tenth of it."""

LONGEST_RUN = 120.0
GET_TABLE, GET_GENERATION = (10 << 8 | kind for kind in (1, 16))
FAMILIES = {"inet": 1, "ip": 2, "ip6": 10}
TABLE_NAME, GENERATION_ID = 1, 1


class Nft:
    """This network namespace's nftables; for one thread at a time."""

    def __init__(self) -> None:
        self._library: Any = None
        self._has_library = True
        self._listed = 0
        """Characters that our own table had when it was listed last."""
        self._asking: Netlink | None = None

    def run(self, commands: str) -> None:
        """Carry out all of ``commands`` in one transaction, or none.

        Raises KernelError with nft's own words.
        """
        if not commands:
            return
        library = self._opened() if len(commands) < LARGE else None
        if library is None:
            _child("-f", "-", commands=commands)
        else:
            _said(library, commands)

    def _opened(self) -> Any:
        """The library, None where this machine has no binding of it."""
        if self._library is None and self._has_library:
            self._library = _open_library()
            self._has_library = self._library is not None
        return self._library

    def change(self, commands: list[dict[str, Any]]) -> None:
        """As ``run``, of commands as JSON objects: with these any name can be said."""
        _child("-j", "-f", "-", commands=json.dumps({"nftables": commands}))

    def query(self, command: str, *, terse: bool = False) -> list[dict[str, Any]]:
        """What ``nft -j COMMAND`` lists; ``terse``: sets without their elements.

        By a child: the library would keep the memory of all tables, also with ``terse`` (up to
        1.0.9), and ends its process where it does not know what others made. Raises
        KernelError, also where it is not there.
        """
        return _objects(_child(*(("-j", "-t") if terse else ("-j",)), command))

    def table(self, family: str, name: str, *, terse: bool = False) -> list[dict[str, Any]] | None:
        """The whole table as JSON objects, None where there is no such table."""
        if not self.has_table(family, name):
            return None
        return self.query(f"list table {family} {name}", terse=terse)

    def own_table(self, family: str, name: str) -> list[dict[str, Any]] | None:
        """The same of one that is ours alone: in process, while it is not LONG."""
        library = self._opened() if self._listed < LONG else None
        if library is None:
            return self.table(family, name)
        if not self.has_table(family, name):
            return None
        text = _listed(library, f"list table {family} {name}")
        self._listed = len(text)
        return _objects(text)

    def has_table(self, family: str, name: str) -> bool:
        """Whether there is one of that name. Raises KernelError."""
        wanted = bytes([FAMILIES[family], 0, 0, 0]) + attribute(TABLE_NAME, name.encode() + b"\0")
        about = f"asking for table {family} {name}"
        return bool(self._ask(GET_TABLE, wanted, about, fine={errno.ENOENT}))

    def generation(self) -> int:
        """The ruleset's generation: every transaction, whoever makes it, raises it by one."""
        answer = self._ask(GET_GENERATION, bytes(4), "asking nftables' generation")
        found: int = struct.unpack(">I", attributes(answer, 4)[GENERATION_ID])[0]
        return found

    def _ask(self, kind: int, body: bytes, about: str, fine: Collection[int] = ()) -> bytes:
        if self._asking is None:
            self._asking = Netlink(NETFILTER)
        return self._asking.ask(kind, 0, body, about=about, fine=fine)

    def close(self) -> None:
        """Let go of sockets and the library."""
        self._library = None
        if self._asking is not None:
            self._asking.close()
            self._asking = None


def _open_library() -> Any:
    try:
        import nftables

        return nftables.Nftables()
    except (ImportError, OSError) as error:
        log.warning(
            "each change and listing of nftables runs nft, as python3-nftables is missing: %s",
            error,
        )
        return None


def _listed(library: Any, command: str) -> str:
    library.set_json_output(True)
    try:
        return _said(library, command)
    finally:
        library.set_json_output(False)  # else what is to be run is taken for JSON first


def _objects(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)["nftables"]
    return found


def _said(library: Any, commands: str) -> str:
    code, output, error = library.cmd(commands)
    if code:
        raise KernelError(f"nftables refused: {_reason(error)}")
    said: str = output
    return said


def _child(*arguments: str, commands: str | None = None) -> str:
    try:
        done = subprocess.run(
            ["nft", *arguments],
            input=commands,
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN,
            check=False,
        )
    except FileNotFoundError as error:
        raise KernelError("there is no nft command", hint="apt install nftables") from error
    except subprocess.TimeoutExpired as error:
        raise KernelError(f"nft did not end within {LONGEST_RUN:.0f} s") from error
    if done.returncode:
        raise KernelError(f"nftables refused: {_reason(done.stderr)}")
    return done.stdout


def _reason(text: str) -> str:
    """The first error's line with the command it is about."""
    lines = [line for line in text.splitlines() if line.strip()]
    first = re.sub(r"^(internal|/dev/stdin):\S+ ", "", " | ".join(lines[:2]))
    return first or "it gave no reason"
