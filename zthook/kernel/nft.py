"""nftables by its official library: questions and small changes in process, large changes
through `nft`.
"""

import json
import logging
import re
import struct
import subprocess
from typing import Any

from zthook.errors import KernelError
from zthook.kernel.netlink import NETFILTER, Netlink, attributes

log = logging.getLogger(__name__)

LARGE = 64 * 1024
"""From this many characters on a child process does the work: the library keeps the memory
of its largest load for as long as the process lives (23 → 92 MiB after 65k mappings)."""

LONGEST_RUN = 120.0
GET_GENERATION = (10 << 8) | 16
GENERATION_ID = 1


class Nft:
    """This network namespace's nftables; for use in one thread."""

    def __init__(self) -> None:
        self._library: Any = None
        self._has_library = True
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
        """What ``nft -j COMMAND`` lists; ``terse``: sets without their elements, as the library
        keeps the memory of all that it lists.

        Raises KernelError, also where it is not there.
        """
        library = self._opened()
        if library is None:
            text = _child(*(("-j", "-t") if terse else ("-j",)), command)
        else:
            text = _listed(library, command, terse=terse)
        found: list[dict[str, Any]] = json.loads(text)["nftables"]
        return found

    def table(self, family: str, name: str, *, terse: bool = False) -> list[dict[str, Any]] | None:
        """The whole table as JSON objects, None where there is no such table."""
        tables = (one.get("table", {}) for one in self.query("list tables"))
        if not any(one.get("family") == family and one.get("name") == name for one in tables):
            return None
        return self.query(f"list table {family} {name}", terse=terse)

    def generation(self) -> int:
        """The ruleset's generation: every transaction, whoever makes it, raises it by one."""
        if self._asking is None:
            self._asking = Netlink(NETFILTER)
        answer = self._asking.ask(GET_GENERATION, 0, bytes(4), about="asking nftables' generation")
        found: int = struct.unpack(">I", attributes(answer, 4)[GENERATION_ID])[0]
        return found

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
        log.warning("each change of nftables runs nft, as python3-nftables is missing: %s", error)
        return None


def _listed(library: Any, command: str, *, terse: bool) -> str:
    library.set_json_output(True)
    library.set_terse_output(terse)
    try:
        return _said(library, command)
    finally:
        library.set_json_output(False)  # else what is to be run is taken for JSON first


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
