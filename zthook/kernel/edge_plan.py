"""What an edge's kernel lacks, and what it has too much: pure comparison, no kernel."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from zthook.kernel.conntrack import Through
from zthook.kernel.edge_elements import (
    all_elements,
    both,
    less,
    mss_elements,
    names,
    pool_elements,
    public_of,
    together,
)
from zthook.kernel.edge_ground import (
    Surroundings,
    proxies_of,
    routes_of,
    settings_of,
    through,
)
from zthook.kernel.edge_rules import (
    BEFORE_THE_OVERLAY,
    CHAINS,
    NOTHING,
    Chain,
    Elements,
    Transaction,
    chains_for,
    is_known,
    labels,
)
from zthook.kernel.neighbours import ProxyEntry
from zthook.kernel.routes import Route
from zthook.model.mappings import EdgePlane


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
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do, in the order in which it is done (design: "Order")."""

    withdraw: Transaction = NOTHING
    ended: frozenset[Through] = frozenset()
    routes_gone: frozenset[Route] = frozenset()
    proxies_gone: frozenset[ProxyEntry] = frozenset()
    settings: Mapping[str, str] = field(default_factory=dict)
    routes_new: frozenset[Route] = frozenset()
    proxies_new: frozenset[ProxyEntry] = frozenset()
    grant: Transaction = NOTHING
    taken_over: frozenset[Through] = frozenset()
    forgiven: frozenset[Through] = frozenset()


def static_elements(plane: EdgePlane, seen: Seen) -> Elements:
    """What the static sets must hold. What is not known now stays as it is."""
    around, before = seen.around, seen.elements
    overlay = before.get("overlay", frozenset())
    if is_known(plane.overlay):
        overlay = names([plane.overlay])
    uplinks = names((plane.uplinks | around.default_devices) - {plane.overlay})
    device = around.overlay
    return {
        "uplinks": uplinks,
        "overlay": overlay,
        "closed": frozenset() if around.routes_anyway else names(plane.uplinks) | overlay,
        "api_ports": frozenset({str(plane.api_port)}),
        "pool": pool_elements(plane.pool_ranges),
        "mss": mss_elements(device.name, device.mtu) if device else before.get("mss", frozenset()),
    }


def chains_to_load(plane: EdgePlane, seen: Seen) -> tuple[Chain, ...]:
    """The chains that the table must be made anew with; none where it has them."""
    early = chains_for(plane.overlay)
    if seen.labels is None:
        return early
    has = dict(seen.labels)
    if not is_known(plane.overlay):
        has.pop(BEFORE_THE_OVERLAY, None)
    if has == labels(CHAINS):
        return ()
    return early if not seen.elements.get("overlay") else CHAINS


def desired_elements(plane: EdgePlane, seen: Seen) -> Elements:
    """What the mappings' sets must hold. While the edge's own address is away, who hid stays so."""
    elements = all_elements(plane.forwardings, plane.overlay_address)
    if plane.overlay_address is not None:
        return elements
    hiding = {str(one.arrives_as) for one in plane.forwardings if one.hide}
    before = seen.elements.get("hidden", frozenset())
    return {**elements, "hidden": frozenset(e for e in before if public_of("hidden", e) in hiding)}


@dataclass(frozen=True, slots=True)
class _Elements:
    """Those of the mappings: what is right, too much, and lacking; and the mappings that end."""

    kept: Elements
    surplus: Elements
    missing: Elements
    ended: frozenset[Through]


def _compare(plane: EdgePlane, seen: Seen) -> _Elements:
    desired = desired_elements(plane, seen)
    present = {name: seen.elements.get(name, frozenset()) for name in desired}
    surplus, missing = less(present, desired), less(desired, present)
    # A mapping is there while any of the two that pass its packets is.
    ended = (_throughs(surplus, "inward") | _throughs(surplus, "arriving")) - through(
        plane.forwardings
    )
    return _Elements(both(desired, present), surplus, missing, ended)


def plan(plane: EdgePlane, seen: Seen) -> Steps:
    """Everything between what the kernel has and what it must have."""
    around, some, elements = seen.around, plane.forwardings, _compare(plane, seen)
    routes, proxies = routes_of(some, around), proxies_of(some, around)
    routes_new, proxies_new = routes - seen.routes, proxies - seen.proxies
    needed = {route.destination for route in routes_new} | _still_needed(plane, around)
    withdraw, grant = _transactions(plane, seen, elements)
    if not routes_new and not proxies_new:
        withdraw, grant = _joined(withdraw, grant), NOTHING
    wanted = settings_of(plane, around).items()
    return Steps(
        withdraw=withdraw,
        ended=elements.ended,
        routes_gone=frozenset(r for r in seen.routes - routes if r.destination not in needed),
        proxies_gone=seen.proxies - proxies,
        settings={path: to for path, to in wanted if seen.settings.get(path, to) != to},
        routes_new=routes_new,
        proxies_new=proxies_new,
        grant=grant,
        taken_over=_taken_over(seen, elements.missing),
        forgiven=through(some) if seen.labels is None else frozenset(),
    )


def _still_needed(plane: EdgePlane, around: Surroundings) -> set[IPv4Network]:
    """Destinations whose routes, if there are any, stay though none can be named now.

    The overlay's device may only be unknown: its daemon did not answer ours at the start.
    """
    if around.overlay is not None:
        return set()
    return {IPv4Network(one) for f in plane.forwardings for one in (f.private, f.arrives_as)}


def _throughs(elements: Elements, name: str) -> frozenset[Through]:
    pairs = (one.replace(" : ", " . ").split(" . ") for one in elements.get(name, ()))
    return frozenset(Through(IPv4Address(a), IPv4Address(p)) for a, p in pairs)


def _taken_over(seen: Seen, missing: Elements) -> frozenset[Through]:
    """New mappings whose address may have connections that do not go through them.

    What is not configured here is dropped as long as nobody has it, and never remembered;
    but for the time in which the table was away.
    """
    new = _throughs(missing, "inward") & _throughs(missing, "arriving")
    if seen.labels is None:
        return new
    return frozenset(one for one in new if one.arrives_as in seen.around.own)


def _transactions(
    plane: EdgePlane, seen: Seen, elements: _Elements
) -> tuple[Transaction, Transaction]:
    """What goes before the routes (rules, withdrawals) and what after them (grants)."""
    static, chains = static_elements(plane, seen), chains_to_load(plane, seen)
    if chains:
        before = Transaction(chains, static, add=elements.kept, counters=seen.counters)
        return before, Transaction(add=elements.missing)
    leaving = {str(one.arrives_as) for one in elements.ended}
    staying = {str(one.arrives_as) for one in plane.forwardings} - leaving
    moved = {
        name: frozenset(e for e in some if public_of(name, e) in staying)
        for name, some in elements.surplus.items()
    }
    refill = {k: v for k, v in static.items() if v != seen.elements.get(k, frozenset())}
    return (
        Transaction(refill=refill, delete=less(elements.surplus, moved)),
        Transaction(delete=moved, add=elements.missing),
    )


def _joined(first: Transaction, second: Transaction) -> Transaction:
    return replace(
        first,
        delete=together(first.delete, second.delete),
        add=together(first.add, second.add),
    )
