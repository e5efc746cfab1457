"""What of an edge decides which rules it needs."""

from dataclasses import dataclass

from zthook.kernel.edge.sets import IPV4, IPV6, Family


@dataclass(frozen=True, slots=True)
class Shape:
    """As it is by default the rules do for every edge; each rule less is for each packet less.

    ``ways``: uplinks have routers of their own. ``uplinks`` and ``overlay`` are what a device's
    name is compared with: a set, or the one name that is in it, which costs less.
    ``clamps``: the overlay carries less than Ethernet does. ``routed``, ``hidden``: there is a
    mapping in that mode, or whose clients are hidden.
    """

    families: tuple[Family, ...] = (IPV4, IPV6)
    ways: bool = True
    uplinks: str = "@uplinks"
    overlay: str = "@overlay"
    clamps: bool = True
    routed: bool = True
    hidden: bool = True

    def naming(self, rule: str) -> str:
        """The rule with the names of devices that there is one of."""
        named = rule.replace("name @uplinks", f"name {self.uplinks}")
        return named.replace("name @overlay", f"name {self.overlay}")
