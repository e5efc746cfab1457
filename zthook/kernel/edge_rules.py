"""The edge's nftables table as text: constant rules, and elements that come and go.

The rules are the same for no mapping and for 65,000. Each has a comment that begins with
their version, so that the table tells which rules it has; a table whose comments are not
exactly these is replaced, its elements and their counters kept, in one transaction.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from zthook.model.addresses import AddressRange
from zthook.model.mappings import EdgePlane, Forwarding

FAMILY = "inet"
TABLE = "zthook"
HEADERS = 40
"""Bytes of an IPv4 and a TCP header without options: what the MSS is smaller than the MTU."""
ETHERNET_MTU = 1500

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

    ``rules``: the table is made anew, and ``add`` is all that is in it. ``refill``: static
    sets that get exactly these elements. ``counters``: "counter packets N bytes M" with
    which elements of a new table go on counting.
    """

    rules: bool = False
    refill: Elements = field(default_factory=dict)
    delete: Elements = field(default_factory=dict)
    add: Elements = field(default_factory=dict)
    counters: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return (
            self.rules or bool(self.refill) or any(self.delete.values()) or any(self.add.values())
        )


def render(change: Transaction) -> str:
    """The transaction as nft reads it; the same for the same change."""
    lines = []
    if change.rules:
        lines += [f"add table {FAMILY} {TABLE}", f"delete table {FAMILY} {TABLE}", rules()]
    else:
        lines += [f"flush {_kind(name)} {FAMILY} {TABLE} {name}" for name in sorted(change.refill)]
    lines += _statements("delete", {k: map(_key, v) for k, v in change.delete.items()})
    lines += _statements("add", change.refill)
    lines += _statements(
        "add",
        {name: (_counting(name, one, change) for one in v) for name, v in change.add.items()},
    )
    return "".join(f"{line}\n" for line in lines)


def _statements(verb: str, elements: Mapping[str, Iterable[str]]) -> list[str]:
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


def drop_rules(plane: EdgePlane) -> str:
    """What a unit loads before the network is up: everything that drops, and no mapping.

    Loaded beside mappings that are there it leaves them alone. ``plane.overlay`` may end in
    ``*`` where the device's name is not known yet ("zt*").
    """
    wild = plane.overlay.endswith("*")
    chains = (*CHAINS, _before_the_overlay(plane)) if wild else CHAINS
    empty = [Chain(chain.name, chain.base, ()) for chain in chains]
    static = static_elements(plane, plane.uplinks, closed=False, mtu=None)
    known = {k: v for k, v in static.items() if not (wild and k == "overlay")}
    flushes = [f"flush chain {FAMILY} {TABLE} {chain.name}" for chain in chains]
    return "".join(
        f"{line}\n" for line in (rules(empty), *flushes, rules(chains), *_statements("add", known))
    )


def _before_the_overlay(plane: EdgePlane) -> Chain:
    return Chain(
        "before_the_overlay",
        "type filter hook forward priority filter - 5; policy accept;",
        (
            (f'iifname @uplinks oifname "{plane.overlay}" drop', "no mapping is known yet"),
            (f'iifname "{plane.overlay}" drop', "no member is known yet"),
        ),
    )


def mapping_elements(one: Forwarding, hide_as: object | None) -> dict[str, str]:
    """Set or map → the one element that ``one`` has in it.

    ``hide_as`` is the edge's overlay address; without one, hiding waits for it.
    """
    elements = {
        "inward": f"{one.arrives_as} : {one.private}",
        "arriving": f"{one.arrives_as} . {one.private}",
        "answering": f"{one.next_hop_mac.lower()} . {one.private} . {one.arrives_as}",
        "holders": f"{one.next_hop_mac.lower()} . {one.arrives_as}",
    }
    if one.hide and hide_as is not None:
        elements["hidden"] = f"{one.arrives_as} : {hide_as}"
    return elements


def arrives_as(name: str, element: str) -> str:
    """The public address, as it arrives, that an element of a mapping is about."""
    if name in {"answering", "holders"}:
        return element.rpartition(" . ")[2]
    return element.partition(" ")[0]


def all_elements(some: Iterable[Forwarding], hide_as: object | None) -> Elements:
    """The elements of all these mappings together."""
    found: dict[str, set[str]] = {name: set() for name in MAPPING_SETS}
    for one in some:
        for name, element in mapping_elements(one, hide_as).items():
            found[name].add(element)
    return {name: frozenset(elements) for name, elements in found.items()}


def less(some: Elements, others: Elements) -> Elements:
    """The elements of ``some`` that are not in ``others``; sets without any are left out."""
    differences = {name: some[name] - others.get(name, frozenset()) for name in some}
    return {name: elements for name, elements in differences.items() if elements}


def static_elements(
    plane: EdgePlane, uplinks: Iterable[str], *, closed: bool, mtu: int | None
) -> Elements:
    """What the static sets hold. ``closed``: nothing but mappings is forwarded from our devices."""
    names = frozenset(f'"{name}"' for name in uplinks)
    overlay = frozenset({f'"{plane.overlay}"'} if plane.overlay else ())
    clamp = f'"{plane.overlay}" : {mtu - HEADERS}' if mtu and mtu < ETHERNET_MTU else None
    return {
        "uplinks": names,
        "overlay": overlay,
        "closed": names | overlay if closed else frozenset(),
        "api_ports": frozenset({str(plane.api_port)}),
        "pool": frozenset(map(str, _merged(plane.pool_ranges))),
        "mss": frozenset({clamp} if clamp and plane.overlay else ()),
    }


def _merged(ranges: Iterable[AddressRange]) -> list[AddressRange]:
    """IPv4 ranges that neither overlap nor touch: as nft takes and lists them."""
    found: list[AddressRange] = []
    for one in sorted((r for r in ranges if r.first.version == 4), key=lambda r: int(r.first)):
        if found and int(one.first) <= int(found[-1].last) + 1:
            last = max(found[-1].last, one.last, key=int)
            found[-1] = AddressRange(found[-1].first, last)
        else:
            found.append(one)
    return found
