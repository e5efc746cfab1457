"""Policy rules of ours (protocol 123), and the way that they send marked packets."""

import errno
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from zthook.kernel.netlink import ACK, ROUTE, Netlink, attribute, attributes, message
from zthook.kernel.route_batch import remove_routes, set_routes
from zthook.kernel.routes import FAMILIES, HEADER, NUMBER, Route, network_of, own_routes
from zthook.kernel.rtnetlink import PROTOCOL
from zthook.model.addresses import IPNetwork

ALL = IPv4Network("0.0.0.0/0")
LOCAL_TABLE = 255
FIRST = 0
"""The preference of a rule that comes before the local table, the machine's own addresses."""

NEW, DELETE, GET = 32, 33, 34
CREATE = 0x400 | 0x200
TO_TABLE = 1
DESTINATION, SOURCE, INCOMING, PREFERENCE, MARK = 1, 2, 3, 6, 10
SUPPRESS_UP_TO, TABLE, MASK, PROTOCOL_OF = 14, 15, 16, 21
DEFAULT_LENGTH = NUMBER.pack(0)
BY_KERNEL = 2
GONE = {errno.ENOENT, errno.ESRCH}
VERSIONS = {family: version for version, family in FAMILIES.items()}


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """Packets of this IP version that fit all that is said go by ``table``.

    With a ``mask``: those whose mark has the value ``mark`` in these bits. ``incoming`` is
    the device's name, "lo" for what the machine itself sends. With ``suppress_default`` the
    table's default routes do not count. Smaller preferences are asked first; FIRST comes
    even before the local table.
    """

    version: int
    preference: int
    table: int
    mark: int = 0
    mask: int = 0
    source: IPNetwork | None = None
    destination: IPNetwork | None = None
    incoming: str | None = None
    suppress_default: bool = False

    def __str__(self) -> str:
        words = [
            f"from {self.source}" if self.source else "",
            f"to {self.destination}" if self.destination else "",
            f"by {self.incoming}" if self.incoming else "",
            f"with mark 0x{self.mark:x}/0x{self.mask:x}" if self.mask else "",
            "but defaults" if self.suppress_default else "",
        ]
        which = " ".join(word for word in words if word) or "all"
        return f"IPv{self.version} rule {self.preference}: {which} to table {self.table}"

    def __lt__(self, other: "PolicyRule") -> bool:
        return self._place < other._place

    @property
    def _place(self) -> tuple[int, int, str]:
        return self.version, self.preference, str(self)


def own_rules() -> frozenset[PolicyRule]:
    """Every policy rule of protocol 123, of both families."""
    with Netlink(ROUTE) as kernel:
        return frozenset(rule for protocol, rule in _listed(kernel) if protocol == PROTOCOL)


def add_rules(kernel: Netlink, rules: Collection[PolicyRule]) -> None:
    """Make these be there; each may be already. Raises KernelError, naming the rule."""
    _add(kernel, [rule for rule in rules if rule.preference != FIRST])
    for version in FAMILIES:
        first = [rule for rule in rules if (rule.version, rule.preference) == (version, FIRST)]
        if first:
            _add_first(kernel, version, first)


def remove_rules(kernel: Netlink, rules: Collection[PolicyRule]) -> None:
    """Make these not be there; each may be gone already. Raises KernelError."""
    for guard in (rule for rule in rules if rule.table == LOCAL_TABLE):
        # What _add_first could not bring to its end: at no moment the table may be without.
        _add(kernel, [_local(guard.version)], BY_KERNEL)
    _remove(kernel, rules)


def _add_first(kernel: Netlink, version: int, rules: Collection[PolicyRule]) -> None:
    """The kernel puts a rule behind those of its preference: its own moves, and comes back.

    Where somebody has moved the local table's rule to a higher preference it stays there.
    """
    local, guard = _local(version), PolicyRule(version, FIRST + 1, LOCAL_TABLE)
    there = set(_listed(kernel)) & {(PROTOCOL, guard), (BY_KERNEL, local)}
    _add(kernel, [guard])
    _remove(kernel, [local], BY_KERNEL)
    _add(kernel, rules)
    if there:
        _add(kernel, [local], BY_KERNEL)
    _remove(kernel, [guard])


def _local(version: int) -> PolicyRule:
    """The rule by which the kernel finds the machine's own addresses."""
    return PolicyRule(version, FIRST, LOCAL_TABLE)


def _add(kernel: Netlink, rules: Collection[PolicyRule], protocol: int = PROTOCOL) -> None:
    kernel.carry_out(
        [message(NEW, CREATE | ACK, _encoded(rule, protocol)) for rule in rules],
        about=[f"adding {rule}" for rule in rules],
        fine={errno.EEXIST},
    )


