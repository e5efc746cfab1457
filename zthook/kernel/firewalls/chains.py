"""Our rule in the forward chains of nftables' own tables.

An accept ends the walk through one base chain, not through those of other tables: ours has to be
in each that can stop a packet. Libvirt's nftables backend makes such a table, and so do
/etc/nftables.conf, Docker's nftables backend where it drops by policy, firewalld.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zthook.errors import KernelError
from zthook.kernel.firewalls.passage import OWNERS, Passage
from zthook.kernel.firewalls.placing import Chain, Chains, Place, Rule, is_right, place
from zthook.kernel.nft import Nft

FAMILIES: Mapping[str, frozenset[int]] = {
    "ip": frozenset({4}), "ip6": frozenset({6}), "inet": frozenset({4, 6}),
}  # fmt: skip
OWN = frozenset({"zthook", "zthook_host"})
IPTABLES_OTHERS = frozenset({"mangle", "nat", "raw", "security"})
"""Tables of iptables' beside "filter": a rule of nftables' own would make them unreadable to it."""

ABOUT_ITSELF = frozenset({"docker-bridges"})
"""Tables whose rules are about their owner's devices alone: what counts there is the policy."""

STOPPING = frozenset({"drop", "reject", "queue"})
NARROW_FIELDS = frozenset({"saddr", "sport", "dport"})


@dataclass(frozen=True, slots=True, order=True)
class Base:
    """A chain that filters what is forwarded."""

    family: str
    table: str
    chain: str

    def __str__(self) -> str:
        return f"{self.family} {self.table} {self.chain}"


@dataclass(frozen=True, slots=True)
class Table:
    """``owned``: only the program that made it may change it."""

    chains: Chains
    owned: bool


def forward_chains(nft: Nft) -> list[Base]:
    """Every one that is not ours. Raises KernelError."""
    chains = (one["chain"] for one in nft.query("list chains") if "chain" in one)
    found = (
        Base(one["family"], one["table"], one["name"])
        for one in chains
        if one.get("hook") == "forward" and one.get("type") == "filter"
    )
    return sorted(one for one in found if one.family in FAMILIES and not _is_left_alone(one))


def _is_left_alone(base: Base) -> bool:
    if base.family == "inet":
        return base.table in OWN
    return base.chain == "FORWARD" and base.table in IPTABLES_OTHERS


def observe(nft: Nft, base: Base) -> Table | None:
    """The table that has the chain; None where it is gone by now. Raises KernelError."""
    try:
        listing = nft.query(f"list table {base.family} {base.table}", terse=True)
    except KernelError:
        if base in forward_chains(nft):
            raise
        return None
    return read(listing, base.chain)


def read(listing: Iterable[Mapping[str, Any]], base: str) -> Table:
    """The table from what ``nft -j list table`` says, without what other hooks call."""
    objects = list(listing)
    table = next(one["table"] for one in objects if "table" in one)
    rules = [one["rule"] for one in objects if "rule" in one]
    quiet = table["name"] in ABOUT_ITSELF
    chains = {
        chain["name"]: Chain(
            tuple(_rule(one, quiet=quiet) for one in rules if one["chain"] == chain["name"]),
            chain.get("policy", "accept") == "accept",
        )
        for chain in (one["chain"] for one in objects if "chain" in one)
        if "hook" not in chain or chain["name"] == base
    }
    return Table(chains, "owner" in table.get("flags", ()))


def _rule(rule: Mapping[str, Any], *, quiet: bool) -> Rule:
    expression, comment = rule["expr"], rule.get("comment", "")
    said = list(_said(expression))
    return Rule(
        stops=not quiet and any(key in STOPPING or _is_unknown(key, value) for key, value in said),
        leads_to=frozenset(value["target"] for key, value in said if key in {"jump", "goto"}),
        narrow=any(_is_narrow(one) for one in expression if isinstance(one, dict)),
        owner=next((one for one in OWNERS if comment.startswith(f"{one}: ")), ""),
        words=(comment,),
        handle=rule["handle"],
    )


def _said(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, however deep."""
    if isinstance(value, dict):
        yield from value.items()
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _said(one)


def _is_unknown(key: str, value: Any) -> bool:
    """A named map of verdicts, whose elements the listing leaves out."""
    return key == "vmap" and isinstance(value["data"], str)


def _is_narrow(statement: Mapping[str, Any]) -> bool:
    if "vmap" in statement:
        return _picks(statement["vmap"]["key"])
    match = statement.get("match")
    if match is None or match["op"] == "!=":
        return False
    invalid = match["left"] == {"ct": {"key": "state"}} and match["right"] == "invalid"
    return invalid or _picks(match["left"])


def _picks(value: Any) -> bool:
    return any(key == "field" and field in NARROW_FIELDS for key, field in _said(value))


def changes(
    base: Base, chains: Chains, passage: Passage | None, owner: str
) -> list[dict[str, Any]]:
    """The commands, as JSON objects; none where it is as it should be."""
    wanted = place(chains, base.chain) if passage else None
    if is_right(chains, wanted, owner, (passage.comment,) if passage else ()):
        return []
    where = {"family": base.family, "table": base.table}
    commands: list[dict[str, Any]] = [
        {"delete": {"rule": {**where, "chain": name, "handle": rule.handle}}}
        for name, chain in chains.items()
        for rule in chain.rules
        if rule.owner == owner
    ]
    if wanted is not None and passage is not None:
        rule = {**where, "chain": wanted.chain, "expr": passage.expression}
        commands.append(_at(chains[wanted.chain].others, wanted, rule, passage.comment))
    return commands


def _at(
    others: Sequence[Rule], wanted: Place, rule: dict[str, Any], comment: str
) -> dict[str, Any]:
    rule["comment"] = comment
    if wanted.index < len(others):
        return {"insert": {"rule": {**rule, "handle": others[wanted.index].handle}}}
    return {"add": {"rule": rule}}
