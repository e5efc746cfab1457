"""The sets and maps of the edge's table: what each is for, and what its elements are made of.

Those of IPv6 are the same as those of IPv4, with a 6 behind their names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from zthook.model.addresses import IPAddress

Elements = Mapping[str, frozenset[str]]
"""Set or map → its elements as nft writes them: ``a . b`` in sets, ``a : b`` in maps."""


@dataclass(frozen=True, slots=True)
class Family:
    """What the two versions of IP are called, and how their reports of errors look."""

    version: int
    ip: str
    suffix: str
    icmp: str
    errors: str
    headers: int
    """Bytes of an IP and a TCP header without options: what the MSS is smaller than the MTU."""


IPV4 = Family(
    version=4,
    ip="ip",
    suffix="",
    icmp="icmp",
    errors="icmp type { destination-unreachable, time-exceeded, parameter-problem }",
    headers=40,
)
IPV6 = Family(
    version=6,
    ip="ip6",
    suffix="6",
    icmp="icmpv6",
    errors=(
        "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }"
    ),
    headers=60,
)
FAMILIES = {family.version: family for family in (IPV4, IPV6)}


def family_of(address: IPAddress) -> Family:
    """The address's family."""
    return FAMILIES[address.version]


ADDRESS, VERDICT = "address", "verdict"
CLOSED6 = "closed6"
MAC, PROTOCOL, PORT = "ether_addr", "inet_proto", "inet_service"


@dataclass(frozen=True, slots=True)
class SetSpec:
    """A set, or with ``value`` a map; ADDRESS in it is of the set's family.

    ``public`` and ``private`` are the parts of its elements that are the address as it arrives
    and the one that answers, counted over key and value; the latter only where an element less
    means connections less. With ``interval`` each change copies the whole set: only where a
    range or a prefix has to be one element.
    """

    name: str
    key: tuple[str, ...]
    value: tuple[str, ...] = ()
    interval: bool = False
    counted: bool = False
    public: int | None = None
    private: int | None = None
    version: int = 4

    @property
    def kind(self) -> str:
        """What nft calls it."""
        return "map" if self.value else "set"

    @property
    def parts(self) -> tuple[str, ...]:
        """The types of an element's parts, of the key and then of the value."""
        return tuple(self._typed((*self.key, *self.value)))

    @property
    def definition(self) -> str:
        """What nft makes it from."""
        kind = " . ".join(self._typed(self.key))
        kind += " : " + " . ".join(self._typed(self.value)) if self.value else ""
        flags = (" flags interval;" if self.interval else "") + (
            " counter;" if self.counted else ""
        )
        return f"{self.kind} {self.name} {{ type {kind};{flags} }}"

    def _typed(self, parts: Iterable[str]) -> Iterable[str]:
        return (f"ipv{self.version}_addr" if part == ADDRESS else part for part in parts)


def _of_both(*specs: SetSpec) -> tuple[SetSpec, ...]:
    six = (replace(one, name=f"{one.name}{IPV6.suffix}", version=6) for one in specs)
    return (*specs, *six)


STATIC = (
    SetSpec("uplinks", ("ifname",)),
    SetSpec("overlay", ("ifname",)),
    SetSpec("doors", ("ifname",)),
    SetSpec("closed", ("ifname",)),
    SetSpec(CLOSED6, ("nf_proto",)),
    SetSpec("api_ports", (PORT,)),
    *_of_both(
        SetSpec("pool", (ADDRESS,), interval=True),
        SetSpec("members", (ADDRESS,), interval=True),
        SetSpec("near", (ADDRESS,), interval=True),
        SetSpec("own", ("ifname",), (ADDRESS,)),
    ),
)
"""Filled from the settings and the devices. ``closed`` are devices between which nothing else
of IPv4 is forwarded; in ``closed6`` IPv6 is while that is so of it, between whatever devices.
``doors`` are uplinks and overlay together,
``members`` the overlay's own prefixes, ``near`` those and the pools together, ``own`` is the
edge's address on each."""

LEAVING = (
    SetSpec("way_of_public", (ADDRESS,), (VERDICT,)),
    SetSpec("way_of_guest", (ADDRESS,), (VERDICT,)),
)
"""By which uplink goes what has a public address, or what a guest begins that has this private
one; nothing where the main table's default route is every uplink's.
"""

