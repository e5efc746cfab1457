"""The host's nftables table as the kernel shows it, and as it becomes what it should be."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from zthook.kernel import host_rules
from zthook.kernel.host_rules import FAMILY, SETS, TABLE, Chain, Counters, Elements
from zthook.kernel.nft import Nft
from zthook.kernel.traffic import Traffic

Labels = Mapping[str, tuple[str, ...]]
"""A chain with its hook → its rules' comments in order."""


@dataclass(frozen=True, slots=True)
class Table:
    """What was listed."""

    labels: Labels
    sets: Elements
    counters: Counters

    @property
    def guests(self) -> frozenset[IPv4Address]:
        """The private addresses that are mapped."""
        return frozenset(map(IPv4Address, self.sets.get("guests", ())))

    def traffic(self) -> dict[IPv4Address, Traffic]:
        """By private address."""
        return {
            one: Traffic(*self._counted("inbound", one), *self._counted("outbound", one))
            for one in self.guests
        }

    def is_whole(self, wanted: Sequence[Chain]) -> bool:
        """Whether it has exactly these rules, and every set."""
        return self.labels == _labels(wanted) and self.sets.keys() == SETS.keys()

    def _counted(self, name: str, address: IPv4Address) -> tuple[int, int]:
        return self.counters.get((name, str(address)), (0, 0))


def observe(nft: Nft) -> Table | None:
    """The table, None where there is none. Raises KernelError."""
    listing = nft.table(FAMILY, TABLE)
    return None if listing is None else read(listing)


def read(listing: Iterable[Mapping[str, Any]]) -> Table:
    """The table from what ``nft -j list table`` says."""
    objects = list(listing)
    chains = [one["chain"] for one in objects if "chain" in one]
    rules = [one["rule"] for one in objects if "rule" in one]
    sets = {one["set"]["name"]: one["set"].get("elem", []) for one in objects if "set" in one}
    return Table(
        {
            _described(one): tuple(
                rule.get("comment", "") for rule in rules if rule["chain"] == one["name"]
            )
            for one in chains
        },
        {name: frozenset(_text(name, one) for one in some) for name, some in sets.items()},
        {
            (name, _text(name, one)): (counter["bytes"], counter["packets"])
            for name, some in sets.items()
            for one in some
            if (counter := _counter(one)) is not None
        },
    )


def _described(chain: Mapping[str, Any]) -> str:
    keys = ("name", "type", "hook", "prio", "policy")
    return " ".join(str(chain[key]) for key in keys if key in chain)


def _counter(element: Any) -> Mapping[str, int] | None:
    found: Mapping[str, int] | None = None
    if isinstance(element, dict):
        found = element.get("elem", {}).get("counter")
    return found


def _text(name: str, element: Any) -> str:
    """The element as ``host_rules`` writes it."""
    value = element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element
    parts = value["concat"] if isinstance(value, dict) else [value]
    kinds = SETS.get(name, "").split(" . ")
    if len(kinds) != len(parts):
        return str(value)
    named = zip(kinds, parts, strict=True)
    return " . ".join(f'"{part}"' if kind == "ifname" else str(part) for kind, part in named)


def _labels(wanted: Sequence[Chain]) -> Labels:
    of = host_rules.version(wanted)
    return {
        _expected(chain): tuple(host_rules.label(rule, of) for rule in chain.rules)
        for chain in wanted
    }


def _expected(chain: Chain) -> str:
    if (hook := chain.hook) is None:
        return chain.name
    return f"{chain.name} {hook.kind} {hook.name} {hook.priority} accept"


def keep(nft: Nft, found: Table | None, chains: Sequence[Chain], wanted: Elements) -> list[str]:
    """Make the table be there with these rules and elements, in one transaction at most.

    ``found`` is what ``observe`` said. A line for each thing that was put right.
    """
    if found is None or not found.is_whole(chains):
        counters = found.counters if found else {}
        nft.run(host_rules.render_table(chains, wanted, counters))
        was = "missing" if found is None else "not as it should be"
        return [f"table {FAMILY} {TABLE} was {was}: set"]
    nft.run(host_rules.render_change(found.sets, wanted))
    return _differences(found.sets, wanted)


def _differences(found: Elements, wanted: Elements) -> list[str]:
    """The counting sets have the same elements as ``guests`` and are not told of for themselves."""
    lines = []
    for name in wanted:
        gone, come = found[name] - wanted[name], wanted[name] - found[name]
        if name in host_rules.COUNTED and (gone or come) and found["guests"] != wanted["guests"]:
            continue
        lines += [f"{name}: {element} removed" for element in sorted(gone)]
        lines += [f"{name}: {element} added" for element in sorted(come)]
    return lines


def empty(nft: Nft, found: Table) -> None:
    """Let no guest be mapped any more; what answers are still on their way keep their mark."""
    nothing: Elements = {name: frozenset() for name in ("guests", "hidden")}
    nft.run(host_rules.render_change(found.sets, nothing))


def remove(nft: Nft) -> None:
    """Delete the table; it may be gone already."""
    nft.run(f"add table {FAMILY} {TABLE}\ndelete table {FAMILY} {TABLE}\n")
