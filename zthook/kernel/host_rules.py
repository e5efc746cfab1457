"""The host's nftables table as text: constant rules over sets that come and go with guests.

Each rule has a comment that begins with the rules' version, so that the table itself tells
which rules it has; a table whose rules are not exactly these is made anew in one transaction.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from zthook.errors import KernelError
from zthook.kernel.host_marks import Marks
from zthook.model.mappings import HostPlane

FAMILY = "inet"
TABLE = "zthook_host"

SETS = {
    "overlay": "ifname",
    "closed": "ifname",
    "edge": "ifname . ether_addr",
    "guests": "ipv4_addr",
    "hidden": "ifname . ipv4_addr",
    "inbound": "ipv4_addr",
    "outbound": "ipv4_addr",
}
"""Set → type of its elements. ``closed`` has the overlay device where forwarding is on for our
mappings alone; ``hidden`` has the guests for which this host rewrites the client."""

COUNTED = ("inbound", "outbound")
"""These count what passes; they are beside ``guests`` because a look into a set counts too."""

Elements = Mapping[str, frozenset[str]]
"""Set → its elements as nft writes them."""

Counters = Mapping[tuple[str, str], tuple[int, int]]
"""Set and element → bytes and packets."""

DEVICE_NAME = re.compile(r'[^\s"/*\\]{1,15}')

MANGLE, FORWARD, SOURCE_NAT = -150, -5, 95
"""Priorities: where marks are made; before the filters of others; before the NAT of others."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Where the kernel calls a chain."""

    kind: str
    name: str
    priority: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule and why it is there."""

    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain and its rules; without a hook it is gone to from another."""

    name: str
    hook: Hook | None
    rules: tuple[Rule, ...]


def chains(mark: int) -> tuple[Chain, ...]:
    """The constant rules. ``mark`` is the bits that are ours; all others are left as they are."""
    marks = Marks(mark)
    others, brought = f"0x{~mark & 0xFFFFFFFF:08x}", f"0x{marks.brought:08x}"
    ours = f"ct mark & 0x{mark:08x} == {brought}"
    not_ours = f"ct mark & 0x{mark:08x} != {brought}"
    bits = f"{others} | {brought}"
    return (
        _mark_arriving(bits, ours),
        Chain(
            "mark_own_errors",
            Hook("route", "output", MANGLE),
            (
                Rule(
                    f"ct direction reply {ours} meta mark set meta mark & {bits}",
                    "what this host reports about them goes back to the edge",
                ),
            ),
        ),
        _forward(ours, not_ours),
        Chain(
            "past_the_edge",
            None,
            (
                Rule(
                    f"ct direction reply {not_ours} accept",
                    "answers to what the guest itself began",
                ),
                Rule("counter drop", "anything else came past its mapping"),
            ),
        ),
        Chain(
            "hide_client",
            Hook("nat", "postrouting", SOURCE_NAT),
            (
                Rule(
                    f"{ours} oifname . ip daddr @hidden masquerade", "the client becomes this host"
                ),
            ),
        ),
    )


def _mark_arriving(bits: str, ours: str) -> Chain:
    """Not only a connection's first packet marks it: one that was there before heals too."""
    return Chain(
        "mark_arriving",
        Hook("filter", "prerouting", MANGLE),
        (
            Rule(
                "iifname . ether saddr @edge ip daddr @guests"
                f" ct direction original ct mark set ct mark & {bits}",
                "connections that the edge brings are ours",
            ),
            Rule(
                f"iifname != @overlay ct direction reply {ours} meta mark set meta mark & {bits}",
                "their answers go back to the edge",
            ),
        ),
    )