def _remove(kernel: Netlink, rules: Collection[PolicyRule], protocol: int = PROTOCOL) -> None:
    kernel.carry_out(
        [message(DELETE, ACK, _encoded(rule, protocol)) for rule in rules],
        about=[f"removing {rule}" for rule in rules],
        fine=GONE,
    )


def _encoded(rule: PolicyRule, protocol: int) -> bytes:
    source, destination = rule.source, rule.destination
    body = HEADER.pack(
        FAMILIES[rule.version],
        destination.prefixlen if destination else 0,
        source.prefixlen if source else 0,
        *(0, 0, 0, 0, TO_TABLE, 0),
    )
    body += attribute(TABLE, NUMBER.pack(rule.table))
    body += attribute(PREFERENCE, NUMBER.pack(rule.preference))
    body += attribute(PROTOCOL_OF, bytes([protocol]))
    if rule.mask:
        body += attribute(MARK, NUMBER.pack(rule.mark)) + attribute(MASK, NUMBER.pack(rule.mask))
    if rule.suppress_default:
        body += attribute(SUPPRESS_UP_TO, DEFAULT_LENGTH)
    body += attribute(INCOMING, rule.incoming.encode() + b"\0") if rule.incoming else b""
    body += attribute(SOURCE, source.network_address.packed) if source else b""
    return body + (
        attribute(DESTINATION, destination.network_address.packed) if destination else b""
    )


def _listed(kernel: Netlink) -> Iterator[tuple[int, PolicyRule]]:
    """Each rule to a table, and whose it is."""
    for payload in kernel.dump(GET, HEADER.pack(*bytes(9)), about="listing policy rules"):
        family, to_length, from_length, _, _, _, _, action, _ = HEADER.unpack_from(payload)
        if action == TO_TABLE and family in VERSIONS:
            found = attributes(payload, HEADER.size)
            (protocol,) = found.get(PROTOCOL_OF, b"\0")
            source = network_of(family, found[SOURCE], from_length) if from_length else None
            to = network_of(family, found[DESTINATION], to_length) if to_length else None
            yield protocol, _read(VERSIONS[family], found, source, to)


def _read(
    version: int,
    found: dict[int, bytes],
    source: IPNetwork | None,
    destination: IPNetwork | None,
) -> PolicyRule:
    def number(kind: int) -> int:
        return int(NUMBER.unpack(found.get(kind, bytes(4)))[0])

    return PolicyRule(
        version,
        number(PREFERENCE),
        number(TABLE),
        number(MARK),
        number(MASK),
        source,
        destination,
        found.get(INCOMING, b"").rstrip(b"\0").decode(errors="replace") or None,
        found.get(SUPPRESS_UP_TO) == DEFAULT_LENGTH,
    )


def keep_way(rule: PolicyRule, edge: IPv4Address, device: int | None) -> list[str]:
    """Make marked packets go to ``edge`` by the device with that index, or nowhere (None).

    The black hole comes first and the rule last, so that at no moment a marked packet
    leaves by another line. A line for each thing that was put right.
    """
    lines = _keep_routes(rule.table, edge, device)
    found = _mark_rules()
    if rule not in found:
        with Netlink(ROUTE) as kernel:
            add_rules(kernel, [rule])
        lines.append(f"{rule} was missing: added")
    return lines + _remove_way(found - {rule}, kept=rule.table)


def _mark_rules() -> frozenset[PolicyRule]:
    return frozenset(rule for rule in own_rules() if rule.version == ALL.version and rule.mask)


def _keep_routes(table: int, edge: IPv4Address, device: int | None) -> list[str]:
    wanted = [Route(ALL, None, table=table)]
    wanted += [Route(ALL, device, edge, table)] if device is not None else []
    found = own_routes(table)
    missing, extra = [one for one in wanted if one not in found], found - set(wanted)
    with Netlink(ROUTE) as kernel:
        remove_routes(kernel, extra)
        set_routes(kernel, missing)
    return [f"{_named(one)} removed" for one in extra] + [
        f"{_named(one)} was missing: added" for one in missing
    ]


def _named(route: Route) -> str:
    kind = "" if route.device is None else "route "
    return f"{kind}{route} in table {route.table}"


def remove_way(table: int) -> list[str]:
    """Take every mark rule of ours away, and our routes in its table and in ``table``."""
    return _remove_way(_mark_rules(), kept=None) + _remove_routes(table)


def _remove_way(some: frozenset[PolicyRule], *, kept: int | None) -> list[str]:
    lines = []
    for rule in sorted(some):
        with Netlink(ROUTE) as kernel:
            remove_rules(kernel, [rule])
        lines.append(f"{rule} removed")
        if rule.table != kept:
            lines += _remove_routes(rule.table)
    return lines


def _remove_routes(table: int) -> list[str]:
    found = own_routes(table)
    with Netlink(ROUTE) as kernel:
        remove_routes(kernel, found)
    return [f"{_named(one)} removed" for one in found]
