"""The host's nftables table as the kernel shows it, and as it becomes what it should be."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from zthook.kernel.host import rules
from zthook.kernel.host.rules import FAMILY, TABLE, Chain, Counters
from zthook.kernel.host.sets import FAMILIES, MAPPED, SPECS, Elements, family_of
from zthook.kernel.nft import Nft
from zthook.kernel.traffic import Traffic
from zthook.model.addresses import AddressRange, IPAddress

Labels = Mapping[str, tuple[str, ...]]
"""A chain with its hook → its rules' comments in order."""

TOLD = frozenset(
    f"{name}{family.suffix}"
    for name in ("guests", "hidden", "outgoing", "brought", "brought_ports", "met", "met_ports")
    for family in FAMILIES
) | {"overlay", "edge", "closed"}
"""Each of a mapping's other elements comes and goes with one of these."""


@dataclass(frozen=True, slots=True)
class Table:
    """What was listed."""

    labels: Labels
    sets: Elements
    counters: Counters

    @property
    def guests(self) -> frozenset[IPAddress]:
        """The private addresses that are mapped."""
        return frozenset(
            ip_address(one)
            for family in FAMILIES
            for one in self.sets.get(f"guests{family.suffix}", ())
        )

    def traffic(self) -> dict[IPAddress, Traffic]:
        """By private address."""
        return {
            one: Traffic(*self._counted("inbound", one), *self._counted("outbound", one))
            for one in self.guests
        }

    def is_whole(self, wanted: Sequence[Chain]) -> bool:
        """Whether it has exactly these rules, and every set."""
        return self.labels == _labels(wanted) and self.sets.keys() == SPECS.keys()

    def _counted(self, name: str, address: IPAddress) -> tuple[int, int]:
        counter = f"{name}{family_of(address).suffix}", str(address)
        return self.counters.get(counter, (0, 0))


def observe(nft: Nft) -> Table | None:
    """The table, None where there is none. Raises KernelError."""
    listing = nft.own_table(FAMILY, TABLE)
    return None if listing is None else read(listing)


def read(listing: Iterable[Mapping[str, Any]]) -> Table:
    """The table from what ``nft -j list table`` says."""
    objects = list(listing)
    chains = [one["chain"] for one in objects if "chain" in one]
    rules = [one["rule"] for one in objects if "rule" in one]
    filled = [found for one in objects if (found := one.get("set") or one.get("map"))]
    sets = {one["name"]: one.get("elem", []) for one in filled}
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
    """The element as ``host_elements`` writes it; of a set that we do not know, in any way."""
    spec = SPECS.get(name)
    if spec is None:
        return str(element)
    if isinstance(element, list):
        key, value = element
        return f"{_joined(spec.key, key)} : {_joined(spec.value, value)}"
    return _joined(spec.key, element)


def _joined(kinds: Sequence[str], value: Any) -> str:
    """The parts of a key, or of a value."""
    if isinstance(value, dict) and "elem" in value:
        value = value["elem"]["val"]
    parts = value["concat"] if isinstance(value, dict) and "concat" in value else [value]
    # Where somebody made a set of the same name it may have other types: no kind fits then.
    known = kinds if len(kinds) == len(parts) else [""] * len(parts)
    return " . ".join(_part(kind, part) for kind, part in zip(known, parts, strict=True))


def _part(kind: str, part: Any) -> str:
    match part:
        case {"prefix": {"addr": address, "len": length}}:
            return str(AddressRange.parse(f"{address}/{length}"))
        case {"range": [first, last]}:
            return f"{_part(kind, first)}-{_part(kind, last)}"
        case str() if kind == "ifname":
            return f'"{part}"'
        case str() if kind.endswith("_addr") and kind != "ether_addr":
            return str(ip_address(part))
    return str(part)


def _labels(wanted: Sequence[Chain]) -> Labels:
    of = rules.version(wanted)
    return {
        _expected(chain): tuple(rules.label(rule, of) for rule in chain.rules) for chain in wanted
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
        nft.run(rules.render_table(chains, wanted, counters))
        was = "missing" if found is None else "not as it should be"
        return [f"table {FAMILY} {TABLE} was {was}: set"]
    nft.run(rules.render_change(found.sets, wanted))
    return _differences(found.sets, wanted)


def takes_away(found: Table, wanted: Elements) -> bool:
    """Whether anything is mapped by ``found`` that is not wanted, or otherwise."""
    judged = (*MAPPED, *rules.REFILLED)
    return any(found.sets.get(name, frozenset()) - wanted[name] for name in judged)


def _differences(found: Elements, wanted: Elements) -> list[str]:
    """What differs in the sets that are told of; where nothing does, in all."""
    return list(_changed(found, wanted, TOLD)) or list(_changed(found, wanted, wanted.keys()))


def _changed(found: Elements, wanted: Elements, names: Collection[str]) -> Iterator[str]:
    for name in sorted(names):
        gone, come = found[name] - wanted[name], wanted[name] - found[name]
        yield from (f"{name}: {element} removed" for element in sorted(gone))
        yield from (f"{name}: {element} added" for element in sorted(come))


def empty(nft: Nft, found: Table) -> None:
    """Let no guest be mapped any more; what answers are still on their way keep their mark."""
    nothing = {name: frozenset[str]() for name in MAPPED & found.sets.keys()}
    nft.run(rules.render_change(found.sets, nothing))


def remove(nft: Nft) -> None:
    """Delete the table; it may be gone already."""
    nft.run(f"add table {FAMILY} {TABLE}\ndelete table {FAMILY} {TABLE}\n")
