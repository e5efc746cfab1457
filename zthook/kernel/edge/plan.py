"""What an edge's kernel lacks, and what it has too much: pure comparison, no kernel."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network

from zthook.kernel.connection_ways import Through
from zthook.kernel.edge.chains.layout import BEFORE_THE_OVERLAY, chains
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.elements import all_elements, both, less, split_moved, together
from zthook.kernel.edge.endings import (
    NONE_END,
    Endings,
    begun_as,
    endings,
    through,
    ways_in,
    ways_of,
)
from zthook.kernel.edge.ground import (
    Surroundings,
    beside_main,
    members_of,
    pinned_at,
    proxies_of,
    routes_of,
    rules_of,
    settings_of,
)
from zthook.kernel.edge.rules import (
    NOTHING,
    Transaction,
    chains_for,
    differing,
    is_known,
    is_this_version,
)
from zthook.kernel.edge.sets import CLOSED6, MAPPING_SETS, Elements
from zthook.kernel.edge.shaping import shape_of
from zthook.kernel.edge.static import closed6_elements, static_elements
from zthook.kernel.edge.uplinks import uplink_elements
from zthook.kernel.neighbours import Pinned, ProxyEntry
from zthook.kernel.routes import Route
from zthook.kernel.rules import PolicyRule
from zthook.model.mappings import EdgePlane, Forwarding
from zthook.model.publication import Mode


@dataclass(frozen=True, slots=True)
class Seen:
    """What the kernel has. ``labels`` is None where there is no table.

    ``settings`` are those under /proc/sys that could be ours to set.
    """

    around: Surroundings
    labels: Mapping[str, tuple[str, ...]] | None
    elements: Elements
    counters: Mapping[tuple[str, str], str]
    routes: frozenset[Route]
    proxies: frozenset[ProxyEntry]
    pinned: frozenset[Pinned]
    rules: frozenset[PolicyRule]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do, in the order in which it is done (design: "Order")."""

    withdraw: Transaction = NOTHING
    ended: Endings = NONE_END
    routes_gone: frozenset[Route] = frozenset()
    pinned_gone: frozenset[Pinned] = frozenset()
    proxies_gone: frozenset[ProxyEntry] = frozenset()
    rules_gone: frozenset[PolicyRule] = frozenset()
    settings: Mapping[str, str] = field(default_factory=dict)
    pinned_new: frozenset[Pinned] = frozenset()
    routes_new: frozenset[Route] = frozenset()
    proxies_new: frozenset[ProxyEntry] = frozenset()
    rules_new: frozenset[PolicyRule] = frozenset()
    grant: Transaction = NOTHING
    taken_over: frozenset[Through] = frozenset()
    forgiven: frozenset[Through] = frozenset()
    forgiven_begun: frozenset[Through] = frozenset()


def in_one(steps: Steps) -> Steps:
    """The same with one transaction for two, where nothing has to be there between them."""
    if steps.routes_new or steps.pinned_new or steps.proxies_new or steps.rules_new:
        return steps
    first, second = steps.withdraw, steps.grant
    joined = replace(
        first,
        chains=(*first.chains, *second.chains),
        delete=together(first.delete, second.delete),
        add=together(first.add, second.add),
    )
    return replace(steps, withdraw=joined, grant=NOTHING)


def shutting(*, closed: bool) -> Transaction:
    """Let IPv6 be forwarded for mappings alone, or not for them either: nothing of it is."""
    return Transaction(refill={CLOSED6: closed6_elements(closed=closed)})


def without_replaced(gone: Iterable[Route], wanted: Iterable[Route]) -> frozenset[Route]:
    """The routes that have to be removed, as none of the same destination takes their place."""
    kept = {(route.destination, route.table) for route in wanted}
    return frozenset(one for one in gone if (one.destination, one.table) not in kept)


def without_moved(gone: Iterable[Pinned], wanted: Iterable[Pinned]) -> frozenset[Pinned]:
    """The entries that have to be removed, as their addresses are not pinned to another MAC."""
    kept = {(one.address, one.device) for one in wanted}
    return frozenset(one for one in gone if (one.address, one.device) not in kept)


def chains_to_load(plane: EdgePlane, seen: Seen) -> Transaction:
    """The chains that the table must be made anew with, or that alone differ; none of these
    where all is as it has to be.
    """
    shape = shape_seen(plane, seen)
    constant, early = chains(shape), chains_for(plane, shape)
    if seen.labels is None:
        return Transaction(rules=early)
    has = dict(seen.labels)
    if not is_known(plane.overlay):
        has.pop(BEFORE_THE_OVERLAY, None)
    if is_this_version(constant, has):
        return Transaction(chains=differing(constant, has))
    return Transaction(rules=early if not seen.elements.get("overlay") else constant)


