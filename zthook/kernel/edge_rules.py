"""The edge's nftables table as text: constant rules, and elements that come and go.

The rules are the same for no mapping and for 65,000. Each has a comment that begins with
their version, so that the table tells which rules it has; a table whose comments are not
exactly these is replaced, its elements and their counters kept, in one transaction.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

FAMILY = "inet"
TABLE = "zthook"
Elements = Mapping[str, frozenset[str]]
"""Set or map → its elements as nft writes them: ``a . b`` in sets, ``a : b`` in maps."""

STATIC_SETS = {
    "uplinks": "type ifname;",
    "overlay": "type ifname;",
    "closed": "type ifname;",
    "api_ports": "type inet_service;",
    "pool": "type ipv4_addr; flags interval;",
    "mss": "typeof iifname : tcp option maxseg size;",
}
"""Filled from the settings and the devices."""

MAPPING_SETS = {
    "inward": "type ipv4_addr : ipv4_addr;",
    "hidden": "type ipv4_addr : ipv4_addr;",
    "arriving": "type ipv4_addr . ipv4_addr; counter;",
    "answering": "type ether_addr . ipv4_addr . ipv4_addr; counter;",
    "holders": "type ether_addr . ipv4_addr;",
}
"""One element for each mapping in each (``hidden``: where the edge rewrites the client)."""

MAPS = frozenset({"inward", "hidden", "mss"})
BEFORE_THE_OVERLAY = "before_the_overlay"
COUNTED = ("arriving", "answering")


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain: its hook (none for one that is jumped to) and its rules, each with why."""

    name: str
    base: str
    rules: tuple[tuple[str, str], ...]


CHAINS = (
    Chain(
        "translate_arriving",
        "type nat hook prerouting priority dstnat - 5; policy accept;",
        (("iifname @uplinks dnat ip to ip daddr map @inward", "public to private"),),
    ),
    Chain(
        "hide_client",
        "type nat hook postrouting priority srcnat - 5; policy accept;",
        (
            (
                "oifname @overlay ct status dnat snat ip to ct original ip daddr map @hidden",
                "the client becomes the edge",
            ),
        ),
    ),
    Chain(
        "forward",
        "type filter hook forward priority filter - 5; policy accept;",
        (
            ("iifname @uplinks oifname @overlay goto to_guests", "internet to overlay"),
            ("iifname @overlay oifname @uplinks goto from_guests", "overlay to internet"),
            ("iifname @overlay oifname @overlay drop", "members do not meet through the edge"),
            (
                "iifname @uplinks ct original ip daddr . ip daddr @arriving drop",
                "translated, but the overlay is away: it must not go anywhere else",
            ),
            (
                "iifname @uplinks oifname @uplinks ct original ip daddr @pool drop",
                "of a pool, but nobody's: it must not go round in circles",
            ),
            (
                "meta nfproto ipv4 iifname @closed drop",
                "forwarding is on for mappings alone",
            ),
        ),
    ),
    Chain(
        "to_guests",
        "",
        (
            (
                "tcp flags & (syn | rst) == syn tcp option maxseg size set oifname map @mss",
                "what the overlay can carry",
            ),
            ("ct original ip daddr . ip daddr @arriving accept", "through a mapping that is"),
            ("drop", "nothing else reaches the overlay"),
        ),
    ),
    Chain(
        "from_guests",
        "",
        (
            (
                "tcp flags & (syn | rst) == syn tcp option maxseg size set iifname map @mss",
                "what the overlay can carry",
            ),
            (
                "ct direction reply"
                " ether saddr . ip saddr . ct original ip daddr @answering accept",
                "answers of a mapping, from the member that holds it",
            ),
            (
                "ct state related meta l4proto icmp"
                " ether saddr . ct original ip daddr @holders accept",
                "routers on the way to the guest may report errors",
            ),
            ("drop", "nothing else leaves the overlay"),
        ),
    ),
    Chain(
        "own_ports",
        "type filter hook input priority filter - 5; policy accept;",
        (
            (
                'tcp dport @api_ports iifname != "lo" iifname != @overlay drop',
                "the API is for the overlay",
            ),
        ),
    ),
)


def _version() -> str:
    return sha256(repr((STATIC_SETS, MAPPING_SETS, CHAINS)).encode()).hexdigest()[:8]


VERSION = _version()


def labels(chains: Iterable[Chain] = CHAINS) -> dict[str, tuple[str, ...]]:
    """Chain → the comments of its rules in order, as a table of this version shows them."""
    return {chain.name: tuple(_label(why) for _, why in chain.rules) for chain in chains}


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
    lines += statements("delete", {k: map(_key, v) for k, v in change.delete.items()})
    lines += statements("add", change.refill)
    lines += statements(
        "add",
        {name: [_counting(name, one, change) for one in v] for name, v in change.add.items()},
    )
    return "".join(f"{line}\n" for line in lines)


def statements(verb: str, elements: Mapping[str, Iterable[str]]) -> list[str]:
    """One command for each set that has any of the elements."""
    listed = ((name, ", ".join(sorted(elements[name]))) for name in sorted(elements))
    return [f"{verb} element {FAMILY} {TABLE} {name} {{ {some} }}" for name, some in listed if some]


def _kind(name: str) -> str:
    return "map" if name in MAPS else "set"


def _key(element: str) -> str:
    return element.partition(" : ")[0]


def _counting(name: str, element: str, change: Transaction) -> str:
    counter = change.counters.get((name, element))
    return f"{element} {counter}" if counter else element


def rules(chains: Iterable[Chain] = CHAINS) -> str:
    """The constant part: sets without elements, chains with their rules."""
    sets = {**STATIC_SETS, **MAPPING_SETS}.items()
    return "\n".join(
        [
            f"table {FAMILY} {TABLE} {{",
            *(f"\t{_kind(name)} {name} {{ {spec} }}" for name, spec in sets),
            *(line for chain in chains for line in _chain_lines(chain)),
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


def is_known(overlay: str) -> bool:
    """Whether the overlay's name is one device's, and not a pattern ("zt*") or empty."""
    return bool(overlay) and not overlay.endswith("*")


def chains_for(overlay: str) -> tuple[Chain, ...]:
    """The chains; with a pattern for a name, one more that drops whatever it fits."""
    if is_known(overlay) or not overlay:
        return CHAINS
    early = Chain(
        BEFORE_THE_OVERLAY,
        "type filter hook forward priority filter - 5; policy accept;",
        (
            (f'iifname @uplinks oifname "{overlay}" drop', "no mapping is known yet"),
            (f'iifname "{overlay}" drop', "no member is known yet"),
        ),
    )
    return (*CHAINS, early)
