"""The host's nftables table as text: constant rules over sets that come and go with guests.

Each rule has a comment that begins with the rules' version, so that the table itself tells
which rules it has; a table whose rules are not exactly these is made anew in one transaction.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from zthook.errors import KernelError
from zthook.kernel.host.sets import FAMILIES, SPECS, Elements

FAMILY = "inet"
TABLE = "zthook_host"

Counters = Mapping[tuple[str, str], tuple[int, int]]
"""Set and element → bytes and packets."""

REFILLED = frozenset(f"pools{family.suffix}" for family in FAMILIES)
"""Sets that are filled anew where they differ: new ranges may overlap the old ones."""

DEVICE_NAME = re.compile(r'[^\s"/*\\]{1,15}')


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


def quoted(device: str) -> str:
    """A device's name as nft reads it. Raises KernelError where it can be none."""
    if not DEVICE_NAME.fullmatch(device):
        raise KernelError(f"{device!r} is no name that a network device can have")
    return f'"{device}"'


def version(wanted: Sequence[Chain]) -> str:
    """Another one for any other rules, or other types of the sets."""
    definitions = [spec.definition for spec in SPECS.values()]
    return sha256(repr((definitions, wanted)).encode()).hexdigest()[:8]


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
        *(f"\t{spec.definition}" for spec in SPECS.values()),
        *(line for chain in wanted for line in _chain_lines(chain, version(wanted))),
        "}",
        *_statements("add", counting),
    ]
    return "".join(f"{line}\n" for line in lines)


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
    before = {name: found.get(name, frozenset()) for name in wanted}
    anew = {name for name in REFILLED & wanted.keys() if before[name] != wanted[name]}
    gone = {name: before[name] - wanted[name] for name in wanted.keys() - anew}
    come = {name: some if name in anew else some - before[name] for name, some in wanted.items()}
    lines = [
        *(f"flush set {FAMILY} {TABLE} {name}" for name in sorted(anew)),
        *_statements("delete", {name: map(_key, some) for name, some in gone.items()}),
        *_statements("add", come),
    ]
    return "".join(f"{line}\n" for line in lines)


def _key(element: str) -> str:
    return element.partition(" : ")[0]


def _statements(verb: str, some: Mapping[str, Iterable[str]]) -> list[str]:
    listed = ((name, ", ".join(sorted(some[name]))) for name in sorted(some))
    return [f"{verb} element {FAMILY} {TABLE} {name} {{ {all_} }}" for name, all_ in listed if all_]
