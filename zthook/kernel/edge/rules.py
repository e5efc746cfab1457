"""The edge's nftables table as text: constant rules, and elements that come and go.

Each rule has a comment that begins with the rules' version, so that the table tells which
rules it has; a table whose comments are not exactly these is replaced, its elements and their
counters kept, in one transaction.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from zthook.kernel.edge.chains import shelter
from zthook.kernel.edge.chains.chain import Chain
from zthook.kernel.edge.chains.layout import before_the_overlay, chains
from zthook.kernel.edge.sets import IPV4, IPV6, MAPS, SPECS, Elements
from zthook.kernel.edge.uplinks import Way
from zthook.model.mappings import EdgePlane

FAMILY = "inet"
TABLE = "zthook"
CLAMPS = ("mss", "mss6")
DEFINITIONS = (
    "map crossings { type ifname . ifname : verdict; }",
    *(f"map {name} {{ typeof iifname : tcp option maxseg size; }}" for name in CLAMPS),
    *(one.definition for one in SPECS.values()),
    *(one for family in (IPV4, IPV6) for one in shelter.definitions(family)),
)
CHAINS = chains((IPV4,))


def _version() -> str:
    written = DEFINITIONS, chains((IPV4, IPV6), uplinks=True)
    return sha256(repr(written).encode()).hexdigest()[:8]


VERSION = _version()


def is_known(overlay: str) -> bool:
    """Whether the overlay's name is one device's, and not a pattern ("zt*") or empty."""
    return bool(overlay) and not overlay.endswith("*")


def constant_chains(plane: EdgePlane, ways: Collection[Way] = ()) -> tuple[Chain, ...]:
    """The chains that this edge needs, with those of IPv6 only where a pool has it, and those
    that choose uplinks only where these have ways of their own.
    """
    return chains((IPV4, IPV6) if asks_for_ipv6(plane) else (IPV4,), uplinks=bool(ways))


def asks_for_ipv6(plane: EdgePlane) -> bool:
    """Whether IPv6 of this machine is any of our business."""
    return any(one.first.version == IPV6.version for one in plane.pool_ranges)


def chains_for(plane: EdgePlane, ways: Collection[Way] = ()) -> tuple[Chain, ...]:
    """The same; with a pattern for the overlay's name, one more that drops whatever it fits."""
    constant = constant_chains(plane, ways)
    if is_known(plane.overlay) or not plane.overlay:
        return constant
    return (*constant, before_the_overlay(plane.overlay))


def labels(some: Iterable[Chain] = CHAINS) -> dict[str, tuple[str, ...]]:
    """Chain → the comments of its rules in order, as a table of this version shows them."""
    return {chain.name: tuple(_label(why) for _, why in chain.rules) for chain in some}


def _label(why: str) -> str:
    return f"{VERSION} {why}"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One all-or-nothing change of the table.

    ``rules``: the table is made anew with these chains, ``refill`` and ``add`` are all that
    is in it. ``refill``: static sets that get exactly these elements. ``counters``:
    "counter packets N bytes M" with which elements of a new table go on counting.
    """

    rules: tuple[Chain, ...] = ()
    refill: Elements = field(default_factory=dict)
    delete: Elements = field(default_factory=dict)
    add: Elements = field(default_factory=dict)
    counters: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        changes = (*self.delete.values(), *self.add.values())
        return bool(self.rules or self.refill or any(changes))


NOTHING = Transaction()


def render(change: Transaction) -> str:
    """The transaction as nft reads it; the same for the same change."""
    lines = []
    if change.rules:
        lines += [
            f"add table {FAMILY} {TABLE}",
            f"delete table {FAMILY} {TABLE}",
            rules(change.rules),
        ]
    else:
        lines += [f"flush {_kind(name)} {FAMILY} {TABLE} {name}" for name in sorted(change.refill)]
    lines += statements("delete", {k: map(key_of, v) for k, v in change.delete.items()})
    lines += statements("add", change.refill)
    lines += statements(
        "add",
        {name: [counting(name, one, change) for one in v] for name, v in change.add.items()},
    )
    return "".join(f"{line}\n" for line in lines)


def statements(verb: str, elements: Mapping[str, Iterable[str]]) -> list[str]:
    """One command for each set that has any of the elements."""
    listed = ((name, ", ".join(sorted(elements[name]))) for name in sorted(elements))
    return [f"{verb} element {FAMILY} {TABLE} {name} {{ {some} }}" for name, some in listed if some]


def _kind(name: str) -> str:
    return "map" if name in MAPS else "set"


def key_of(element: str) -> str:
    """By which an element is taken out, of a map without its value."""
    return element.partition(" : ")[0]


def counting(name: str, element: str, change: Transaction) -> str:
    """The element, with the counter that it goes on from."""
    counter = change.counters.get((name, element))
    return f"{element} {counter}" if counter else element


def rules(some: Iterable[Chain] = CHAINS) -> str:
    """The constant part: sets without elements, chains with their rules."""
    listed = tuple(some)
    return "\n".join(
        [
            f"table {FAMILY} {TABLE} {{",
            *(f"\t{one}" for one in DEFINITIONS),
            *(line for chain in listed for line in _chain_lines(chain)),
            "}",
        ]
    )


def _chain_lines(chain: Chain) -> Iterable[str]:
    yield f"\tchain {chain.name} {{"
    if chain.base:
        yield f"\t\t{chain.base}"
    for rule, why in chain.rules:
        yield f'\t\t{rule} comment "{_label(why)}"'
    yield "\t}"