TRANSLATING = (
    SetSpec("inward", (ADDRESS,), (ADDRESS,), public=0, private=1),
    SetSpec("inward_ports", (ADDRESS, PROTOCOL, PORT), (ADDRESS, PORT), public=0, private=3),
    SetSpec(
        "inward_ranges", (ADDRESS, PROTOCOL, PORT), (ADDRESS,), interval=True, public=0, private=3
    ),
    SetSpec("outward", (ADDRESS,), (ADDRESS,), public=1),
    SetSpec("guarded", (ADDRESS,), public=0),
    SetSpec("sheltered", (ADDRESS, ADDRESS), public=0),
    SetSpec("hiding", (ADDRESS, ADDRESS), public=0),
)
"""Public to private, by address or by port; private to public for what a guest begins; and
where clients are hidden, by public address alone (``guarded``) and by both, and where by the
edge."""

PASSING = (
    SetSpec("arriving", (ADDRESS, ADDRESS), counted=True, public=0, private=1),
    SetSpec("arriving_parts", (ADDRESS, ADDRESS), counted=True, public=0, private=1),
    SetSpec("open_ports", (ADDRESS, ADDRESS, PROTOCOL, PORT), counted=True, public=0, private=1),
    SetSpec("ports", (ADDRESS, ADDRESS, PROTOCOL, PORT), public=0, private=1),
    SetSpec("port_ranges", (ADDRESS, ADDRESS, PROTOCOL, PORT), interval=True, public=0, private=1),
    SetSpec("whole", (ADDRESS, ADDRESS), public=0, private=1),
    SetSpec("everybody", (ADDRESS, ADDRESS), public=0, private=1),
    SetSpec("allowed", (ADDRESS, ADDRESS, ADDRESS), interval=True, public=0, private=1),
    SetSpec("answering", (MAC, ADDRESS, ADDRESS), counted=True, public=2),
    SetSpec("outgoing", (MAC, ADDRESS), counted=True),
    SetSpec("outgoing_parts", (MAC, ADDRESS), counted=True),
    SetSpec("returning", (ADDRESS, ADDRESS), counted=True, public=0),
)
"""What passes of connections that are tracked, by public and private address: to whole
addresses for everybody (``arriving``) and to parts of them (the guest's ports, then clients), of
which single ports for everybody are ``open_ports`` too; the members' answers; what guests begin,
and the answers to that."""

ROUTED = (
    SetSpec("untracked", (ADDRESS,), public=0),
    SetSpec("routed", (ADDRESS,), public=0),
    SetSpec("routed_whole", (ADDRESS,), counted=True, public=0, private=0),
    SetSpec("routed_ports", (ADDRESS, PROTOCOL, PORT), counted=True, public=0, private=0),
    SetSpec(
        "routed_ranges",
        (ADDRESS, PROTOCOL, PORT, ADDRESS),
        interval=True,
        counted=True,
        public=0,
        private=0,
    ),
    SetSpec("routed_clients", (ADDRESS, ADDRESS), interval=True, counted=True, public=0, private=0),
    SetSpec("routed_out", (MAC, ADDRESS), counted=True, public=1),
    SetSpec("routed_out_ports", (MAC, ADDRESS, PROTOCOL, PORT), counted=True, public=1),
    SetSpec(
        "routed_out_ranges",
        (MAC, ADDRESS, PROTOCOL, PORT),
        interval=True,
        counted=True,
        public=1,
    ),
    SetSpec("routed_errors", (MAC, ADDRESS), public=1),
)
"""What passes without being translated, by the packet alone."""

MAPPING = _of_both(*LEAVING, *TRANSLATING, *PASSING, *ROUTED)
SPECS = {one.name: one for one in (*STATIC, *MAPPING)}
MAPS = frozenset(one.name for one in SPECS.values() if one.value) | {"crossings", "mss", "mss6"}
COUNTED = tuple(one.name for one in MAPPING if one.counted)
INWARD = frozenset(one.name for one in MAPPING if one.counted and one.key[0] != MAC)
"""Those of them that count what goes to guests."""
MAPPING_SETS = tuple(one.name for one in MAPPING)
LED = frozenset(one.name for one in _of_both(*LEAVING))
"""Those of them that lead to an uplink."""


BY_MEMBER = frozenset(one.name for one in MAPPING if one.key[0] == MAC)
"""Where elements begin with the MAC of the host that has the guest."""


def parts_of(element: str) -> list[str]:
    """The parts of an element as text, of its key and then of its value."""
    return element.replace(" : ", " . ").split(" . ")


def public_of(name: str, element: str) -> str | None:
    """The public address, as it arrives, that a mapping's element is about, where it says so."""
    at = SPECS[name].public
    return parts_of(element)[at] if at is not None else None
