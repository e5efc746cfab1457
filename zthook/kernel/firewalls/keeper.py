"""Keeps our packets' way through every firewall that stands here; by looking, never by version."""

from dataclasses import dataclass

from zthook.kernel.firewalls import chains, firewalld
from zthook.kernel.firewalls.firewalld import Reach
from zthook.kernel.firewalls.iptables import FORWARD, Iptables, legacy_in_use
from zthook.kernel.firewalls.passage import Passage
from zthook.kernel.firewalls.placing import place
from zthook.kernel.nft import Nft

ALL_FAMILIES = frozenset({4, 6})
NFT_FAMILY = {4: "ip", 6: "ip6"}


@dataclass(frozen=True, slots=True)
class Opening:
    """What has to pass, of which families (4, 6).

    ``reached`` says the same where no marks are known, to firewalld; None: it is not asked.
    """

    passage: Passage
    families: frozenset[int]
    reached: frozenset[Reach] | None = None


class Firewalls:
    """Those of this network namespace; for one thread.

    ``owner`` is what the comments of the rules begin with: other owners' rules stay.
    """

    def __init__(self, nft: Nft, owner: str) -> None:
        self._nft = nft
        self._owner = owner
        self._opening: Opening | None = None
        self._generation: int | None = None
        self._closed: list[str] = []
        self._told: frozenset[str] = frozenset()
        self._marked = ALL_FAMILIES
        """Families of which something of ours may be there: at the start, nobody knows."""

    def keep(self, opening: Opening | None) -> list[str]:
        """Make exactly these rules of ours be there, with None none.

        A line for each thing that was put right. Raises KernelError.
        """
        generation = self._nft.generation()
        families = (opening.families if opening else frozenset()) | self._marked
        legacy = any(legacy_in_use(family) for family in families)
        if generation == self._generation and opening == self._opening and not legacy:
            return []
        self._generation, self._opening, self._closed = None, opening, []
        lines = self._look(opening, families)
        self._marked = opening.families if opening else frozenset()
        if not lines:
            self._generation = generation
        return lines

    def _look(self, opening: Opening | None, families: frozenset[int]) -> list[str]:
        lines: list[str] = []
        iptables = set()
        for one in (
            Iptables(family, kind) for family in sorted(families) for kind in kinds(family)
        ):
            passage = _of(opening, frozenset({one.family}))
            theirs, did = one.keep(passage, self._owner)
            lines += did
            if theirs and one.kind == "nft":
                iptables.add(chains.Base(NFT_FAMILY[one.family], "filter", FORWARD))
        for base in chains.forward_chains(self._nft) if families else ():
            if base not in iptables and chains.FAMILIES[base.family] & families:
                lines += self._keep_chain(base, opening)
        if opening and opening.reached is not None and 6 in opening.families:
            self._see_ways_back()
        return lines

    def _see_ways_back(self) -> None:
        """What is before every forward chain, and nobody but firewalld can change."""
        table = self._nft.table("inet", firewalld.TABLE, terse=True)
        if table is not None and firewalld.refuses_ways_back(table):
            self._closed.append(firewalld.NO_WAY_BACK)

    def _keep_chain(self, base: chains.Base, opening: Opening | None) -> list[str]:
        table = chains.observe(self._nft, base)
        if table is None:
            return []
        if table.owned:
            return self._ask_owner(base, table, opening)
        passage = _of(opening, chains.FAMILIES[base.family])
        commands = chains.changes(base, table.chains, passage, self._owner)
        if not commands:
            return []
        self._nft.change(commands)
        return [f"{base}: our rule {'removed' if 'delete' in commands[-1] else 'set'}"]

    def _ask_owner(
        self, base: chains.Base, table: chains.Table, opening: Opening | None
    ) -> list[str]:
        reached = opening.reached if opening else frozenset()
        if base.table == firewalld.TABLE and reached is not None:
            self._closed += firewalld.unasked(reached)
            return firewalld.keep(self._owner, reached)
        if opening and place(table.chains, base.chain):
            self._closed.append(f"{base} may stop what is mapped, and only its owner can change it")
        return []

    def news(self) -> list[str]:
        """What nothing of ours can open, each told once."""
        new = [line for line in self._closed if line not in self._told]
        self._told = frozenset(self._closed)
        return new

    def drifted(self) -> bool:
        """Whether legacy iptables changed, which raises no generation of nftables."""
        opening = self._opening
        return opening is not None and any(
            legacy_in_use(family) and Iptables(family, "legacy").amiss(opening.passage, self._owner)
            for family in opening.families
        )


def kinds(family: int) -> tuple[str, ...]:
    """The iptables of the family that are in use."""
    return ("nft", "legacy") if legacy_in_use(family) else ("nft",)


def _of(opening: Opening | None, families: frozenset[int]) -> Passage | None:
    """The passage, where any of these families is asked for."""
    return opening.passage if opening and opening.families & families else None
