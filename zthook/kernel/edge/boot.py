"""What keeps an edge closed before its daemon runs."""

from zthook.config.settings import EdgeSettings
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.rules import (
    asks_for_ipv6,
    chains_for,
    is_known,
    refilled,
    rules,
    statements,
)
from zthook.kernel.edge.sets import IPV4, IPV6
from zthook.kernel.edge.static import crossing_elements, names, pool_elements
from zthook.model.mappings import EdgePlane

ANY_ZEROTIER = "zt*"
"""ZeroTier makes its devices' names of the network's id, all with the same beginning."""


def drop_rules(plane: EdgePlane) -> str:
    """What a unit loads before the network is up: everything that drops, and no mapping.

    Loaded beside mappings that are there it leaves them alone. ``plane.overlay`` may be a
    pattern ("zt*") where the device's name is not known yet.
    """
    families = (IPV4, IPV6) if asks_for_ipv6(plane) else (IPV4,)
    chains = chains_for(plane, Shape(families, ways=False))
    uplinks = names(plane.uplinks)
    overlay = names([plane.overlay] if is_known(plane.overlay) else [])
    static = {
        "uplinks": uplinks,
        "overlay": overlay,
        "doors": uplinks | overlay,
        "crossings": crossing_elements(uplinks, overlay),
        "api_ports": frozenset({str(plane.api_port)}),
        "pool": pool_elements(plane.pool_ranges),
    }
    if asks_for_ipv6(plane):
        static["pool6"] = pool_elements(plane.pool_ranges, 6)
    lines = (rules(()), *refilled(chains), *statements("add", static))
    return "".join(f"{line}\n" for line in lines)


def boot_rules(settings: EdgeSettings) -> str:
    """The same of the configuration file alone: ZeroTier's device has no name yet then."""
    return drop_rules(
        EdgePlane(
            overlay=settings.overlay.interface or ANY_ZEROTIER,
            overlay_address=None,
            uplinks=frozenset(pool.uplink for pool in settings.pools),
            api_port=settings.api_port,
            pool_ranges=tuple(
                one for pool in settings.pools for one in pool.arrives_as or pool.ranges
            ),
        )
    )
