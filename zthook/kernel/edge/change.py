"""A few mappings more or less, without looking at the others: pure, no kernel."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from zthook.kernel.connection_ways import Through
from zthook.kernel.edge.chains.chain import Chain
from zthook.kernel.edge.chains.layout import chains
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.elements import less, split_moved
from zthook.kernel.edge.endings import endings, through, ways_in, ways_of
from zthook.kernel.edge.ground import (
    Arrival,
    Surroundings,
    arrival,
    beside_main,
    members_of,
    pinned_at,
    proxies_of,
    routes_of,
    rules_of,
)
from zthook.kernel.edge.plan import (
    Steps,
    in_one,
    wanted_elements,
    without_moved,
    without_replaced,
)
from zthook.kernel.edge.rules import Transaction, differing, labels
from zthook.kernel.edge.sets import Elements
from zthook.kernel.edge.shaping import having, kinds_of
from zthook.kernel.rules import PolicyRule
from zthook.model.addresses import IPAddress
from zthook.model.mappings import Forwarding
from zthook.model.publication import Mode, in_each_others_way

Forwardings = frozenset[Forwarding]
Members = Mapping[IPAddress, Counter[str]]
Key = tuple[IPAddress, IPAddress]


@dataclass(frozen=True, slots=True)
class Difference:
    """Mappings that go and come; the connections through those ``ending`` end in any case."""

    ending: Forwardings
    gone: Forwardings
    come: Forwardings

    def __bool__(self) -> bool:
        return bool(self.gone or self.come)


class Mappings:
    """The mappings that the kernel has, found by key or address; costs nothing per mapping."""

    def __init__(self, some: Iterable[Forwarding] = ()) -> None:
        self._by_key: dict[Key, Forwarding] = {}
        self._at: dict[IPAddress, tuple[Key, ...]] = {}
        self._members: dict[IPAddress, Counter[str]] = {}
        self._kinds: Counter[str] = Counter()
        self._versions: Counter[int] = Counter()
        self.record(Difference(frozenset(), frozenset(), frozenset(some)))

    def all(self) -> Collection[Forwarding]:
        """Every one."""
        return self._by_key.values()

    def become(self, wanted: Forwardings) -> None:
        """The kernel has exactly these now."""
        there = frozenset(self._by_key.values())
        if there != wanted:
            self.record(Difference(frozenset(), there - wanted, wanted - there))

    def difference(self, withdraw: Iterable[Forwarding], grant: Iterable[Forwarding]) -> Difference:
        """What these two lists make of the mappings that are there.

        A withdrawal of what is not, or no longer, so is nothing. A grant takes the place of
        what stands in its way; the connections through the same mapping end only if it was
        withdrawn too, or does no longer allow them.
        """
        ending = frozenset(self._by_key[one.key] for one in withdraw if one.key in self._by_key)
        granted = frozenset(grant)
        displaced = frozenset(o for one in granted for o in self._in_the_way_of(one)) - ending
        same = (self._by_key.get(one.key) for one in granted)
        replaced = frozenset(one for one in same if one is not None) - ending
        return Difference(ending, ending | displaced | (replaced - granted), granted - replaced)

    def _in_the_way_of(self, one: Forwarding) -> Iterable[Forwarding]:
        others = (self._by_key[key] for key in self._at.get(one.arrives_as, ()) if key != one.key)
        return (
            other
            for other in others
            if other.arrives_as == one.arrives_as
            and (other.mode is not one.mode or in_each_others_way(other.ports, one.ports))
        )

    def record(self, difference: Difference) -> None:
        """The kernel did it."""
        self._versions = self._after(difference)
        self._kinds = self._kinds_after(difference)
        for one in difference.gone:
            del self._by_key[key := one.key]
            for address in _addresses(one):
                left = tuple(other for other in self._at.pop(address) if other != key)
                if left:
                    self._at[address] = left
        for one in difference.come:
            self._by_key[key := one.key] = one
            for address in _addresses(one):
                self._at[address] = (*self._at.get(address, ()), key)
        for address, macs in self.members(difference)[1].items():
            if macs:
                self._members[address] = macs
            else:
                self._members.pop(address, None)

    def versions(self, difference: Difference) -> tuple[frozenset[int], frozenset[int]]:
        """The families that have any mapping, and those that have one afterwards."""
        return frozenset(+self._versions), frozenset(+self._after(difference))

    def _after(self, difference: Difference) -> Counter[int]:
        found = Counter(self._versions)
        found.update(one.arrives_as.version for one in difference.come)
        found.subtract(one.arrives_as.version for one in difference.gone)
        return found

    def shaped(self, difference: Difference, shape: Shape) -> Shape:
        """The shape that a table of this shape must have afterwards."""
        return having(shape, self._kinds_after(difference))

    def _kinds_after(self, difference: Difference) -> Counter[str]:
        return self._kinds + kinds_of(difference.come) - kinds_of(difference.gone)

    def beside(self, some: Iterable[Forwarding]) -> Forwardings:
        """The mappings, these or others, that have an address in common with any of these."""
        addresses = {address for one in some for address in _addresses(one)}
        return frozenset(
            self._by_key[key] for address in addresses for key in self._at.get(address, ())
        )

    def routed(self, addresses: Iterable[IPAddress]) -> frozenset[IPAddress]:
        """Which of these have a routed mapping."""
        return frozenset(
            address
            for address in addresses
            for key in self._at.get(address, ())
            if self._by_key[key].mode is Mode.ROUTED and key[0] == address
        )

    def members(self, difference: Difference) -> tuple[Members, Members]:
        """Of the addresses by which these mappings go: which members have them, and afterwards."""
        come, gone = members_of(difference.come), members_of(difference.gone)
        before = {one: self._members.get(one, Counter()) for one in come.keys() | gone.keys()}
        after = {
            one: macs + come.get(one, Counter()) - gone.get(one, Counter())
            for one, macs in before.items()
        }
        return before, after

    def has_ipv6(self) -> bool:
        """Whether any of them asks for anything of IPv6."""
        return self._versions[6] > 0


def _addresses(one: Forwarding) -> set[IPAddress]:
    return {one.public, *one.key}


def plan_change(
    mappings: Mappings, change: Difference, around: Surroundings, shape: Shape
) -> Steps:
    """The steps that make the change of what ``mappings`` has, in a table of this shape.

    A mapping that only changes its host is moved: its connections live on.
    """
    before = mappings.beside(change.gone | change.come)
    after = before - change.gone | change.come
    elements, wanted = wanted_elements(before, around), wanted_elements(after, around)
    surplus, missing = less(elements, wanted), less(wanted, elements)
    at_once, moved = split_moved(surplus, wanted)
    (out, leading), (out_after, leading_after) = (
        beside_main(versions, around) for versions in mappings.versions(change)
    )
    routes, routes_after = routes_of(before, around) | out, routes_of(after, around) | out_after
    proxies, proxies_after = proxies_of(before, around), proxies_of(after, around)
    rules, rules_after = _rules(mappings, change, around)
    rules, rules_after = rules | leading, rules_after | leading_after
    pinned, pinned_after = (pinned_at(some, around) for some in mappings.members(change))
    return in_one(
        Steps(
            withdraw=Transaction(delete=at_once),
            ended=endings(surplus, after, change.ending),
            routes_gone=without_replaced(routes - routes_after, routes_after),
            pinned_gone=without_moved(pinned - pinned_after, pinned_after),
            proxies_gone=proxies - proxies_after,
            rules_gone=rules - rules_after,
            pinned_new=pinned_after - pinned,
            routes_new=routes_after - routes,
            proxies_new=proxies_after - proxies,
            rules_new=rules_after - rules,
            grant=Transaction(
                chains=_reshaped(shape, mappings.shaped(change, shape)), delete=moved, add=missing
            ),
            taken_over=_taken_over(change, missing, around),
        )
    )


def _reshaped(before: Shape, after: Shape) -> tuple[Chain, ...]:
    return differing(chains(after), labels(chains(before))) if after != before else ()


def _rules(
    mappings: Mappings, change: Difference, around: Surroundings
) -> tuple[frozenset[PolicyRule], frozenset[PolicyRule]]:
    """Those that are there, and those that have to be afterwards."""
    before = mappings.routed(around.own)
    leaving = {one.arrives_as for one in change.gone if one.mode is Mode.ROUTED}
    others = mappings.beside(change.gone) - change.gone
    left = {one.arrives_as for one in others | change.come if one.mode is Mode.ROUTED}
    return rules_of(before, around), rules_of(before - leaving | left, around)


def _taken_over(change: Difference, missing: Elements, around: Surroundings) -> frozenset[Through]:
    """What this machine itself answers is the guest's from now on; it did not only move."""
    new = ways_in(missing)
    return through(
        one
        for one in change.come
        if ways_of(one) & new and arrival(one, around) is Arrival.CONFIGURED
    )
