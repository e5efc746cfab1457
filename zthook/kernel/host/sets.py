"""The sets and maps of the host's table: what each is for, and what its elements are made of.

Those of IPv6 are the same as those of IPv4, with a 6 behind their names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from zthook.model.addresses import IPAddress


@dataclass(frozen=True, slots=True)
class Family:
    """What the two versions of IP are called."""

    version: int
    ip: str
    suffix: str


IPV4, IPV6 = Family(4, "ip", ""), Family(6, "ip6", "6")
FAMILIES = (IPV4, IPV6)


def family_of(address: IPAddress) -> Family:
    """The address's family."""
    return IPV4 if address.version == IPV4.version else IPV6


Elements = Mapping[str, frozenset[str]]
"""Set or map → its elements as nft writes them: ``a . b``, in maps ``a . b : c``."""

PORTS = "inet_proto . inet_service"

COMMON = {
    "overlay": "ifname",
    "edge": "ifname . ether_addr",
    "bridges": "ifname",
    "closed": "nf_proto",
    "newcomers": "ifname . ether_addr",
}
"""The device to the edge, and what all packets of the edge come from; the bridges of guests
whose router this host is; for which families forwarding is on for mappings alone; and guests
that came in the middle of their connections, whose addresses are not known."""

OF_GUESTS = {
    "guests": "IP",
    "inbound": "IP",
    "outbound": "IP",
    "hidden": "ifname . IP",
    "placed": "ifname . IP",
    "outgoing": "ifname . IP",
    "speaking": f"IP . {PORTS}",
}
"""Private addresses: all that are mapped, and twice more to count; on their bridges those for
which this host rewrites the client, those that see it, and those whose own connections leave
by the edge; and the ports at which connections of the edge may be under way."""

OF_MAPPINGS = {
    "arrivals": "IP",
    "arriving": "IP : IP",
    "arriving_ports": f"IP . {PORTS} : IP",
    "arriving_moved": f"IP . {PORTS} : IP . inet_service",
    "brought": "IP . IP",
    "brought_ports": f"IP . IP . {PORTS}",
    "nearby": "IP : IP",
    "nearby_ports": f"IP . {PORTS} : IP",
    "nearby_moved": f"IP . {PORTS} : IP . inet_service",
    "itself": "IP . IP",
    "met": "IP . IP",
    "met_ports": f"IP . IP . {PORTS}",
    "admitted": "IP . IP . IP",
    "leaving": "IP : IP",
    "leaving_ports": f"IP . {PORTS} : IP",
    "leaving_moved": f"IP . {PORTS} : IP . inet_service",
    "parting_ports": f"IP . {PORTS} : inet_service",
    "parting": f"IP . {PORTS} : IP",
}
"""Three times whole addresses, ports that stay the same, and ports that change. What comes from
the edge: as it arrives, to the guest's address (mode ROUTED), and as which pairs of the two it
is a mapping's, with the guest's ports. The same for what comes from this host to its own
public addresses, and from which sources; but not what a guest sends ``itself`` where bridges
give their packets to these rules. What leaves by the edge, with what source; and where ports
change the same in two steps, first the port, for a packet that is of no connection."""

ELSEWHERE = {"pools": "IP", "edge_hop": "IP"}
"""Public addresses that are reached through the edge, and the edge as a router has it."""

INTERVALS = frozenset(
    {"pools", "admitted", "speaking", "brought_ports", "met_ports"}
    | {"arriving_ports", "nearby_ports", "leaving_ports"}
)
COUNTED = ("inbound", "outbound")
"""These count what passes; they are beside ``guests`` because a look into a set counts too."""


@dataclass(frozen=True, slots=True)
class SetSpec:
    """A set, or with ``value`` a map; ``key`` and ``value`` are the types of their parts."""

    name: str
    key: tuple[str, ...]
    value: tuple[str, ...] = ()
    interval: bool = False
    counted: bool = False

    @property
    def kind(self) -> str:
        """What nft calls it."""
        return "map" if self.value else "set"

    @property
    def definition(self) -> str:
        """What nft makes it from."""
        types = " : ".join(" . ".join(some) for some in (self.key, self.value) if some)
        flags = " flags interval;" if self.interval else ""
        counter = " counter;" if self.counted else ""
        return f"{self.kind} {self.name} {{ type {types};{flags}{counter} }}"


def _spec(name: str, types: str, family: Family = IPV4) -> SetSpec:
    key, _, value = types.replace("IP", f"ipv{family.version}_addr").partition(" : ")
    return SetSpec(
        name + family.suffix,
        tuple(key.split(" . ")),
        tuple(value.split(" . ")) if value else (),
        name in INTERVALS,
        name in COUNTED,
    )


SPECS: Mapping[str, SetSpec] = {
    spec.name: spec
    for spec in (
        *(_spec(name, types) for name, types in COMMON.items()),
        *(
            _spec(name, types, family)
            for family in FAMILIES
            for name, types in {**OF_GUESTS, **OF_MAPPINGS, **ELSEWHERE}.items()
        ),
    )
}
MAPPED = frozenset(
    name + family.suffix for family in FAMILIES for name in {**OF_GUESTS, **OF_MAPPINGS}
)
"""Those that have elements for guests and their mappings."""
