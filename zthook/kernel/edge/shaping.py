"""Which shape an edge's rules have: by its settings, its devices and its mappings. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.rules import asks_for_ipv6
from zthook.kernel.edge.sets import IPV4, IPV6, Elements
from zthook.kernel.edge.uplinks import Way
from zthook.model.mappings import EdgePlane, Forwarding
from zthook.model.publication import Mode

ROUTED, HIDDEN = "routed", "hidden"


def kinds_of(some: Iterable[Forwarding]) -> Counter[str]:
    """How many of these mappings there are that need rules of their own, by kind."""
    found = Counter[str]()
    for one in some:
        found[ROUTED] += one.mode is Mode.ROUTED
        found[HIDDEN] += one.hide or one.host_hides
    return found


def having(shape: Shape, kinds: Mapping[str, int]) -> Shape:
    """The shape where there are so many mappings of these kinds."""
    return replace(shape, routed=bool(kinds[ROUTED]), hidden=bool(kinds[HIDDEN]))


def shape_of(plane: EdgePlane, ways: Collection[Way], static: Elements) -> Shape:
    """An edge's with its mappings; ``static`` is what its static sets have."""
    shape = Shape(
        families=(IPV4, IPV6) if asks_for_ipv6(plane) else (IPV4,),
        ways=bool(ways),
        uplinks=_compared("uplinks", static),
        overlay=_compared("overlay", static),
        clamps=any(static.get(name) for name in ("mss", "mss6")),
    )
    return having(shape, kinds_of(plane.forwardings))


def _compared(name: str, static: Elements) -> str:
    """The one device that is in the set, quoted, or the set."""
    found = static[name]
    return next(iter(found)) if len(found) == 1 else f"@{name}"
