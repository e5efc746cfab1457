"""What the rules of a host's guests translate, from where to where: pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zthook.model.addresses import IPAddress
from zthook.model.mappings import GuestRule, HostPlane
from zthook.model.publication import Egress, Mode, PortRange


@dataclass(frozen=True, slots=True)
class Translation:
    """``address`` becomes ``to``; with ``ports`` only these do, from ``first`` to ``target`` on."""

    address: IPAddress
    to: IPAddress
    ports: PortRange | None = None


def families(plane: HostPlane) -> frozenset[int]:
    """The IP versions that any rule asks for."""
    return frozenset(rule.private.version for rule in plane.rules)


def in_order(rules: Iterable[GuestRule]) -> list[GuestRule]:
    """Where two are in each other's way, for as long as a change is under way, the first counts."""
    return sorted(rules, key=lambda rule: (not rule.active, str(rule)))


def arrival(rule: GuestRule) -> IPAddress | None:
    """The destination of the mapping's packets when they come from the edge.

    It is their source when they go there, too. None where the edge has not said it yet.
    """
    if rule.mode is Mode.NAT:
        return rule.private
    return rule.arrives_as or rule.public


def leavers(rules: Iterable[GuestRule]) -> dict[IPAddress, GuestRule]:
    """Guests whose own connections leave by the edge, by private address: each by one mapping."""
    found: dict[IPAddress, GuestRule] = {}
    for rule in in_order(rules):
        leaves = rule.active and rule.egress is Egress.PUBLIC and not rule.hide
        if leaves and arrival(rule) is not None:
            found.setdefault(rule.private, rule)
    return found


def arriving(rules: Iterable[GuestRule]) -> list[Translation]:
    """What this host makes of the destinations of what comes from the edge."""
    routed = (rule for rule in in_order(rules) if rule.mode is Mode.ROUTED)
    return list(_first_come(_inward((arrival(rule), rule) for rule in routed)))


def brought(rules: Iterable[GuestRule]) -> list[Translation]:
    """All that the edge may bring: ``arriving``, and what the edge translated already."""
    by_edge = [rule for rule in in_order(rules) if rule.mode is Mode.NAT]
    return arriving(rules) + [
        Translation(rule.private, rule.private, ports and _kept(ports))
        for rule in by_edge
        for ports in rule.ports or (None,)
    ]


def nearby(rules: Iterable[GuestRule]) -> list[Translation]:
    """What this host makes of public addresses that it and its guests ask for."""
    active = (rule for rule in in_order(rules) if rule.active)
    return list(_first_come(_inward((rule.public, rule) for rule in active)))


def leaving(rules: Iterable[GuestRule]) -> list[Translation]:
    """What this host makes of the sources of what goes to the edge and did not come from there."""
    seen = [rule for rule in in_order(rules) if not rule.hide]
    whole = [*leavers(seen).values(), *(rule for rule in seen if not rule.ports)]
    return list(_first_come(_outward(rule, None) for rule in whole)) + list(
        _first_come(_outward(rule, ports) for rule in seen for ports in rule.ports)
    )


def _inward(some: Iterable[tuple[IPAddress | None, GuestRule]]) -> Iterator[Translation | None]:
    for address, rule in some:
        for ports in rule.ports or (None,):
            yield Translation(address, rule.private, ports) if address is not None else None


def _outward(rule: GuestRule, ports: PortRange | None) -> Translation | None:
    source = arrival(rule)
    if source is None:
        return None
    if ports is None:
        return Translation(rule.private, source)
    target = ports.target if rule.mode is Mode.NAT else ports.first
    return Translation(
        rule.private,
        source,
        PortRange(ports.protocol, ports.target, ports.last_target, target),
    )


def _kept(ports: PortRange) -> PortRange:
    """The guest's ports, as the edge made them."""
    return PortRange(ports.protocol, ports.target, ports.last_target, ports.target)


def _first_come(some: Iterable[Translation | None]) -> Iterator[Translation]:
    """No address, and no port of it, is translated in two ways."""
    taken: dict[IPAddress, list[PortRange | None]] = defaultdict(list)
    for one in some:
        if one is not None and not _is_taken(one.ports, taken[one.address]):
            taken[one.address].append(one.ports)
            yield one


def _is_taken(ports: PortRange | None, taken: Iterable[PortRange | None]) -> bool:
    return any(ports is None or one is None or ports.overlaps(one) for one in taken)
