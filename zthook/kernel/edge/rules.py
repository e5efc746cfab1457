"""The edge's nftables table as text: rules for an edge's shape, and elements that come and go.

Each rule has a comment that begins with the version of all rules and sets, and with what tells
its chain from one of another shape, so that the table tells which rules it has. A table of
another version is replaced, its elements and their counters kept, in one transaction; of one of
this version only the chains that differ are.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from zthook.kernel.edge.chains import own, shelter
from zthook.kernel.edge.chains.chain import Chain
from zthook.kernel.edge.chains.layout import before_the_overlay, chains
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.sets import IPV4, IPV6, MAPS, SPECS, Elements
from zthook.model.mappings import EdgePlane

FAMILY = "inet"
TABLE = "zthook"
CLAMPS = ("mss", "mss6")
DEFINITIONS = (
    "map crossings { type ifname . ifname : verdict; }",
    *(f"map {name} {{ typeof iifname : tcp option maxseg size; }}" for name in CLAMPS),
    *(one.definition for one in SPECS.values()),
    *(one for family in (IPV4, IPV6) for one in shelter.definitions(family)),
    *own.DEFINITIONS,
)


def _version() -> str:
    return sha256(repr((DEFINITIONS, chains(Shape()))).encode()).hexdigest()[:8]


VERSION = _version()


def is_known(overlay: str) -> bool:
    """Whether the overlay's name is one device's, and not a pattern ("zt*") or empty."""
    return bool(overlay) and not overlay.endswith("*")


def asks_for_ipv6(plane: EdgePlane) -> bool:
    """Whether IPv6 of this machine is any of our business."""
    return any(one.first.version == IPV6.version for one in plane.pool_ranges)


def chains_for(plane: EdgePlane, shape: Shape) -> tuple[Chain, ...]:
    """The shape's; with a pattern for the overlay's name, one more that drops whatever it fits."""
    constant = chains(shape)
    if is_known(plane.overlay) or not plane.overlay:
        return constant
    return (*constant, before_the_overlay(plane.overlay))


def labels(some: Iterable[Chain]) -> dict[str, tuple[str, ...]]:
    """Chain → the comments of its rules in order, as a table of this version shows them."""
    return {chain.name: tuple(_labels(chain)) for chain in some}


def _labels(chain: Chain) -> Iterable[str]:
    which = sha256(repr(chain).encode()).hexdigest()[:8]
    return (f"{VERSION}.{which} {why}" for _, why in chain.rules)


def differing(some: Collection[Chain], has: Mapping[str, tuple[str, ...]]) -> tuple[Chain, ...]:
    """The chains that a table with these comments has otherwise."""
    wanted = labels(some)
    return tuple(one for one in some if has.get(one.name) != wanted[one.name])


def is_this_version(some: Iterable[Chain], has: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether such a table has all of these chains and no others, be they of another shape."""
    ours = all(label.startswith(f"{VERSION}.") for found in has.values() for label in found)
    return ours and has.keys() == {one.name for one in some}


@dataclass(frozen=True, slots=True)
class Transaction:
    """One all-or-nothing change of the table.

    ``rules``: the table is made anew with these chains, ``refill`` and ``add`` are all that
    is in it. ``chains`` get these rules, and no others. ``refill``: static sets that get exactly
    these elements. ``counters``: "counter packets N bytes M" with which elements of a new table
    go on counting.
    """

    rules: tuple[Chain, ...] = ()
    chains: tuple[Chain, ...] = ()
    refill: Elements = field(default_factory=dict)
    delete: Elements = field(default_factory=dict)
    add: Elements = field(default_factory=dict)
    counters: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        changes = (*self.delete.values(), *self.add.values())
        return bool(self.rules or self.chains or self.refill or any(changes))


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
        lines += refilled(change.chains)
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


def rules(some: Iterable[Chain]) -> str:
    """The constant part: sets without elements, chains with their rules."""
    return _block([*DEFINITIONS, *(line for chain in some for line in _chain_lines(chain))])


def refilled(some: Collection[Chain]) -> list[str]:
    """What gives chains that are there, or only called for, these rules and no others."""
    if not some:
        return []
    there = (line for one in some for line in _chain_lines(Chain(one.name, one.hook, ())))
    flushes = (f"flush chain {FAMILY} {TABLE} {one.name}" for one in some)
    return [_block(there), *flushes, _block(line for one in some for line in _chain_lines(one))]


def _block(lines: Iterable[str]) -> str:
    return "\n".join([f"table {FAMILY} {TABLE} {{", *(f"\t{line}" for line in lines), "}"])


def _chain_lines(chain: Chain) -> Iterable[str]:
    yield f"chain {chain.name} {{"
    if chain.base:
        yield f"\t{chain.base}"
    for (rule, _), label in zip(chain.rules, _labels(chain), strict=True):
        yield f'\t{rule} comment "{label}"'
    yield "}"
