"""nftables by its official library: small changes in process, large ones through `nft`."""

import json
import re
import struct
import subprocess
from typing import Any

import nftables

from zthook.errors import KernelError
from zthook.kernel.netlink import NETFILTER, Netlink, attributes

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
        self._asking: Netlink | None = None

    def run(self, commands: str) -> None:
        """Carry out all of ``commands`` in one transaction, or none.

        Raises KernelError with nft's own words.
        """
        if not commands:
            return
        if len(commands) >= LARGE:
            _child("-f", "-", commands=commands)
            return
        if self._library is None:
            self._library = nftables.Nftables()
        code, _, error = self._library.cmd(commands)
        if code:
            raise KernelError(f"nftables refused the change: {_reason(error)}")

    def query(self, command: str) -> list[dict[str, Any]]:
        """What ``nft -j COMMAND`` lists. Raises KernelError, also where it is not there."""
        found: list[dict[str, Any]] = json.loads(_child("-j", command))["nftables"]
        return found

    def table(self, family: str, name: str) -> list[dict[str, Any]] | None:
        """The whole table as JSON objects, None where there is no such table."""
        tables = (one.get("table", {}) for one in self.query("list tables"))
        if not any(one.get("family") == family and one.get("name") == name for one in tables):
            return None
        return self.query(f"list table {family} {name}")

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
