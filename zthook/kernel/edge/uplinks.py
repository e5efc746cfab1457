"""Uplinks with routers of their own: each answers by the way it was asked. Pure, no kernel.

Where all uplinks' ways are the main table's default route there is nothing of this.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from zthook.kernel.edge.sets import FAMILIES, Elements, family_of, parts_of
from zthook.kernel.links import DefaultRoute
from zthook.kernel.routes import ANYWHERE, MAIN_TABLE, Route
from zthook.kernel.rules import PolicyRule
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.mappings import EdgePlane, Forwarding

MASK, SHIFT = 0xE0000000, 29
"""The bits of packet marks that say by which uplink: three, as a host's rules have two."""
MOST = MASK >> SHIFT
"""So many uplinks can have numbers, from 1 on."""
FIRST_TABLE = 12311
TABLES = frozenset(range(FIRST_TABLE, FIRST_TABLE + MOST))
TO_GUESTS, TO_UPLINK = 12310, 12311
"""Preferences: first the main table's routes to single addresses, ours to guests among them."""


@dataclass(frozen=True, slots=True)
class Way:
    """What arrived for addresses of ``uplink`` is answered by it, via ``gateway``, None for a
    dialled line. Only where some uplink's way is not the main table's default route.
    """

    version: int
    uplink: str
    number: int
    device: int
    gateway: IPAddress | None

    @property
    def mark(self) -> int:
        """What packets have, under MASK, that leave by it."""
        return self.number << SHIFT

    @property
    def table(self) -> int:
        """Where its routes are."""
        return FIRST_TABLE + self.number - 1


def ways_of(
    plane: EdgePlane, defaults: Collection[DefaultRoute], up: Mapping[str, int]
) -> tuple[Way, ...]:
    """The ways that packets have to be marked for; none where the main table's default does.

    ``up`` are the indexes of the devices that are: by others there is no way.
    """
    versions = sorted({one.first.version for one in plane.pool_ranges})
    return tuple(way for version in versions for way in _of(version, plane, defaults, up))


def _of(
    version: int, plane: EdgePlane, defaults: Collection[DefaultRoute], up: Mapping[str, int]
) -> Iterable[Way]:
    hops = _hops(version, plane, defaults)
    if all(hop == _main(version, defaults) for hop in hops.values()):
        return
    for number, uplink in enumerate(sorted(plane.uplinks)[:MOST], 1):
        if uplink in hops and uplink in up:
            yield Way(version, uplink, number, up[uplink], hops[uplink].gateway)


def _hops(
    version: int, plane: EdgePlane, defaults: Collection[DefaultRoute]
) -> dict[str, DefaultRoute]:
    """By uplink what edge.toml says, else its best default route."""
    said = [DefaultRoute(one.version, uplink, one) for uplink, one in plane.gateways]
    found: dict[str, DefaultRoute] = {}
    for one in (*said, *defaults):
        # A route of IPv4 by a router's IPv6 address can not be made anew here.
        usable = one.gateway is None or one.gateway.version == version
        if one.version == version and one.device in plane.uplinks and usable:
            found.setdefault(one.device, one)
    return found


def _main(version: int, defaults: Iterable[DefaultRoute]) -> DefaultRoute | None:
    return next((one for one in defaults if one.version == version), None)


def without_router(plane: EdgePlane, defaults: Collection[DefaultRoute]) -> list[tuple[str, str]]:
    """The uplinks of mappings whose router nobody knows, and by which device they answer."""
    found = []
    for version in FAMILIES:
        main, hops = _main(version, defaults), _hops(version, plane, defaults)
        used = {one.uplink for one in plane.forwardings if one.arrives_as.version == version}
        if main is not None:
            found += [(one, main.device) for one in sorted(used - {*hops, main.device})]
    return found


def uplink_routes(
    ways: Iterable[Way],
    on_link: Mapping[str, tuple[IPNetwork, ...]],
    indexes: Mapping[str, int],
    uplinks: Collection[str],
) -> frozenset[Route]:
    """Each way's table: what is on-link, but by other ``uplinks``, and all else to its router.

    A neighbour on another uplink is answered by the router too: his provider may let through
    only what has one of its own addresses.
    """
    near = on_link.keys() & indexes.keys() - uplinks
    found: dict[tuple[IPNetwork, int], Route] = {}
    for way in ways:
        for device in (*sorted(near), way.uplink):
            for prefix in on_link.get(device, ()):
                if prefix.version == way.version and not prefix.is_link_local:
                    found[prefix, way.table] = Route(prefix, indexes[device], None, way.table)
        anywhere = ANYWHERE[way.version]
        found[anywhere, way.table] = Route(anywhere, way.device, way.gateway, way.table)
    return frozenset(found.values())


def uplink_rules(ways: Iterable[Way]) -> frozenset[PolicyRule]:
    """What leads marked packets into the tables."""
    return frozenset(
        rule
        for way in ways
        for rule in (
            PolicyRule(
                way.version,
                TO_GUESTS,
                MAIN_TABLE,
                way.mark,
                MASK,
                longer_than=ANYWHERE[way.version].max_prefixlen - 1,
            ),
            PolicyRule(way.version, TO_UPLINK, way.table, way.mark, MASK),
        )
    )


def is_uplinks(rule: PolicyRule) -> bool:
    """Whether a rule of ours is one of these, whatever the ways are now."""
    return rule.mask == MASK


def uplink_settings(ways: Collection[Way], defaults: Iterable[DefaultRoute]) -> dict[str, str]:
    """What a client sends comes in by another device than the main table's way to him.

    Loose rp_filter takes it, where the main table has any way; without one only none does.
    """
    value = "0" if _main(4, defaults) is None else "2"
    return {f"net/ipv4/conf/{way.uplink}/rp_filter": value for way in ways if way.version == 4}


def uplink_elements(
    some: Iterable[Forwarding], elements: Elements, ways: Iterable[Way]
) -> Elements:
    """By which uplink what has these addresses leaves; ``elements`` are the mappings' own.

    A guest's private address is one of them where what it begins leaves as ``outward`` says.
    """
    numbers = {(way.uplink, way.version): way.number for way in ways}
    verdicts: dict[str, str] = {}
    found: dict[str, set[str]] = defaultdict(set)
    for one in some if numbers else ():
        if number := numbers.get((one.uplink, one.arrives_as.version)):
            public, s = str(one.arrives_as), family_of(one.arrives_as).suffix
            verdicts[public] = f"goto uplink{number}"
            found[f"way_of_public{s}"].add(f"{public} : {verdicts[public]}")
    for s in (family.suffix for family in FAMILIES.values()):
        for private, public in map(parts_of, elements.get(f"outward{s}", ()) if verdicts else ()):
            if public in verdicts:
                found[f"way_of_guest{s}"].add(f"{private} : {verdicts[public]}")
    return {name: frozenset(some) for name, some in found.items()}
