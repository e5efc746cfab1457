"""Which firewalls stand here, and whether ours are let through each; looks and changes nothing."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from zthook.kernel.firewalls import chains, iptables
from zthook.kernel.firewalls.iptables import FORWARD, Iptables
from zthook.kernel.firewalls.keeper import NFT_FAMILY, kinds
from zthook.kernel.firewalls.passage import Passage
from zthook.kernel.firewalls.placing import place
from zthook.kernel.nft import Nft

WHOSE = {
    "LIBVIRT_FWI": "libvirt (iptables)",
    "libvirt_network": "libvirt (nftables)",
    "DOCKER-USER": "Docker",
    "docker-bridges": "Docker (nftables)",
    "firewalld": "firewalld",
    "ufw-before-forward": "ufw",
    "ufw6-before-forward": "ufw",
}
"""A chain's or a table's name → who makes it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A firewall: ``where`` it is, and ``whose``, as far as its names tell.

    ``stops``: it could stop what is forwarded. ``opened``: the rule of ours is there, before
    that, or none is needed. ``owned``: nobody but its owner can put one in.
    """

    where: str
    whose: tuple[str, ...]
    stops: bool
    opened: bool
    owned: bool = False


def standings(nft: Nft, passage: Passage, families: frozenset[int]) -> list[Standing]:
    """Every firewall of these families that filters what is forwarded. Raises KernelError."""
    found = list(_iptables(passage, families))
    known = {one.where for one in found}
    return found + [
        one
        for base in chains.forward_chains(nft)
        if chains.FAMILIES[base.family] & families and str(base) not in known
        for one in _chains(nft, base, passage)
    ]


def _iptables(passage: Passage, families: frozenset[int]) -> Iterator[Standing]:
    for family in sorted(families):
        for kind in kinds(family):
            one = Iptables(family, kind)
            if (found := one.chains()) is None:
                continue
            wanted = place(found, FORWARD)
            amiss = iptables.changes(found, wanted, passage, passage.owner)
            where = f"{NFT_FAMILY[family]} filter FORWARD" if kind == "nft" else one.command
            yield Standing(where, _whose(found), wanted is not None, not amiss)


def _chains(nft: Nft, base: chains.Base, passage: Passage) -> Iterator[Standing]:
    table = chains.observe(nft, base)
    if table is None:
        return
    stops = place(table.chains, base.chain) is not None
    amiss = chains.changes(base, table.chains, passage, passage.owner)
    whose = _whose({base.table, *table.chains})
    yield Standing(str(base), whose, stops, not amiss, table.owned)


def _whose(names: Collection[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for name, word in WHOSE.items() if name in names))
