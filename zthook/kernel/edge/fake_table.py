"""nftables for the fake kernel: what a transaction makes of the table's sets. Pure."""

from collections.abc import Mapping
from ipaddress import ip_address

from zthook.errors import KernelError
from zthook.kernel.edge.rules import DEFINITIONS, Transaction
from zthook.kernel.edge.sets import MAPS, Elements, parts_of
from zthook.model.addresses import IPAddress

SETS = frozenset(definition.split()[1] for definition in DEFINITIONS)
REACHING = (("arriving", 0, 1), ("arriving_parts", 0, 1), ("routed", 0, 0))
"""Sets that say whom clients reach, and where their elements have his public address and him."""


def reached(sets: Mapping[str, set[str]]) -> dict[IPAddress, IPAddress]:
    """Destination on the uplink → who is reached by it; of several guests at one, one of them."""
    found: dict[IPAddress, IPAddress] = {}
    for name, public, guest in REACHING:
        for one in sets.get(name, ()):
            parts = parts_of(one)
            found[ip_address(parts[public])] = ip_address(parts[guest])
    return found


def altered(sets: Mapping[str, set[str]], change: Transaction) -> dict[str, set[str]]:
    """The table's sets after ``change``; ``sets`` stay as they are.

    Raises KernelError for what nft refuses, as it does: then nothing of it happens.
    """
    after = {name: set() for name in SETS} if change.rules else dict(sets)
    after |= {name: set(some) for name, some in change.refill.items()}
    for name in change.delete.keys() | change.add.keys():
        if name in after:
            after[name] = set(after[name])
    _delete(after, change.delete)
    _add(after, change.add)
    return after


def _delete(sets: dict[str, set[str]], elements: Elements) -> None:
    for name, some in elements.items():
        present = {_key(name, one): one for one in sets.get(name, ())}
        for one in some:
            if _key(name, one) not in present:
                raise KernelError(f"nftables refused: no element {one} in {name}")
            sets[name].discard(present[_key(name, one)])


def _add(sets: dict[str, set[str]], elements: Elements) -> None:
    for name, some in elements.items():
        if some and name not in sets:
            raise KernelError(f"nftables refused: no set {name}")
        present = {_key(name, one): one for one in sets.get(name, ())}
        for one in some:
            if present.setdefault(_key(name, one), one) != one:
                raise KernelError(f"nftables refused: {name} has {one} otherwise")
            sets[name].add(one)


def _key(name: str, element: str) -> str:
    return element.partition(" : ")[0] if name in MAPS else element
