"""Where in a firewall our rule has to stand: pure, the same for iptables and nftables.

What the owner says about single sources and ports comes before ours and keeps its say; ours
stands before the first rule that could stop everything. Where there is none and the policy
accepts, the firewall stays as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DOCKER_USER = "DOCKER-USER"
"""Docker's chain for the rules of others: it keeps that first, and takes nothing out of it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as far as it concerns us.

    ``stops``: it drops or rejects, or may. ``leads_to``: the chains that it jumps or goes to.
    ``narrow``: only from some sources, or only some ports. ``always``: whatever the packet;
    ``returns``: to the chain before. ``owner`` is whose it is where it is ours, ``words`` what
    tells it from another of ours. ``handle`` is nftables' own.
    """

    stops: bool = False
    leads_to: frozenset[str] = frozenset()
    narrow: bool = False
    always: bool = False
    returns: bool = False
    owner: str = ""
    words: tuple[str, ...] = ()
    handle: int = 0


@dataclass(frozen=True, slots=True)
class Chain:
    """Its rules in order; ``accepts`` is the policy, true where it has none."""

    rules: tuple[Rule, ...] = ()
    accepts: bool = True

    @property
    def others(self) -> tuple[Rule, ...]:
        """Without those that are ours."""
        return tuple(rule for rule in self.rules if not rule.owner)


Chains = Mapping[str, Chain]


@dataclass(frozen=True, slots=True)
class Place:
    """``chain``, behind not more than ``index`` rules of others."""

    chain: str
    index: int


def place(chains: Chains, base: str) -> Place | None:
    """Where ours belongs for the packets of ``base``; None where nothing there can stop them."""
    others = chains[base].others
    first = _first(chains, others)
    if first is None and chains[base].accepts:
        return None
    index = len(others) if first is None else first
    for rule in others[: index + 1]:
        if rule.always and rule.leads_to == {DOCKER_USER}:
            return _in_chain(chains, DOCKER_USER)
    return Place(base, index)


def _in_chain(chains: Chains, name: str) -> Place:
    """Before what stops there, and before what ends the chain for everything."""
    others = chains[name].others
    ends = (i for i, one in enumerate(others) if one.always and one.returns)
    end, first = next(ends, len(others)), _first(chains, others)
    return Place(name, end if first is None else min(first, end))


def _first(chains: Chains, rules: Sequence[Rule]) -> int | None:
    return next((i for i, one in enumerate(rules) if _stops(one, chains, frozenset())), None)


def _stops(rule: Rule, chains: Chains, seen: frozenset[str]) -> bool:
    """Whether it, or a chain behind it, may stop whatever comes."""
    if rule.narrow:
        return False
    behind = (chains[name] for name in rule.leads_to - seen if name in chains)
    seen |= rule.leads_to
    return rule.stops or any(_stops(one, chains, seen) for chain in behind for one in chain.rules)


def is_right(chains: Chains, wanted: Place | None, owner: str, words: tuple[str, ...]) -> bool:
    """Whether the one rule of ``owner`` says ``words``, and nothing stops before it.

    Without ``words`` it has none. Where nothing stops at all it may be there or not: what
    comes to stop later, as a network of libvirt's does with its start, then finds it there.
    """
    found = [
        (Place(name, _others_before(chain, i)), rule.words)
        for name, chain in chains.items()
        for i, rule in enumerate(chain.rules)
        if rule.owner == owner
    ]
    if not words or (not found and wanted is None):
        return not found
    if len(found) != 1 or found[0][1] != words:
        return False
    where = found[0][0]
    return wanted is None or (where.chain == wanted.chain and where.index <= wanted.index)


def _others_before(chain: Chain, index: int) -> int:
    return sum(not rule.owner for rule in chain.rules[:index])
