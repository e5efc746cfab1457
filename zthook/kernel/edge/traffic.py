"""Whose packets the counters of the edge's table have counted: pure, no kernel."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from zthook.kernel.edge.elements import owned_elements
from zthook.kernel.edge.sets import COUNTED, INWARD
from zthook.kernel.traffic import Traffic
from zthook.model.addresses import IPAddress
from zthook.model.mappings import Forwarding

Key = tuple[IPAddress, IPAddress]


def traffic_of(
    some: Collection[Forwarding], counted: Mapping[tuple[str, str], tuple[int, int]]
) -> dict[Key, Traffic]:
    """By public and private address, all of it; what several guests share counts as one's."""
    found: dict[Key, list[int]] = {(one.public, one.private): [0, 0, 0, 0] for one in some}
    seen: dict[str, set[str]] = defaultdict(set)
    for one, (name, element) in owned_elements(some):
        if name not in COUNTED or element in seen[name]:
            continue
        seen[name].add(element)
        packets, size = counted.get((name, element), (0, 0))
        at = 0 if name in INWARD else 2
        sums = found[one.public, one.private]
        sums[at] += size
        sums[at + 1] += packets
    return {key: Traffic(*sums) for key, sums in found.items()}
