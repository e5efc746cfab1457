"""A few mappings more or less, without looking at the others: pure, no kernel."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from zthook.kernel.edge_elements import all_elements, less
from zthook.kernel.edge_ground import (
    Arrival,
    Surroundings,
    arrival,
    proxies_of,
    routes_of,
    through,
)
from zthook.kernel.edge_plan import Steps
from zthook.kernel.edge_rules import Transaction
from zthook.model.mappings import Forwarding

Forwardings = frozenset[Forwarding]


@dataclass(frozen=True, slots=True)
class Difference:
    """Mappings that go and come; the connections through those ``ending`` end in any case."""

    ending: Forwardings
    gone: Forwardings
    come: Forwardings

    def __bool__(self) -> bool:
        return bool(self.gone or self.come)


class Mappings:
    """The mappings that the kernel has, found by either address; costs nothing per mapping."""

    def __init__(self, some: Iterable[Forwarding] = ()) -> None:
        self._by_arrival: dict[IPv4Address, Forwarding] = {}
        self._on_private: dict[IPv4Address, set[IPv4Address]] = defaultdict(set)
        self.record(Difference(frozenset(), frozenset(), frozenset(some)))

    def all(self) -> Collection[Forwarding]:
        """Every one."""
        return self._by_arrival.values()

    def difference(self, withdraw: Iterable[Forwarding], grant: Iterable[Forwarding]) -> Difference:
        """What these two lists make of the mappings that are there.

        A withdrawal of what is not, or no longer, so is nothing. A grant takes the place of
        what its address had; the connections through that end only if it was withdrawn too,
        or leads to another private address.
        """
        ending = frozenset(self._by_arrival[one.arrives_as] for one in withdraw if self._has(one))
        granted = frozenset(grant)
        taken = (self._by_arrival.get(one.arrives_as) for one in granted)
        replaced = frozenset(one for one in taken if one is not None) - ending
        return Difference(ending, ending | (replaced - granted), granted - replaced)

    def record(self, difference: Difference) -> None:
        """The kernel did it."""
        for one in difference.gone:
            del self._by_arrival[one.arrives_as]
            self._on_private[one.private].discard(one.arrives_as)
            if not self._on_private[one.private]:
                del self._on_private[one.private]
        for one in difference.come:
            self._by_arrival[one.arrives_as] = one
            self._on_private[one.private].add(one.arrives_as)

    def used_without(self, gone: Forwardings) -> frozenset[IPv4Address]:
        """The private addresses of ``gone`` that other mappings lead to as well."""
        leaving = {one.arrives_as for one in gone}
        return frozenset(
            one.private for one in gone if self._on_private.get(one.private, set()) - leaving
        )

    def _has(self, one: Forwarding) -> bool:
        found = self._by_arrival.get(one.arrives_as)
        return found is not None and found.private == one.private


def plan_change(
    mappings: Mappings, change: Difference, around: Surroundings, hide_as: IPv4Address | None
) -> Steps:
    """The steps that make the change of what ``mappings`` has.

    A mapping that only changes its host is moved: its connections live on.
    """
    gone, come = change.gone, change.come
    leaving = through(change.ending) | (through(gone) - through(come))
    left = frozenset(one for one in gone if through([one]) <= leaving)
    moved = gone - left
    before, after = all_elements(moved, hide_as), all_elements(come, hide_as)
    routes, proxies = routes_of(come, around), proxies_of(come, around)
    kept = {route.destination.network_address for route in routes} | mappings.used_without(gone)
    arriving = frozenset(one for one in come if arrival(one, around) is Arrival.CONFIGURED)
    return Steps(
        withdraw=Transaction(delete=all_elements(left, hide_as)),
        ended=leaving,
        routes_gone=frozenset(
            route
            for route in routes_of(left, around)
            if route.destination.network_address not in kept
        ),
        proxies_gone=proxies_of(left, around) - proxies,
        routes_new=routes - routes_of(moved, around),
        proxies_new=proxies - proxies_of(moved, around),
        grant=Transaction(delete=less(before, after), add=less(after, before)),
        taken_over=through(arriving) - through(moved),
    )
