"""What a mapping, a pool and a device are in the sets and maps of the edge's table."""

from collections.abc import Iterable
from ipaddress import IPv4Address

from zthook.kernel.edge_rules import MAPPING_SETS, Elements
from zthook.kernel.host_rules import quoted
from zthook.model.addresses import AddressRange
from zthook.model.mappings import Forwarding

HEADERS = 40
"""Bytes of an IPv4 and a TCP header without options: what the MSS is smaller than the MTU."""
ETHERNET_MTU = 1500


def mapping_elements(one: Forwarding, hide_as: IPv4Address | None) -> dict[str, str]:
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


def public_of(name: str, element: str) -> str:
    """The public address, as it arrives, that an element of a mapping is about."""
    if name in {"answering", "holders"}:
        return element.rpartition(" . ")[2]
    return element.partition(" ")[0]


def all_elements(some: Iterable[Forwarding], hide_as: IPv4Address | None) -> Elements:
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


def both(some: Elements, others: Elements) -> Elements:
    """The elements that are in ``some`` and in ``others``."""
    return {name: some[name] & others.get(name, frozenset()) for name in some}


def together(some: Elements, others: Elements) -> Elements:
    """The elements that are in ``some`` or in ``others``."""
    none = frozenset[str]()
    return {k: some.get(k, none) | others.get(k, none) for k in (*some, *others)}


def names(devices: Iterable[str]) -> frozenset[str]:
    """Device names as elements. Raises KernelError for one that no device can have."""
    return frozenset(map(quoted, devices))


def mss_elements(overlay: str, mtu: int) -> frozenset[str]:
    """The clamp of an overlay that carries less than Ethernet does."""
    return frozenset({f"{quoted(overlay)} : {mtu - HEADERS}"} if mtu < ETHERNET_MTU else ())


def pool_elements(ranges: Iterable[AddressRange]) -> frozenset[str]:
    """IPv4 ranges that neither overlap nor touch: as nft takes them, and lists them."""
    found: list[AddressRange] = []
    for one in sorted((r for r in ranges if r.first.version == 4), key=lambda r: int(r.first)):
        if found and int(one.first) <= int(found[-1].last) + 1:
            last = max(found[-1].last, one.last, key=int)
            found[-1] = AddressRange(found[-1].first, last)
        else:
            found.append(one)
    return frozenset(map(str, found))
