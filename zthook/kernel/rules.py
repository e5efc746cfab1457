"""Policy rules of ours (protocol 123)."""

import errno
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from zthook.kernel.netlink import ACK, PROTOCOL, ROUTE, Netlink, attribute, attributes, message
from zthook.kernel.routes import FAMILIES, HEADER, NUMBER, network_of
from zthook.model.addresses import IPNetwork

LOCAL_TABLE = 255
FIRST = 0
"""The preference of a rule that comes before the local table, the machine's own addresses."""

NEW, DELETE, GET = 32, 33, 34
CREATE = 0x400 | 0x200
TO_TABLE = 1
DESTINATION, SOURCE, INCOMING, PREFERENCE, MARK = 1, 2, 3, 6, 10
SUPPRESS_UP_TO, TABLE, MASK, PROTOCOL_OF = 14, 15, 16, 21
SUPPRESS_NONE = NUMBER.pack(0xFFFFFFFF)
BY_KERNEL = 2
GONE = {errno.ENOENT, errno.ESRCH}
VERSIONS = {family: version for version, family in FAMILIES.items()}


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """Packets of this IP version that fit all that is said go by ``table``.

    With a ``mask``: those whose mark has the value ``mark`` in these bits. ``incoming`` is
    the device's name, "lo" for what the machine itself sends. With ``longer_than`` only
    routes to longer prefixes count: 0 passes over default routes. Smaller preferences are
    asked first; FIRST comes even before the local table.
    """

    version: int
    preference: int
    table: int
    mark: int = 0
    mask: int = 0
    source: IPNetwork | None = None
    destination: IPNetwork | None = None
    incoming: str | None = None
    longer_than: int | None = None

    def __str__(self) -> str:
        words = [
            f"from {self.source}" if self.source else "",
            f"to {self.destination}" if self.destination else "",
            f"by {self.incoming}" if self.incoming else "",
            f"with mark 0x{self.mark:x}/0x{self.mask:x}" if self.mask else "",
            f"by routes longer than /{self.longer_than}" if self.longer_than is not None else "",
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

    Where somebody has moved the local table's rule to a higher preference it stays there; one
    that was made anew by hand comes back as the kernel makes it.
    """
    local, guard = _local(version), PolicyRule(version, FIRST + 1, LOCAL_TABLE)
    listed = list(_listed(kernel))
    makers = [protocol for protocol, rule in listed if rule == local]
    _add(kernel, [guard])
    for protocol in makers:
        _remove(kernel, [local], protocol)
    _add(kernel, rules)
    if makers or (PROTOCOL, guard) in listed:
        _add(kernel, [local], BY_KERNEL)
    _remove(kernel, [guard])


def _local(version: int) -> PolicyRule:
    """The rule by which the kernel finds the machine's own addresses."""
    return PolicyRule(version, FIRST, LOCAL_TABLE)


def _add(kernel: Netlink, rules: Collection[PolicyRule], protocol: int = PROTOCOL) -> None:
    some = [*rules]
    kernel.carry_out(
        [message(NEW, CREATE | ACK, _encoded(rule, protocol)) for rule in some],
        about=lambda number: f"adding {some[number]}",
        fine={errno.EEXIST},
    )


def _remove(kernel: Netlink, rules: Collection[PolicyRule], protocol: int = PROTOCOL) -> None:
    some = [*rules]
    kernel.carry_out(
        [message(DELETE, ACK, _encoded(rule, protocol)) for rule in some],
        about=lambda number: f"removing {some[number]}",
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
    if rule.longer_than is not None:
        body += attribute(SUPPRESS_UP_TO, NUMBER.pack(rule.longer_than))
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

    suppresses = found.get(SUPPRESS_UP_TO, SUPPRESS_NONE) != SUPPRESS_NONE
    return PolicyRule(
        version,
        number(PREFERENCE),
        number(TABLE),
        number(MARK),
        number(MASK),
        source,
        destination,
        found.get(INCOMING, b"").rstrip(b"\0").decode(errors="replace") or None,
        number(SUPPRESS_UP_TO) if suppresses else None,
    )
