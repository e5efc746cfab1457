"""What mappings are in the sets and maps of the edge's table."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from zthook.kernel.edge.routed import routed_elements
from zthook.kernel.edge.sets import BY_MEMBER, Elements
from zthook.kernel.edge.translated import translated_elements
from zthook.model.mappings import Forwarding
from zthook.model.publication import Mode

Element = tuple[str, str]
"""A set's or map's name, and what is in it."""


def all_elements(some: Iterable[Forwarding]) -> Elements:
    """The elements of these mappings together.

    Mappings of one public or of one private address decide some of them together: all of
    those have to be there, or none.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for _, (name, element) in owned_elements(tuple(some)):
        found[name].add(element)
    return {name: frozenset(elements) for name, elements in found.items()}


def owned_elements(some: Collection[Forwarding]) -> Iterator[tuple[Forwarding, Element]]:
    """The same one by one, each with a mapping that it is there for."""
    arriving = {one.arrives_as for one in some}
    yield from translated_elements((one for one in some if one.mode is Mode.NAT), arriving)
    yield from routed_elements((one for one in some if one.mode is Mode.ROUTED), arriving)


def less(some: Elements, others: Elements) -> Elements:
    """The elements of ``some`` that are not in ``others``; sets without any are left out."""
    differences = {name: some[name] - others.get(name, frozenset()) for name in some}
    return {name: elements for name, elements in differences.items() if elements}


def both(some: Elements, others: Elements) -> Elements:
    """The elements that are in ``some`` and in ``others``."""
    return {name: some[name] & others.get(name, frozenset()) for name in some}


def together(some: Elements, others: Elements) -> Elements:
    """The elements that are in ``some`` or in ``others``."""
    none = frozenset[str]()
    return {k: some.get(k, none) | others.get(k, none) for k in (*some, *others)}


def split_moved(surplus: Elements, wanted: Elements) -> tuple[Elements, Elements]:
    """What goes at once, and what goes when its guest is at another host.

    The latter stays in ``wanted`` but for the host's MAC: taken away in the transaction that
    brings the other one, no packet of a connection that lives on is dropped.
    """
    stays = {
        name: {_without_member(one) for one in wanted.get(name, ())}
        for name in surplus.keys() & BY_MEMBER
    }
    moved = {
        name: frozenset(one for one in surplus[name] if _without_member(one) in left)
        for name, left in stays.items()
    }
    return less(surplus, moved), moved


def _without_member(element: str) -> str:
    return element.partition(" . ")[2]
