"""The way of a host's marked packets to the edge: policy rules, routes, and who the edge is."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from zthook.kernel.host.marks import Marks
from zthook.kernel.neighbours import (
    OF_HOST,
    Pinned,
    PinnedEntries,
    pinned_entries,
    remove_pinned,
    set_pinned,
)
from zthook.kernel.netlink import ROUTE, Netlink
from zthook.kernel.route_batch import remove_routes, set_routes
from zthook.kernel.routes import ANYWHERE, MAIN_TABLE, Route, own_routes
from zthook.kernel.rules import PolicyRule, add_rules, own_rules, remove_rules
from zthook.model.addresses import IPAddress

HOST_MASK_BITS = 2
"""Rules of ours by a mask of so many bits or fewer are a host's: an edge's have more."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The next hops by IP version, only those that are asked for; ``device`` is the overlay's
    index, None while it is away, ``mac`` whose all packets to the edge are. Of the addresses
    in ``pinned`` nobody is asked whether they are there.
    """

    hops: Mapping[int, IPAddress]
    device: int | None
    mac: str
    pinned: frozenset[IPAddress] = frozenset()


class Way:
    """``table`` and ``preference`` are the first of those that are ours.

    The first table has the way to the edge and a black hole behind it. The second, for public
    addresses that are not on this host, has no black hole: what is bound to another device,
    as the sockets of the overlay's own daemon are, finds nothing there and goes on as ever.
    """

    def __init__(self, marks: Marks, table: int, preference: int) -> None:
        self._marks = marks
        self._preference = preference
        self.tables = (table, table + 1)

    def keep(self, edge: Edge) -> list[str]:
        """Make marked packets of the edge's IP versions go to it, or nowhere.

        Who the edge is comes first, then the routes, and the rules last, so that at no moment
        a marked packet leaves by another line, or goes to another member. A line for each
        thing that was put right.
        """
        versions = edge.hops.keys()
        found = {one for one in self._routes() if one.destination.version in versions}
        lines = _keep_pinned(_wanted_pinned(edge))
        lines += _keep_routes(found, self._wanted_routes(edge))
        rules = _rules()
        missing = [rule for rule in self._wanted_rules(versions) if rule not in rules]
        with Netlink(ROUTE) as kernel:
            add_rules(kernel, missing)
        lines += [f"{rule} was missing: added" for rule in missing]
        others = {rule for rule in rules if rule.version in versions}
        return lines + self._remove_rules(others - set(self._wanted_rules(versions)))

    def lacks(self, edge: Edge) -> list[str]:
        """What ``keep`` would add, a line each; nothing is changed."""
        rules, routes, pinned = _rules(), self._routes(), pinned_entries(OF_HOST)
        missing = [rule for rule in self._wanted_rules(edge.hops.keys()) if rule not in rules]
        return (
            [str(rule) for rule in missing]
            + [_named(route) for route in self._wanted_routes(edge) if route not in routes]
            + [f"neighbour {one}" for one in _lacking(_wanted_pinned(edge), pinned)]
        )

    def remove(self) -> list[str]:
        """Take everything away."""
        return self.narrow(()) + _keep_pinned(())

    def narrow(self, versions: Collection[int]) -> list[str]:
        """Take the rules and routes away that are of other IP versions than these."""
        lines = self._remove_rules({rule for rule in _rules() if rule.version not in versions})
        routes = {one for one in self._routes() if one.destination.version not in versions}
        return lines + _keep_routes(routes, ())

    def _routes(self) -> set[Route]:
        return {route for table in self.tables for route in own_routes(table)}

    def _wanted_routes(self, edge: Edge) -> list[Route]:
        first, second = self.tables
        black_holes = [Route(ANYWHERE[version], None, table=first) for version in edge.hops]
        if edge.device is None:
            return black_holes
        return black_holes + [
            Route(ANYWHERE[version], edge.device, hop, table)
            for version, hop in edge.hops.items()
            for table in (first, second)
        ]

    def _wanted_rules(self, versions: Collection[int]) -> list[PolicyRule]:
        """In the order in which they can come: none sends anything past one that is to come."""
        marks, at = self._marks, self._preference
        first, second = self.tables
        return [
            rule
            for version in sorted(versions)
            for rule in (
                PolicyRule(version, at, first, marks.brought, marks.mask),
                PolicyRule(version, at + 2, first, marks.leaving, marks.mask),
                PolicyRule(version, at + 1, MAIN_TABLE, marks.leaving, marks.mask, longer_than=0),
                PolicyRule(version, at + 3, second, marks.local, marks.mask),
            )
        ]

    def _remove_rules(self, rules: Collection[PolicyRule]) -> list[str]:
        """With the routes in tables that are not ours any more."""
        with Netlink(ROUTE) as kernel:
            remove_rules(kernel, sorted(rules))
        tables = {rule.table for rule in rules} - {MAIN_TABLE, *self.tables}
        left = {route for table in tables for route in own_routes(table)}
        return [f"{rule} removed" for rule in sorted(rules)] + _keep_routes(left, ())


def _rules() -> set[PolicyRule]:
    return {rule for rule in own_rules() if 0 < rule.mask.bit_count() <= HOST_MASK_BITS}


def _keep_routes(found: Collection[Route], wanted: Collection[Route]) -> list[str]:
    extra = [route for route in found if route not in wanted]
    missing = [route for route in wanted if route not in found]
    with Netlink(ROUTE) as kernel:
        remove_routes(kernel, extra)
        set_routes(kernel, missing)
    return [f"{_named(one)} removed" for one in extra] + [
        f"{_named(one)} was missing: added" for one in missing
    ]


def _named(route: Route) -> str:
    kind = "" if route.device is None else "route "
    return f"{kind}{route} in table {route.table}"


def _wanted_pinned(edge: Edge) -> set[Pinned]:
    if edge.device is None:
        return set()
    return {Pinned(address, edge.device, edge.mac.lower()) for address in edge.pinned}


def _lacking(wanted: Collection[Pinned], entries: PinnedEntries) -> set[Pinned]:
    """But where others have said for good who has an address: that stays theirs to say."""
    return {one for one in wanted if (one.address, one.device) not in entries.others} - entries.own


def _keep_pinned(wanted: Collection[Pinned]) -> list[str]:
    entries = pinned_entries(OF_HOST)
    new, there = _lacking(wanted, entries), {(one.address, one.device) for one in wanted}
    gone = {one for one in entries.own if (one.address, one.device) not in there}
    with Netlink(ROUTE) as kernel:
        remove_pinned(kernel, gone)
        set_pinned(kernel, new, OF_HOST)
    return [f"neighbour {one} removed" for one in gone] + [
        f"neighbour {one} was missing: added" for one in new
    ]