def shape_seen(plane: EdgePlane, seen: Seen) -> Shape:
    """The shape that the table must have."""
    static = static_elements(plane, seen.around, seen.elements)
    return shape_of(plane, seen.around.ways, static)


def wanted_elements(some: Collection[Forwarding], around: Surroundings) -> Elements:
    """All elements of these mappings, with those of uplinks' own ways."""
    elements = all_elements(some)
    return together(elements, uplink_elements(some, elements, around.ways))


@dataclass(frozen=True, slots=True)
class _Elements:
    """Those of the mappings: all that are wanted, what is right, too much, and lacking."""

    wanted: Elements
    kept: Elements
    surplus: Elements
    missing: Elements


def _compare(plane: EdgePlane, seen: Seen) -> _Elements:
    wanted = wanted_elements(plane.forwardings, seen.around)
    present = {name: seen.elements[name] for name in MAPPING_SETS if seen.elements.get(name)}
    return _Elements(wanted, both(present, wanted), less(present, wanted), less(wanted, present))


def plan(plane: EdgePlane, seen: Seen) -> Steps:
    """Everything between what the kernel has and what it must have."""
    around, some, elements = seen.around, plane.forwardings, _compare(plane, seen)
    routes, rules = beside_main({one.arrives_as.version for one in some}, around)
    routes, proxies = routes | routes_of(some, around), proxies_of(some, around)
    rules |= rules_of({one.arrives_as for one in some if one.mode is Mode.ROUTED}, around)
    pinned = pinned_at(members_of(some), around)
    withdraw, grant = _transactions(plane, seen, elements)
    wanted = settings_of(plane, around).items()
    flushed, taken_over = seen.labels is None, _taken_over(plane, seen, elements.missing)
    return in_one(
        Steps(
            withdraw=withdraw,
            ended=endings(elements.surplus, some),
            routes_gone=_gone(plane, seen, routes),
            pinned_gone=_unpinned(plane, seen, pinned),
            proxies_gone=seen.proxies - proxies,
            rules_gone=seen.rules - rules,
            settings={path: to for path, to in wanted if seen.settings.get(path, to) != to},
            pinned_new=pinned - seen.pinned,
            routes_new=routes - seen.routes,
            proxies_new=proxies - seen.proxies,
            rules_new=rules - seen.rules,
            grant=grant,
            taken_over=taken_over,
            forgiven=taken_over if flushed else frozenset(),
            forgiven_begun=begun_as(elements.wanted) if flushed else frozenset(),
        )
    )


def _gone(plane: EdgePlane, seen: Seen, wanted: frozenset[Route]) -> frozenset[Route]:
    """The routes to remove. While the overlay's device is unknown those of mappings stay: its
    daemon may only not have answered ours at the start.
    """
    gone = without_replaced(seen.routes - wanted, wanted)
    if seen.around.overlay is not None:
        return gone
    needed = {ip_network(one) for f in plane.forwardings for one in (f.private, f.arrives_as)}
    return frozenset(one for one in gone if one.destination not in needed)


def _unpinned(plane: EdgePlane, seen: Seen, wanted: frozenset[Pinned]) -> frozenset[Pinned]:
    """The same of members' entries."""
    gone = without_moved(seen.pinned - wanted, wanted)
    if seen.around.overlay is not None:
        return gone
    needed = members_of(plane.forwardings)
    return frozenset(one for one in gone if one.mac not in needed.get(one.address, ()))


def _taken_over(plane: EdgePlane, seen: Seen, missing: Elements) -> frozenset[Through]:
    """New mappings whose address may have connections that do not go through them.

    What is not configured here is dropped as long as nobody has it, and never remembered;
    but for the time in which the table was away.
    """
    if seen.labels is None:
        return through(plane.forwardings)
    own = [one for one in plane.forwardings if one.arrives_as in seen.around.own]
    new = ways_in(missing) if own else frozenset()
    return through(one for one in own if ways_of(one) & new)


def _transactions(
    plane: EdgePlane, seen: Seen, elements: _Elements
) -> tuple[Transaction, Transaction]:
    """What goes before the routes (rules, withdrawals) and what after them (grants)."""
    static = static_elements(plane, seen.around, seen.elements)
    load = chains_to_load(plane, seen)
    if load.rules:
        before = replace(load, refill=static, add=elements.kept, counters=seen.counters)
        return before, Transaction(add=elements.missing)
    at_once, moved = split_moved(elements.surplus, elements.wanted)
    refill = {k: v for k, v in static.items() if v != seen.elements.get(k, frozenset())}
    return (
        replace(load, refill=refill, delete=at_once),
        Transaction(delete=moved, add=elements.missing),
    )
