"""Our rule in the FORWARD chain of iptables, of both kinds and both families.

Libvirt's iptables backend, Docker, ufw and rules by hand all stand there.
"""

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from zthook.errors import KernelError
from zthook.kernel.firewalls.passage import OWNERS, Passage
from zthook.kernel.firewalls.placing import Chain, Chains, Place, Rule, is_right, place

FORWARD = "FORWARD"
STOPPING = frozenset({"DROP", "REJECT", "NFQUEUE", "QUEUE", "TARPIT"})
NARROW = frozenset({"-s", "--src-range", "--mac-source", "--sport", "--dport", "--sports"}) | {
    "--dports", "--ports",
}  # fmt: skip
"""Options that pick sources or ports, unless there is a "!" before them."""

LONGEST_RUN = 20.0
INCOMPATIBLE = "is incompatible, use 'nft' tool"
"""What iptables-nft says of a table with rules that are none of iptables': nft's own, then."""

IN_USE = {
    4: Path("/proc/thread-self/net/ip_tables_names"),
    6: Path("/proc/thread-self/net/ip6_tables_names"),
}
"""Which legacy tables are in use. Only asking `iptables-legacy` for one would make it."""


@dataclass(frozen=True, slots=True)
class Iptables:
    """One of the up to four: of a family (4, 6), over nftables ("nft") or by itself ("legacy")."""

    family: int
    kind: str

    @property
    def command(self) -> str:
        """Its name."""
        return f"{'iptables' if self.family == 4 else 'ip6tables'}-{self.kind}"

    def keep(self, passage: Passage | None, owner: str) -> tuple[bool, list[str]]:
        """Make the rule of ``passage``, or none, be the only one of ``owner``.

        Whether the table is iptables' at all, and what was put right. Raises KernelError.
        """
        listing = self._listing()
        if listing is None:
            return False, []
        chains = read(listing)
        wanted = place(chains, FORWARD) if passage else None
        orders = changes(chains, wanted, passage, owner)
        if orders:
            commands = "\n".join(["*filter", *orders, "COMMIT", ""])
            self._run("-restore", "-w", "5", "--noflush", stdin=commands)
        return True, [f"{self.command}: our rule {_did(wanted)}"] if orders else []

    def amiss(self, passage: Passage | None, owner: str) -> bool:
        """Whether ``keep`` would change anything."""
        chains = self.chains() or {FORWARD: Chain()}
        wanted = place(chains, FORWARD) if passage else None
        return bool(changes(chains, wanted, passage, owner))

    def chains(self) -> dict[str, Chain] | None:
        """The filter table's, None where it is not iptables' or there is no such command."""
        listing = self._listing()
        return None if listing is None else read(listing)

    def _listing(self) -> str | None:
        """The filter table, None where it is not iptables' or there is no such command."""
        try:
            return self._run("", "-w", "5", "-S")
        except FileNotFoundError:
            return None
        except _Foreign:
            return None

    def _run(self, suffix: str, *arguments: str, stdin: str | None = None) -> str:
        command = [f"{self.command}{suffix}", *arguments]
        try:
            done = subprocess.run(
                command,
                input=stdin,
                capture_output=True,
                text=True,
                timeout=LONGEST_RUN,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise KernelError(f"{command[0]} did not end within {LONGEST_RUN:.0f} s") from error
        if INCOMPATIBLE in done.stderr:
            raise _Foreign
        if done.returncode:
            said = done.stderr.strip() or "it gave no reason"
            raise KernelError(f"{shlex.join(command)} failed: {said}")
        return done.stdout


class _Foreign(Exception):
    """The table is nftables' own."""


def _did(wanted: Place | None) -> str:
    return f"set in {wanted.chain}" if wanted else "removed"


def legacy_in_use(family: int) -> bool:
    """Whether legacy iptables filters here: its changes raise no generation of nftables."""
    try:
        return "filter" in IN_USE[family].read_text(encoding="ascii").split()
    except FileNotFoundError:
        return False


def read(listing: str) -> dict[str, Chain]:
    """The table's chains, from ``iptables -S``."""
    rules: dict[str, list[Rule]] = {}
    accepts: dict[str, bool] = {}
    for verb, chain, *words in map(shlex.split, listing.splitlines()):
        known = rules.setdefault(chain, [])
        if verb == "-A":
            known.append(_rule(words))
        elif verb == "-P":
            accepts[chain] = words == ["ACCEPT"]
    return {name: Chain(tuple(some), accepts.get(name, True)) for name, some in rules.items()}


def _rule(words: list[str]) -> Rule:
    target = _after(words, "-j", "-g")
    return Rule(
        stops=target in STOPPING,
        leads_to=frozenset({target} if target else ()),
        narrow=_is_narrow(words),
        always=words[:1] in (["-j"], ["-g"]),
        returns=target == "RETURN",
        owner=next((one for one in OWNERS if ("--comment", one) in pairwise(words)), ""),
        words=tuple(words),
    )


def _after(words: Sequence[str], *options: str) -> str:
    return next((after for word, after in pairwise(words) if word in options), "")


def _is_narrow(words: Sequence[str]) -> bool:
    """What is invalid is none of ours: a connection without a mark."""
    if _after(words, "--ctstate", "--state") == "INVALID":
        return True
    picks = (i for i, word in enumerate(words) if word in NARROW or _picks_source(words[i : i + 3]))
    return any(words[i - 1] != "!" for i in picks)


def _picks_source(words: Sequence[str]) -> bool:
    return words[:1] == ["--match-set"] and "src" in words[-1].split(",")


def changes(chains: Chains, wanted: Place | None, passage: Passage | None, owner: str) -> list[str]:
    """What ``iptables-restore`` has to do; nothing where it is as it should be."""
    arguments = passage.arguments if passage else ()
    if is_right(chains, wanted, owner, arguments):
        return []
    orders = [
        f"-D {name} {' '.join(rule.words)}"
        for name, chain in chains.items()
        for rule in chain.rules
        if rule.owner == owner
    ]
    if wanted is None:
        return orders
    number = _number(chains[wanted.chain].rules, wanted.index, owner)
    return [*orders, f"-I {wanted.chain} {number} {' '.join(arguments)}"]


def _number(rules: Sequence[Rule], index: int, owner: str) -> int:
    """The number that our rule gets behind ``index`` of others', ours being taken out first."""
    left = [rule for rule in rules if rule.owner != owner]
    behind = [i for i, rule in enumerate(left) if not rule.owner]
    return (behind[index] if index < len(behind) else len(left)) + 1
