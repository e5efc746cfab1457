"""What guests and their mappings are in the sets and maps of the host's table: pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from zthook.kernel.host.rules import quoted
from zthook.kernel.host.sets import COUNTED, FAMILIES, SPECS, Elements
from zthook.kernel.host.translations import (
    Translation,
    arriving,
    brought,
    leavers,
    leaving,
    nearby,
)
from zthook.model.addresses import AddressRange, IPAddress
from zthook.model.mappings import GuestRule, HostPlane
from zthook.model.publication import HIGHEST_PORT, PortRange, Protocol

Spans = dict[str, list[tuple[int, int]]]
EVERY_PORT = PortRange(Protocol.TCP, 0, HIGHEST_PORT, 0)
ADDRESSES: Mapping[int, type[IPv4Address] | type[IPv6Address]] = {4: IPv4Address, 6: IPv6Address}
EVERYBODY = {4: (0, 2**32 - 1), 6: (0, 2**128 - 1)}


@dataclass(frozen=True, slots=True)
class Around:
    """What this host is like, by IP version.

    ``hops`` is the edge as a router has it, ``closed`` are the versions for which forwarding
    is on for mappings alone, ``bridged`` those whose bridged packets pass the rules, too.
    """

    hops: Mapping[int, IPAddress]
    closed: Collection[int] = ()
    bridged: Collection[int] = ()


def elements(plane: HostPlane, around: Around) -> Elements:
    """What the sets hold for ``plane``; of an IP version only where a rule asks for it.

    Raises KernelError for a device name that no kernel would take.
    """
    overlay = quoted(plane.overlay)
    found: dict[str, Iterable[str]] = {
        **dict.fromkeys(SPECS, ()),
        "overlay": {overlay},
        "edge": {f"{overlay} . {plane.edge_mac.lower()}"},
        "closed": {f"ipv{version}" for version in around.closed},
        "bridges": {quoted(one) for one in (*_bridges(plane.rules), *dict(plane.newcomers))},
        "newcomers": {f"{quoted(device)} . {mac.lower()}" for device, mac in plane.newcomers},
    }
    for family in FAMILIES:
        rules = [rule for rule in plane.rules if rule.private.version == family.version]
        if rules:
            named = {**_of_guests(rules), **_of_mappings(rules, family.version)}
            named["itself"] = _itself(rules) if family.version in around.bridged else ()
            named["pools"] = _ranges(plane.pools, family.version)
            named["edge_hop"] = {str(around.hops[family.version])}
            found |= {f"{name}{family.suffix}": some for name, some in named.items()}
    return {name: frozenset(some) for name, some in found.items()}


def _bridges(rules: Iterable[GuestRule]) -> Iterable[str]:
    return (rule.device for rule in rules if not rule.hide)


def _of_guests(rules: Iterable[GuestRule]) -> dict[str, Iterable[str]]:
    guests = {str(rule.private) for rule in rules}
    seen = [rule for rule in rules if not rule.hide]
    return {
        "guests": guests,
        **dict.fromkeys(COUNTED, guests),
        "hidden": {_placed(rule) for rule in rules if rule.hide},
        "placed": {_placed(rule) for rule in seen},
        "outgoing": {_placed(rule) for rule in leavers(rules).values()},
        "speaking": _speaking(seen),
    }


def _placed(rule: GuestRule) -> str:
    return f"{quoted(rule.device)} . {rule.private}"


def _speaking(rules: Iterable[GuestRule]) -> Iterable[str]:
    spans: Spans = defaultdict(list)
    for rule in rules:
        for ports in rule.ports or (EVERY_PORT,):
            if ports.protocol is Protocol.TCP:
                key = f"{rule.private} . {ports.protocol}"
                spans[key].append((ports.target, ports.last_target))
    return _joined(spans)


def _of_mappings(rules: Collection[GuestRule], version: int) -> dict[str, Iterable[str]]:
    met = nearby(rules)
    return {
        "arrivals": {str(one.address) for one in arriving(rules)},
        **_maps("arriving", arriving(rules)),
        **_pairs("brought", brought(rules)),
        **_maps("nearby", met),
        **_pairs("met", met),
        "admitted": _admitted(rules, version),
        **_maps("leaving", leaving(rules)),
        **_parting(leaving(rules)),
    }


def _maps(name: str, translations: Iterable[Translation]) -> dict[str, Iterable[str]]:
    found: dict[str, list[str]] = {name: [], f"{name}_ports": [], f"{name}_moved": []}
    for one in translations:
        if (ports := one.ports) is None:
            found[name].append(f"{one.address} : {one.to}")
        elif ports.first == ports.target:
            span = _span(ports.first, ports.last)
            found[f"{name}_ports"].append(f"{one.address} . {ports.protocol} . {span} : {one.to}")
        else:
            found[f"{name}_moved"] += _moved(one, ports)
    return dict(found)


def _moved(one: Translation, ports: PortRange) -> Iterable[str]:
    return (
        f"{one.address} . {ports.protocol} . {port} : {one.to} . {target}"
        for port, target in _each(ports)
    )


def _each(ports: PortRange) -> Iterable[tuple[int, int]]:
    targets = range(ports.target, ports.last_target + 1)
    return zip(range(ports.first, ports.last + 1), targets, strict=True)


def _parting(translations: Iterable[Translation]) -> dict[str, Iterable[str]]:
    """Of two public addresses with one port for a guest, only the first can be told by that."""
    ports: list[str] = []
    addresses: dict[str, IPAddress] = {}
    for one in translations:
        moved = one.ports is not None and one.ports.first != one.ports.target
        if one.ports is None or not moved or one.ports.protocol is not Protocol.TCP:
            continue
        guest = f"{one.address} . {one.ports.protocol}"
        for port, target in _each(one.ports):
            ports.append(f"{guest} . {port} : {target}")
            addresses.setdefault(f"{guest} . {target}", one.to)
    return {
        "parting_ports": ports,
        "parting": [f"{key} : {address}" for key, address in addresses.items()],
    }


def _pairs(name: str, translations: Iterable[Translation]) -> dict[str, Iterable[str]]:
    whole: list[str] = []
    spans: Spans = defaultdict(list)
    for one in translations:
        pair = f"{one.address} . {one.to}"
        if (ports := one.ports) is None:
            whole.append(pair)
        else:
            spans[f"{pair} . {ports.protocol}"].append((ports.target, ports.last_target))
    return {name: whole, f"{name}_ports": _joined(spans)}


def _itself(rules: Iterable[GuestRule]) -> Iterable[str]:
    return {f"{rule.public} . {rule.private}" for rule in rules if rule.public is not None}


def _admitted(rules: Collection[GuestRule], version: int) -> Iterable[str]:
    """Public and private address with each source: one that leaves as public counts as that."""
    spans: Spans = defaultdict(list)
    for rule in rules:
        if rule.active and rule.public is not None:
            spans[f"{rule.public} . {rule.private}"] += _sources(rule, rules)
    return [
        f"{key} . {_range(version, *span)}" for key, some in spans.items() for span in merged(some)
    ]


def _sources(rule: GuestRule, rules: Collection[GuestRule]) -> list[tuple[int, int]]:
    if not rule.allow:
        return [EVERYBODY[rule.private.version]]
    mine = (one for one in rule.allow if one.version == rule.private.version)
    found = [(int(one[0]), int(one[-1])) for one in mine]
    for sender in leavers(rules).values():
        itself = int(sender.private)
        found = [left for span in found for left in _without(span, itself)]
        if any(sender.public in one for one in rule.allow):
            found.append((itself, itself))
    return found


def _without(span: tuple[int, int], one: int) -> list[tuple[int, int]]:
    first, last = span
    if not first <= one <= last:
        return [span]
    return [left for left in ((first, one - 1), (one + 1, last)) if left[0] <= left[1]]


def _ranges(ranges: Iterable[AddressRange], version: int) -> Iterable[str]:
    mine = (one for one in ranges if one.first.version == version)
    spans = merged((int(one.first), int(one.last)) for one in mine)
    return [_range(version, *span) for span in spans]


def _range(version: int, first: int, last: int) -> str:
    address = ADDRESSES[version]
    return str(AddressRange(address(first), address(last)))


def _joined(spans: Spans) -> Iterable[str]:
    """An element for each span of ports."""
    return [f"{key} . {_span(*span)}" for key, some in spans.items() for span in merged(some)]


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers in spans that neither overlap nor touch: nft takes no others."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
