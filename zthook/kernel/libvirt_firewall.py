"""A place for mapped guests in libvirt's own firewall (its iptables backend).

Libvirt rejects new connections to the guests of its networks in chain LIBVIRT_FWI, and of
an isolated one everything that they answer in LIBVIRT_FWO. An ACCEPT in a table of ours does
not override that: our rules have to stand at the top of these two. Libvirt makes the chains
anew with each restart, and with each start of a network; where they are not, nothing rejects.
"""

import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from zthook.errors import KernelError
from zthook.kernel.host_marks import Marks
from zthook.kernel.host_rules import quoted

COMMENT = "zthook"
LONGEST_RUN = 20.0
NO_SUCH_CHAIN = 1
LEGACY_TABLES = Path("/proc/thread-self/net/ip_tables_names")
"""Which legacy tables are in use. Only asking `iptables-legacy` for one would make it."""


@dataclass(frozen=True, slots=True)
class OwnRule:
    """One of our rules: the chain it heads, and its arguments as ``iptables -S`` shows them."""

    chain: str
    arguments: tuple[str, ...]


def own_rules(overlay: str, mark: int) -> tuple[OwnRule, ...]:
    """What lets our connections through libvirt's chains, in their order there.

    ``overlay`` is the device to the edge, ``mark`` the mask of the two bits that are ours
    (host_marks.Marks). Our own table has judged who may have which mark before.
    """
    quoted(overlay)
    marks = Marks(mark)

    answers = ("-m", "conntrack", "--ctdir", "REPLY")
    begun = ("-m", "conntrack", "--ctdir", "ORIGINAL")

    def rule(chain: str, device: tuple[str, ...], value: int, *more: str) -> OwnRule:
        marked = ("-m", "connmark", "--mark", f"0x{value:x}/0x{mark:x}")
        accept = ("-m", "comment", "--comment", COMMENT, "-j", "ACCEPT")
        return OwnRule(chain, (*device, *marked, *more, *accept))

    return (
        rule("LIBVIRT_FWI", ("-i", overlay), marks.brought),
        rule("LIBVIRT_FWI", ("-i", overlay), marks.leaving, *answers),
        rule("LIBVIRT_FWI", (), marks.local),
        rule("LIBVIRT_FWO", ("-o", overlay), marks.brought, *answers),
        rule("LIBVIRT_FWO", ("-o", overlay), marks.leaving, *begun),
    )


CHAINS = ("LIBVIRT_FWI", "LIBVIRT_FWO")


def read_chain(listing: str) -> list[tuple[str, ...]]:
    """The arguments of the chain's rules in order, from ``iptables -S CHAIN``."""
    words = (tuple(shlex.split(line)) for line in listing.splitlines())
    return [some[2:] for some in words if some[:1] == ("-A",)]


def is_ours(arguments: tuple[str, ...]) -> bool:
    """Whether the rule has our comment."""
    return ("--comment", COMMENT) in pairwise(arguments)


def changes(chain: str, found: list[tuple[str, ...]], wanted: Iterable[OwnRule]) -> list[str]:
    """What ``iptables-restore`` has to do; nothing where ours alone, in order, head the chain."""
    right = [one.arguments for one in wanted if one.chain == chain]
    ours = [one for one in found if is_ours(one)]
    if ours == right and found[: len(right)] == right:
        return []
    deletions = [f"-D {chain} {shlex.join(one)}" for one in ours]
    return deletions + [f"-I {chain} 1 {shlex.join(one)}" for one in reversed(right)]


def keep_open(wanted: tuple[OwnRule, ...]) -> list[str]:
    """Make these, and no others of ours, head libvirt's chains; empty for none of ours.

    A line for each chain that was put right. Raises KernelError.
    """
    return [line for backend in _backends() for line in _keep_backend(backend, wanted)]


def legacy_in_use() -> bool:
    """Whether legacy iptables filters here: its changes raise no generation of nftables."""
    try:
        return "filter" in LEGACY_TABLES.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return False


def _backends() -> list[str]:
    return ["nft", "legacy"] if legacy_in_use() else ["nft"]


def _keep_backend(backend: str, wanted: tuple[OwnRule, ...]) -> list[str]:
    orders: list[str] = []
    lines: list[str] = []
    for chain in CHAINS:
        found = _chain(backend, chain)
        if found is None:
            continue
        steps = changes(chain, found, wanted)
        orders += steps
        lines += [f"{chain} (iptables-{backend}): our rules {_did(steps)}"] if steps else []
    if orders:
        commands = "\n".join(["*filter", *orders, "COMMIT", ""])
        _run([f"iptables-{backend}-restore", "-w", "5", "--noflush"], commands)
    return lines


def _did(steps: list[str]) -> str:
    return "set at its top" if steps[-1].startswith("-I") else "removed"


def _chain(backend: str, chain: str) -> list[tuple[str, ...]] | None:
    """The chain's rules, None where there is no such chain or no such command."""
    try:
        return read_chain(_run([f"iptables-{backend}", "-w", "5", "-S", chain]))
    except _Absent:
        return None


class _Absent(Exception):
    """The chain is not there, or the command is not installed: libvirt does not use it."""


def _run(command: list[str], orders: str | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            input=orders,
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN,
            check=False,
        )
    except FileNotFoundError as error:
        raise _Absent from error
    except subprocess.TimeoutExpired as error:
        raise KernelError(f"{command[0]} did not end within {LONGEST_RUN:.0f} s") from error
    if orders is None and done.returncode == NO_SUCH_CHAIN:
        raise _Absent
    if done.returncode:
        said = done.stderr.strip() or "it gave no reason"
        raise KernelError(f"{shlex.join(command)} failed: {said}")
    return done.stdout