def _forward(ours: str, not_ours: str) -> Chain:
    return Chain(
        "forward",
        Hook("filter", "forward", FORWARD),
        (
            Rule(
                "iifname @overlay ip daddr @guests iifname . ether saddr != @edge"
                " goto past_the_edge",
                "members reach mapped guests through the edge",
            ),
            Rule(
                f"iifname @overlay {ours} iifname . ether saddr != @edge counter drop",
                "nobody else speaks in the edge's connections",
            ),
            Rule(
                f"iifname != @overlay oifname != @overlay ct direction reply {ours} counter drop",
                "an answer that would not go back to the edge goes nowhere",
            ),
            Rule(
                f"iifname @closed ct direction original {not_ours} counter drop",
                "forwarding is on for mappings alone",
            ),
            Rule(f"iifname @overlay {ours} ip daddr @inbound", "counts, to the guest"),
            Rule(f"oifname @overlay {ours} ip saddr @outbound", "counts, from the guest"),
        ),
    )


def elements(plane: HostPlane, *, closed: bool) -> Elements:
    """What the sets hold for ``plane``.

    Raises KernelError for a device name that no kernel would take.
    """
    overlay = quoted(plane.overlay)
    guests = frozenset(str(rule.private) for rule in plane.rules)
    hidden = (f"{quoted(rule.device)} . {rule.private}" for rule in plane.rules if rule.hide)
    return {
        "overlay": frozenset({overlay}),
        "closed": frozenset({overlay} if closed else ()),
        "edge": frozenset({f"{overlay} . {plane.edge_mac.lower()}"}),
        "guests": guests,
        "hidden": frozenset(hidden),
        "inbound": guests,
        "outbound": guests,
    }


def quoted(device: str) -> str:
    """A device's name as nft reads it. Raises KernelError where it can be none."""
    if not DEVICE_NAME.fullmatch(device):
        raise KernelError(f"{device!r} is no name that a network device can have")
    return f'"{device}"'


def version(wanted: Sequence[Chain]) -> str:
    """Another one for any other rules, or other types of the sets."""
    return sha256(repr((SETS, COUNTED, wanted)).encode()).hexdigest()[:8]


def label(rule: Rule, of: str) -> str:
    """The rule's comment in the kernel."""
    return f"{of} {rule.why}"


def render_table(wanted: Sequence[Chain], filled: Elements, counters: Counters) -> str:
    """The transaction that replaces the table by one with these rules and elements.

    Elements that have counters go on counting from there.
    """
    counting = {
        name: frozenset(_counting(name, one, counters) for one in some)
        for name, some in filled.items()
    }
    lines = [
        f"add table {FAMILY} {TABLE}",
        f"delete table {FAMILY} {TABLE}",
        f"table {FAMILY} {TABLE} {{",
        *(f"\tset {name} {{ type {kind};{_counter(name)} }}" for name, kind in SETS.items()),
        *(line for chain in wanted for line in _chain_lines(chain, version(wanted))),
        "}",
        *_statements("add", counting),
    ]
    return "".join(f"{line}\n" for line in lines)


def _counter(name: str) -> str:
    return " counter;" if name in COUNTED else ""


def _counting(name: str, element: str, counters: Counters) -> str:
    if (name, element) not in counters:
        return element
    octets, packets = counters[name, element]
    return f"{element} counter packets {packets} bytes {octets}"


def _chain_lines(chain: Chain, of: str) -> Iterable[str]:
    yield f"\tchain {chain.name} {{"
    if (hook := chain.hook) is not None:
        yield f"\t\ttype {hook.kind} hook {hook.name} priority {hook.priority}; policy accept;"
    for rule in chain.rules:
        yield f'\t\t{rule.text} comment "{label(rule, of)}"'
    yield "\t}"


def render_change(found: Elements, wanted: Elements) -> str:
    """The transaction that makes the sets' elements be ``wanted``; empty where they are."""
    gone = {name: found.get(name, frozenset()) - some for name, some in wanted.items()}
    come = {name: some - found.get(name, frozenset()) for name, some in wanted.items()}
    lines = [*_statements("delete", gone), *_statements("add", come)]
    return "".join(f"{line}\n" for line in lines)


def _statements(verb: str, some: Elements) -> list[str]:
    listed = ((name, ", ".join(sorted(some[name]))) for name in sorted(some))
    return [f"{verb} element {FAMILY} {TABLE} {name} {{ {all_} }}" for name, all_ in listed if all_]
