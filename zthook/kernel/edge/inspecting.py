"""What of an edge's kernel is not as it should be; looks and changes nothing."""

from contextlib import closing
from dataclasses import dataclass, replace

from zthook.kernel.edge.ground import Arrival, arrival, is_ipv6
from zthook.kernel.edge.linux import LET_THROUGH, LinuxEdgeKernel
from zthook.kernel.edge.plan import Seen, plan
from zthook.kernel.edge.report import repairs
from zthook.kernel.edge.sets import CLOSED6
from zthook.kernel.firewalls.inspecting import Standing, standings
from zthook.kernel.nft import Nft
from zthook.model.addresses import IPAddress
from zthook.model.mappings import EdgePlane

SETTING = "net/"
"""How a setting's path begins."""


@dataclass(frozen=True, slots=True)
class Drift:
    """``settings`` and ``rest`` differ from what the plane says, a line each. ``on_link`` are
    addresses as they arrive that an uplink's neighbours ask for, with the uplink.
    """

    settings: tuple[str, ...]
    rest: tuple[str, ...]
    on_link: frozenset[tuple[IPAddress, str]]


def drift(plane: EdgePlane) -> Drift:
    """Compare the kernel of this network namespace with ``plane``. Raises KernelError."""
    with closing(LinuxEdgeKernel()) as kernel:
        seen = _with_closed6(kernel.look(plane), plane)
    # What ``repairs`` tells is "what was: what was done", and nothing was done.
    lines = [one.rpartition(": ")[0] or one for one in repairs(seen, plan(plane, seen))]
    return Drift(
        settings=tuple(one for one in lines if one.startswith(SETTING)),
        rest=tuple(one for one in lines if not one.startswith(SETTING)),
        on_link=frozenset(
            (one.arrives_as, one.uplink)
            for one in plane.forwardings
            if arrival(one, seen.around) is Arrival.ON_LINK
        ),
    )


def _with_closed6(seen: Seen, plane: EdgePlane) -> Seen:
    """As the daemon remembers it in the table."""
    closed6 = any(map(is_ipv6, plane.forwardings)) and (
        bool(seen.elements.get(CLOSED6)) or seen.around.closed6
    )
    return replace(seen, around=replace(seen.around, closed6=closed6))


def edge_standings(families: frozenset[int]) -> list[Standing]:
    """The firewalls that what is mapped has to pass. Raises KernelError."""
    with closing(Nft()) as nft:
        return standings(nft, LET_THROUGH, families)
